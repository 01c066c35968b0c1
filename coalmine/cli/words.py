"""How numbers, times and states read on a screen: an icon and a word, never colour alone."""

import math
from datetime import UTC, datetime

__all__ = [
    "DONE",
    "PHASES",
    "STATUSES",
    "ago",
    "clock",
    "milliseconds",
    "phase",
    "plural",
    "signed_points",
    "stage",
    "status",
    "weight",
]

PHASES = {
    "idle": ("○", "dim"),
    "pending": ("◌", "cyan"),
    "shadowing": ("◐", "cyan"),
    "progressing": ("▶", "cyan"),
    "paused": ("‖", "yellow"),
    "awaiting_approval": ("?", "yellow"),
    "baking": ("◑", "cyan"),
    "promoted": ("✔", "green"),
    "rolled_back": ("✖", "red"),
}
"""Icon and colour of each phase."""

STATUSES = {
    "pass": ("✔", "green"),
    "fail": ("✖", "red"),
    "inconclusive": ("…", "yellow"),
    "no_data": ("○", "dim"),
    "error": ("!", "red"),
}
"""Icon and colour of each status of a check."""

DONE = {
    "start": "started",
    "promote": "promoted",
    "pause": "paused",
    "resume": "resumed",
    "approve": "approved",
    "freeze": "frozen",
    "unfreeze": "unfrozen",
    "rollback": "rolled back",
    "retry": "started again",
    "undo": "going back to the former stable",
}
"""What a command has done, by its verb."""


def phase(name: str) -> tuple[str, str]:
    """Return a phase as icon and words, and its colour."""
    icon, colour = PHASES.get(name, ("·", "default"))
    return f"{icon} {name.replace('_', ' ')}", colour


def stage(index: int, of: int) -> str:
    """Return what people call a step (1..of; after them the bake).

    >>> stage(2, 5), stage(6, 5)
    ('step 2 of 5', 'the bake')
    """
    return f"step {index} of {of}" if index <= of else "the bake"


def status(name: str) -> tuple[str, str]:
    """Return the status of a check as icon and words, and its colour."""
    icon, colour = STATUSES.get(name, ("·", "default"))
    return f"{icon} {name.replace('_', ' ')}", colour


def weight(percent: float) -> str:
    """Return a weight (percent 0..100) with at most 4 decimals.

    >>> weight(25.0), weight(0.1)
    ('25 %', '0.1 %')
    """
    return f"{percent:.4f}".rstrip("0").rstrip(".") + " %"


def signed_points(difference: float | None) -> str:
    """Return a difference of rates in percentage points with its sign.

    >>> signed_points(0.0123), signed_points(-0.0005), signed_points(None)
    ('+1.23 pp', '-0.05 pp', 'unknown')
    """
    if difference is None or not math.isfinite(difference):
        return "unknown"
    return f"{100 * difference:+.2f} pp"


def milliseconds(value: float | None) -> str:
    """Return a duration of a call; an unknown one is a dash.

    >>> milliseconds(0.42), milliseconds(15.2), milliseconds(None)
    ('0.42 ms', '15 ms', '-')
    """
    if value is None:
        return "-"
    return f"{value:.2g} ms" if value < 10 else f"{value:,.0f} ms"


def ago(seconds: float) -> str:
    """Return a span of time in the two largest units that matter.

    >>> ago(4.2), ago(75), ago(7260), ago(200000)
    ('4s', '1m15s', '2h1m', '2d7h')
    """
    whole = max(int(seconds), 0)
    for size, unit, below, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size}{unit}" + (f"{rest}{small}" if rest else "")
    return f"{whole}s"


def clock(moment: str) -> str:
    """Return the time of day (UTC) of an RFC 3339 time."""
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%H:%M:%S")


def plural(count: int, word: str) -> str:
    """Return a count with its word.

    >>> plural(1, "worker"), plural(3, "worker")
    ('1 worker', '3 workers')
    """
    return f"{count} {word}" if count == 1 else f"{count:,} {word}s"
