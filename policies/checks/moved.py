"""A check on the distribution of predictions at one look: its evidence, and the finding that tells it.

What the names in `Finding.values` mean; `<variant>` is `stable` or `canary`:

- `predictions.<variant>`: rows of the attempt, in epochs with a canary;
- `psi`: the population stability index, `js`: the Jensen-Shannon divergence (nats), both without what chance adds;
- `predictions.<variant>_keys`: under keyed routing, what the rows count for: the effective keys of the variant;
- `weight`: the check's share in the rollback decision.

`estimate` is the total variation distance, 0..1, without what chance adds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..frozen.bins import PredictionBins
from ..frozen.numbers import FrozenNumbers
from ..plan.plan import By, Check, Plan
from ..scorecard.epochs import EpochSums
from ..stats.distribution import ClassCounts, Distance, distance, shares
from ..wording import amount, e_value, percent
from .evidence import Unlimited
from .finding import Finding, Status
from .movement import Movement, counts_by_epoch, loosened

__all__ = ["MovedEvidence", "moved_evidence"]

MEASURE = "predictions"
"""What the finding counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedEvidence(Unlimited):
    """How far the canary's predictions are from stable's; e-values are natural logarithms.

    `margin` is that of the step. `log_e_rollback` is the evidence that the distance is above the tolerance,
    `log_e_promotion` that it is below the margin. `counts` are the predictions by bin and epoch, for what they are
    worth; `canary` and `stable` how many there are.
    """

    check: Check
    bins: PredictionBins
    margin: float
    keyed: bool
    canary: int
    stable: int
    counts: Sequence[ClassCounts]
    distance: Distance
    log_e_rollback: float
    log_e_promotion: float

    def passes(self, threshold: float) -> bool:
        """Tell whether the distance is shown to be below the margin."""
        return self.log_e_promotion >= threshold

    def status(self, failed: bool, threshold: float) -> tuple[Status, str]:
        """Return the status of the check and its reason in words."""
        if failed:
            needed = f"e-value {e_value(self.log_e_rollback)}, {e_value(threshold)} needed"
            return Status.FAIL, f"further than {amount(self.check.tolerance)}: {self.sentence()} ({needed})"
        if not math.isfinite(self.distance.variation):
            return Status.NO_DATA, f"nothing to compare yet: {self.sentence()}"
        needed = f"e-value {e_value(self.log_e_promotion)} of {e_value(threshold)} needed"
        if self.passes(threshold):
            return Status.PASS, f"within {amount(self.margin)}: {self.sentence()} ({needed})"
        return Status.INCONCLUSIVE, f"not yet shown to be within {amount(self.margin)}: {self.sentence()} ({needed})"

    def sentence(self) -> str:
        """Return the distance in words, with the bin that changed most."""
        rows = f"{self.canary:,} against {self.stable:,} rows"
        if not math.isfinite(self.distance.variation):
            return f"predictions of {rows}"
        canary, stable = shares(self.counts)
        most = int(np.argmax(np.abs(canary - stable)))
        changed = f"most changed: {self.bins.names[most]}, {percent(canary[most])} instead of {percent(stable[most])}"
        return f"canary's predictions are {amount(self.distance.variation)} away from stable's ({rows}); {changed}"

    def finding(self, failed: bool, weight: float, plan: Plan) -> Finding:
        """Return the finding; `failed` says that the decision over all checks holds this one against the canary."""
        threshold = -math.log(plan.analysis.alpha)
        status, reason = self.status(failed, threshold)
        apart = self.distance
        return Finding(
            check=self.check.name,
            role=self.check.role,
            status=status,
            reason=reason,
            n={"stable": self.stable, "canary": self.canary},
            estimate=apart.variation if math.isfinite(apart.variation) else None,
            margin=self.margin,
            tolerance=self.check.tolerance,
            log_e_rollback=self.log_e_rollback,
            log_e_promotion=self.log_e_promotion,
            threshold=threshold,
            measure=MEASURE,
            event="",
            values=self._values(weight),
        )

    def _values(self, weight: float) -> dict[str, float]:
        values = {"weight": weight, f"{MEASURE}.canary": float(self.canary), f"{MEASURE}.stable": float(self.stable)}
        if math.isfinite(self.distance.variation):
            values |= {"psi": self.distance.stability, "js": self.distance.divergence}
        if self.keyed:
            values[f"{MEASURE}.canary_keys"] = sum(float(epoch.canary.sum()) for epoch in self.counts)
            values[f"{MEASURE}.stable_keys"] = sum(float(epoch.stable.sum()) for epoch in self.counts)
        return values


def moved_evidence(
    check: Check, movement: Movement, epochs: Sequence[EpochSums], plan: Plan, frozen: FrozenNumbers, step: int
) -> MovedEvidence:
    """Return the evidence of a check on predictions in `step` (1..n; 0, a weight set by hand below the first: 1)."""
    bins = frozen.predictions[check.name]
    counts = counts_by_epoch(epochs, bins, plan.routing.by)
    compared = [epoch for epoch in epochs if epoch.share > 0]
    margin = loosened(check, plan.stages[max(step, 1) - 1].margin_factor)
    return MovedEvidence(
        check=check,
        bins=bins,
        margin=margin,
        keyed=plan.routing.by is By.KEY,
        canary=sum(epoch.canary.predicted.n for epoch in compared),
        stable=sum(epoch.stable.predicted.n for epoch in compared),
        counts=counts,
        distance=distance(counts),
        log_e_rollback=movement.apart.value(),
        log_e_promotion=movement.close.value(margin),
    )
