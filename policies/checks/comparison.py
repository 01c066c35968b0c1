"""The tests of one loss of one check through a whole attempt: a value that every look makes anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..plan.plan import By, Check, Plan
from ..stats.bernstein import Arms, Bernstein, Null
from ..stats.block import Block, BlockTest
from ..stats.losses import Losses
from ..stats.rate_ratio import RateRatio, Split
from .metrics import Bounds, Measure

__all__ = ["Comparison", "late_looks_of"]

PRIOR_UNITS = 200
"""Units that stable's losses before the attempt are worth in the guesses of the tests; they only set their speed."""

FREQUENT = 0.05
"""Rate from which the rows without the event say enough to be counted too."""

FEWEST_LOOKS, MOST_LOOKS = 160, 8_000
"""Bounds of the looks over which the later starts of the tests are spread."""

Worse: TypeAlias = RateRatio | BlockTest | Bernstein
"""A test of "the canary is not worse", or not by more than the tolerance."""

KINDS: Mapping[str, type[RateRatio] | type[BlockTest] | type[Bernstein]] = {
    "rate_ratio": RateRatio,
    "block": BlockTest,
    "bernstein": Bernstein,
}


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What is known of one loss.

    `base` and `square` are the mean and the mean square of stable's losses before the attempt, `stable` its losses
    since. `worse` tests "not worse by more than the tolerance". `keys`, where the keys that erred are known, tests "no
    likelier to err". `margins` tests "worse by the margin", once for each margin the steps of the plan ask for.
    """

    base: float
    square: float
    stable: Losses
    worse: Worse
    keys: RateRatio | None
    margins: Bernstein

    @classmethod
    def start(cls, check: Check, measure: Measure, bounds: Bounds, plan: Plan) -> "Comparison":
        """Return the tests before the first look; everything they bet on is fixed here."""
        history = measure.history
        base = (history.mean * history.rows + 0.5) / (history.rows + 1)
        square = ((history.variance + history.mean**2) * history.rows + 0.5) / (history.rows + 1)
        margins = tuple(sorted({bounds.loosened(step.margin_factor) for step in plan.stages}))
        by_keys = measure.has_keys and plan.routing.by is By.KEY
        late_looks = late_looks_of(plan)
        return cls(
            base=base,
            square=square,
            stable=Losses(),
            worse=worse_test(check.metric.is_event, bounds, base, late_looks),
            keys=RateRatio.start(bounds.margin / base, late_looks) if by_keys else None,
            margins=Bernstein.start(Null.WORSE, margins, margins),
        )

    @property
    def centre(self) -> float:
        """Stable's mean loss as the past shows it, above 0 and below 1."""
        return (self.stable.loss + PRIOR_UNITS * self.base) / (self.stable.n + PRIOR_UNITS)

    @property
    def variance(self) -> float:
        """The variance of stable's losses as the past shows it, above 0."""
        square = (self.stable.square + PRIOR_UNITS * self.square) / (self.stable.n + PRIOR_UNITS)
        return max(square - self.centre**2, 1e-9)

    def update(self, arms: Sequence[Arms], stable: Losses, erring: Sequence[Split]) -> "Comparison":
        """Return the tests after one more look: its increments by epoch, stable's in all, the newly erring keys."""
        return Comparison(
            base=self.base,
            square=self.square,
            stable=self.stable + stable,
            worse=updated(self.worse, arms, self.centre, self.variance),
            keys=self.keys and self.keys.update(erring),
            margins=self.margins.update(arms, self.centre, self.variance),
        )

    def log_e_worse(self, tolerance: float) -> float:
        """Return ln of the e-value of "not worse by more than the tolerance"."""
        return self.worse.value(tolerance) if isinstance(self.worse, Bernstein) else self.worse.value()

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON."""
        [kind] = [name for name, kind in KINDS.items() if type(self.worse) is kind]
        return {
            "base": self.base,
            "square": self.square,
            "stable": self.stable.to_json(),
            "worse": {"test": kind, **self.worse.to_json()},
            "keys": self.keys and self.keys.to_json(),
            "margins": self.margins.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Comparison":
        """Return the state that `to_json` wrote."""
        return cls(
            base=value["base"],
            square=value["square"],
            stable=Losses.from_json(value["stable"]),
            worse=KINDS[value["worse"]["test"]].from_json(value["worse"]),
            keys=value["keys"] and RateRatio.from_json(value["keys"]),
            margins=Bernstein.from_json(value["margins"]),
        )


def worse_test(is_event: bool, bounds: Bounds, base: float, late_looks: int) -> Worse:
    """Return the quickest test that is exact: for a tolerance or a mean, for a rare event, for a frequent one."""
    if bounds.tolerance or not is_event:
        beyond = bounds.margin - bounds.tolerance or bounds.margin
        return Bernstein.start(Null.NOT_WORSE, (bounds.tolerance,), (beyond,), late_looks)
    if base < FREQUENT:
        return RateRatio.start(bounds.margin / base, late_looks)
    return BlockTest.start(base, bounds.margin, late_looks)


def updated(test: Worse, arms: Sequence[Arms], centre: float, variance: float) -> Worse:
    """Return a test after one more look."""
    match test:
        case Bernstein():
            return test.update(arms, centre, variance)
        case BlockTest():
            return test.update([block_of(epoch) for epoch in arms], centre)
        case RateRatio():
            return test.update([split_of(epoch) for epoch in arms])


def block_of(arms: Arms) -> Block:
    """Return the events as a block."""
    counts = (arms.canary_n, arms.canary_total, arms.stable_n, arms.stable_total)
    return Block(arms.share, *map(round, counts))


def split_of(arms: Arms) -> Split:
    """Return how the events are split, against the observed share of the exposure."""
    total = arms.canary_n + arms.stable_n
    return Split(arms.canary_n / total if total else 0.0, round(arms.canary_total), round(arms.stable_total))


def late_looks_of(plan: Plan) -> int:
    """Return the looks over which later starts are spread: one and a half times the holds of the plan."""
    looks = 3 * sum(step.hold_ms for step in plan.stages) // (2 * plan.analysis.every_ms)
    return min(max(looks, FEWEST_LOOKS), MOST_LOOKS)
