"""The tests of one loss of one check through a whole attempt: a value that every look makes anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .metrics import Measure
from .plan import Check, Plan
from .stats.bernstein import Arms, Bernstein, Null
from .stats.rate_ratio import RateRatio, Split

__all__ = ["Comparison"]

PRIOR_UNITS = 200
"""Units that stable's rate before the attempt is worth in the centre of the tests; it only sets their speed."""

FEWEST_LOOKS, MOST_LOOKS = 160, 8_000
"""Bounds of the length of an attempt, in looks, over which the later starts of the rate-ratio test are spread."""

STARTS = 16
"""First start and later ones over that length."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What is known of one loss.

    `base` is stable's rate before the attempt, `stable_n` and `stable_events` what it did since. `ratio` tests
    "not likelier than stable's", `worse` "not worse by more than the tolerance" (None where that is 0), `margins`
    "worse by the margin", once for each margin the steps of the plan ask for.
    """

    base: float
    stable_n: int
    stable_events: int
    ratio: RateRatio
    worse: Bernstein | None
    margins: Bernstein

    @classmethod
    def start(cls, check: Check, measure: Measure, plan: Plan) -> "Comparison":
        """Return the tests before the first look; everything they bet on is fixed here."""
        base = (measure.base * measure.history + 0.5) / (measure.history + 1)
        beyond = check.margin - check.tolerance or check.margin
        margins = tuple(sorted({step_margin(check, step.margin_factor) for step in plan.steps}))
        worse = Bernstein.start(Null.NOT_WORSE, (check.tolerance,), (beyond,)) if check.tolerance else None
        return cls(
            base=base,
            stable_n=0,
            stable_events=0,
            ratio=RateRatio.start(check.margin / base, restart_spacing(plan)),
            worse=worse,
            margins=Bernstein.start(Null.WORSE, margins, margins),
        )

    @property
    def centre(self) -> float:
        """Stable's rate as the past shows it, above 0 and below 1."""
        return (self.stable_events + PRIOR_UNITS * self.base) / (self.stable_n + PRIOR_UNITS)

    def update(self, arms: Sequence[Arms], splits: Sequence[Split]) -> "Comparison":
        """Return the tests after one more look: its increments by epoch, and how its events are split."""
        return Comparison(
            base=self.base,
            stable_n=self.stable_n + sum(epoch.stable_n for epoch in arms),
            stable_events=self.stable_events + sum(epoch.stable_events for epoch in arms),
            ratio=self.ratio.update(splits),
            worse=self.worse and self.worse.update(arms, self.centre),
            margins=self.margins.update(arms, self.centre),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON."""
        return {
            "base": self.base,
            "stable_n": self.stable_n,
            "stable_events": self.stable_events,
            "ratio": self.ratio.to_json(),
            "worse": self.worse and self.worse.to_json(),
            "margins": self.margins.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Comparison":
        """Return the state that `to_json` wrote."""
        return cls(
            base=value["base"],
            stable_n=value["stable_n"],
            stable_events=value["stable_events"],
            ratio=RateRatio.from_json(value["ratio"]),
            worse=value["worse"] and Bernstein.from_json(value["worse"]),
            margins=Bernstein.from_json(value["margins"]),
        )


def step_margin(check: Check, factor: float) -> float:
    """Return the margin a step with this factor asks for; a difference of rates cannot exceed 1."""
    return min(check.margin * factor, 1.0)


def restart_spacing(plan: Plan) -> int:
    """Return the looks between two later starts: twice the holds of the plan, in 16 parts."""
    looks = 2 * sum(step.hold_ms for step in plan.steps) // plan.analysis.every_ms
    return min(max(looks, FEWEST_LOOKS), MOST_LOOKS) // STARTS
