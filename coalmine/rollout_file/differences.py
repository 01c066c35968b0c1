"""How a margin or tolerance is written: in the unit of its metric, with the sign that unit has.

A rate differs by percentage points (`0.5pp`). A Brier score, a log loss or an error differs by a plain number, which is
in the unit of the score or the label. A mean has either: `0.3` in its own unit, or `2%` of what stable's mean was.
"""

from dataclasses import dataclass

from coalmine.policies import Check, Metric
from coalmine.policies.wording import amount, points

from . import units
from .units import format_percent, format_plain, format_points, quoted

__all__ = ["Difference", "difference_of", "format_difference", "in_words", "rates"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two means, in the unit of the metric (rates: 0..1), or `relative`: as a share of stable's."""

    size: float
    relative: bool = False


def rates() -> list[Metric]:
    """Return the metrics that differ by percentage points."""
    return [metric for metric in Metric if metric.is_event]


def difference_of(metric: Metric, written: object) -> Difference:
    """Return the difference that is written for a metric; raise ValueError where the unit is not that of the metric."""
    if metric.is_event:
        return Difference(units.points(written))
    if isinstance(written, int | float) and not isinstance(written, bool):
        return Difference(float(written))
    text = str(written)
    if units.NUMBER.fullmatch(text):
        raise ValueError(f"{text} is text here; write it without quotes")
    if metric is not Metric.MEAN:
        raise ValueError(f"{quoted(written)} is not in the unit of {metric.value}; write a plain number such as 0.01")
    if units.PERCENT.fullmatch(text) is None:
        raise ValueError(
            f"{quoted(written)} is no difference of means; write 0.3 in their unit, or 2% of stable's mean"
        )
    return Difference(round(units.percent(text) / 100, 10), relative=True)


def format_difference(check: Check, size: float) -> str | float:
    """Return a margin or tolerance of `check` as `difference_of` reads it back."""
    if check.metric.is_event:
        return format_points(size)
    if check.relative:
        return format_percent(size * 100)
    return format_plain(size)


def in_words(check: Check, size: float) -> str:
    """Return a margin or tolerance of `check` for people."""
    if check.metric.is_event:
        return points(size)
    return f"{100 * size:.3g} % of stable's" if check.relative else amount(size)
