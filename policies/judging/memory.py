"""What the judge remembers between two looks of an attempt, as a value that a table can store."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..checks.comparison import Comparison, late_looks_of
from ..checks.drift import Drift
from ..checks.metrics import bounds_of, measures
from ..checks.movement import Movement
from ..frozen.numbers import FrozenNumbers
from ..plan.plan import Metric, Plan
from ..scorecard.epochs import Ledger
from ..scorecard.sums import Sums

__all__ = ["Memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The memory of one attempt; a new attempt begins with `Memory.empty`.

    All times are those of the cuts, never append times: under the event clock only they are in the same time.
    `looks` counts the looks taken; before the first the times mean nothing. `since_ms` is the time of the first
    look, `now_ms` the latest seen; `step` and `weight` are those of the last look and `step_since_ms` the time of
    the look that first saw them, from where the hold counts. `last` holds the cumulative evidence already judged,
    `comparisons` the tests by check and unit, `movements` those of checks on the distribution of predictions, `drifts`
    those of checks on the features of requests.
    """

    frozen: FrozenNumbers
    comparisons: Mapping[str, Mapping[str, Comparison]]
    movements: Mapping[str, Movement] = field(default_factory=dict)
    drifts: Mapping[str, Drift] = field(default_factory=dict)
    looks: int = 0
    since_ms: int = 0
    now_ms: int = 0
    step: int = 0
    weight: float = 0.0
    step_since_ms: int = 0
    last: Ledger = field(default_factory=dict)

    @classmethod
    def empty(cls, plan: Plan, frozen: FrozenNumbers) -> "Memory":
        """Return the memory before the first look of an attempt under `plan`, with its frozen numbers."""
        comparisons = {
            check.name: {
                measure.name: Comparison.start(check, measure, bounds_of(check, frozen), plan)
                for measure in measures(check, frozen)
            }
            for check in plan.analysis.checks
        }
        movements = {
            check.name: Movement.start(check, plan, frozen)
            for check in plan.analysis.checks
            if check.metric is Metric.PREDICTION_DRIFT
        }
        drifts = {
            check.name: Drift.start(frozen.references, check.limit, late_looks_of(plan))
            for check in plan.analysis.checks
            if check.metric is Metric.FEATURE_DRIFT and check.limit is not None
        }
        return cls(frozen=frozen, comparisons=comparisons, movements=movements, drifts=drifts)

    def to_json(self) -> dict[str, Any]:
        """Return the memory as JSON; floats keep every bit, so a restart changes no decision."""
        return {
            "frozen": asdict(self.frozen),
            "comparisons": {
                check: {unit: comparison.to_json() for unit, comparison in units.items()}
                for check, units in self.comparisons.items()
            },
            "movements": {check: movement.to_json() for check, movement in self.movements.items()},
            "drifts": {check: drift.to_json() for check, drift in self.drifts.items()},
            "looks": self.looks,
            "since_ms": self.since_ms,
            "now_ms": self.now_ms,
            "step": self.step,
            "weight": self.weight,
            "step_since_ms": self.step_since_ms,
            "last": {
                str(revision): {variant: sums.to_json() for variant, sums in variants.items()}
                for revision, variants in self.last.items()
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Memory":
        """Return the memory that `to_json` wrote."""
        frozen = FrozenNumbers.from_json(value["frozen"])
        return cls(
            frozen=frozen,
            comparisons={
                check: {unit: Comparison.from_json(comparison) for unit, comparison in units.items()}
                for check, units in value["comparisons"].items()
            },
            movements={check: Movement.from_json(movement) for check, movement in value.get("movements", {}).items()},
            drifts={name: Drift.from_json(drift, frozen.references) for name, drift in value.get("drifts", {}).items()},
            looks=value["looks"],
            since_ms=value["since_ms"],
            now_ms=value["now_ms"],
            step=value["step"],
            weight=value["weight"],
            step_since_ms=value["step_since_ms"],
            last={
                int(revision): {variant: Sums.from_json(sums) for variant, sums in variants.items()}
                for revision, variants in value["last"].items()
            },
        )
