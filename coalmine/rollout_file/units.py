"""Percent, percentage points and durations as people write them. A number without its unit is refused, not guessed.

Both directions stand here, so that what `coalmine show` prints can be read back.
"""

import re
from decimal import Decimal

__all__ = [
    "DURATION",
    "NUMBER",
    "PERCENT",
    "POINTS",
    "duration_ms",
    "format_duration",
    "format_number",
    "format_percent",
    "format_plain",
    "format_points",
    "percent",
    "plain_number",
    "points",
    "quoted",
]

UNIT_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
"""Milliseconds of each unit, longest first."""

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")
POINTS = re.compile(r"(\d+(?:\.\d+)?) ?pp")
"""What a number, a duration, a percentage and a difference of rates look like; editors check against them too."""


def percent(written: object) -> float:
    """Return the number in front of the %, so 25.0 for `25%`; raise ValueError for anything else."""
    match = PERCENT.fullmatch(str(written))
    if match is None:
        raise ValueError(f"{quoted(written)} is not a percentage; write {suggested_percent(written)}")
    return float(match[1])


def points(written: object) -> float:
    """Return a difference of rates, so 0.005 for `0.5pp` (percentage points); raise ValueError if it is none."""
    match = POINTS.fullmatch(str(written))
    if match is None:
        number = str(written).rstrip("% ")
        raise ValueError(f"{quoted(written)} is not in percentage points; write {suggestion(number, '0.5', 'pp')}")
    return float(Decimal(match[1]) / 100)


def plain_number(written: object) -> float:
    """Return a number that stands in a unit of its own, so 0.01; raise ValueError for text and anything else."""
    if isinstance(written, bool) or not isinstance(written, int | float):
        raise ValueError(f"{quoted(written)} is not a plain number; write for example 500")
    return float(written)


def duration_ms(written: object) -> int:
    """Return milliseconds, so 5_400_000 for `90m` or `1h30m`; raise ValueError for anything else."""
    text = str(written)
    if DURATION.fullmatch(text) is None:
        raise ValueError(f"{quoted(written)} is not a duration; write {suggestion(written, '10', 'm')}")
    total = sum(Decimal(number) * UNIT_MS[unit] for number, unit in DURATION_PART.findall(text))
    if total != int(total):
        raise ValueError(f"{text} is finer than a millisecond; write whole milliseconds")
    return int(total)


def quoted(written: object) -> str:
    """Return what was found, shortened, for a message."""
    if isinstance(written, dict | list):
        return "a mapping" if isinstance(written, dict) else "a list"
    text = str(written).lower() if isinstance(written, bool) else str(written)
    return text if len(text) <= 40 else text[:37] + "..."


def suggestion(written: object, example: str, unit: str) -> str:
    """Return what to write instead: the number that was found with the unit it lacks, or the example."""
    bare = re.fullmatch(r"\d+(\.\d+)?", str(written))
    return f"{bare[0] if bare else example}{unit}"


def suggested_percent(written: object) -> str:
    """Return what to write instead; a bare 0.05 may mean either of two, so both are named."""
    plain = suggestion(written, "25", "%")
    fraction = re.fullmatch(r"0?\.\d+", str(written))
    return f"{format_number(float(fraction[0]) * 100)}% or {plain}" if fraction else plain


def format_duration(ms: float) -> str:
    """Return a duration that `duration_ms` reads back: `1h30m`, `250ms`; `0s` for nothing."""
    rest, parts = round(ms), []
    for unit, size in UNIT_MS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_number(value: float) -> str:
    """Return a number without the noise of binary fractions and without a needless `.0`."""
    return f"{value:.10f}".rstrip("0").rstrip(".")


def format_plain(value: float) -> int | float:
    """Return a number as it is written: a whole one as an integer, so that it has no `.0`."""
    return int(value) if value == int(value) else value


def format_percent(value: float) -> str:
    """Return percent 0..100 as `percent` reads it back: `0.1%`."""
    return f"{format_number(value)}%"


def format_points(difference: float) -> str:
    """Return a difference of rates 0..1 as `points` reads it back: `0.5pp`."""
    return f"{format_number(difference * 100)}pp"
