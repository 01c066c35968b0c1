"""One check at one look: its evidence, and the finding that tells it.

What the names in `Finding.values` mean; `<unit>` is `rows` or `calls`, `<variant>` is `stable` or `canary`:

- `<unit>.<variant>` units and `<unit>.<variant>_events` events of the attempt, in epochs with a canary;
- `<unit>.log_e_rollback`, `<unit>.log_e_promotion`: ln of the e-values of one unit. The check's rollback e-value is
  the mean over its units (a mean is valid whatever their dependence), its promotion e-value the least of them;
- `rows.log_e_keys`: under keyed routing, that newly erring keys are the canary's more often than its share;
- `rows.log_e_bucket`: under keyed routing, promotion judged by the variance between key buckets; absent with too few
  events;
- `rows.<variant>_keys`: under keyed routing, the effective number of keys of a variant, known to 18 %;
- `limit`, `log_e_limit`: the absolute limit, and ln of the e-value that the canary's rate in this step is above it;
- `slower_than_ms`: the threshold of a slow-rate check; `weight`: the check's share in the rollback decision.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .comparison import Comparison, step_margin
from .epochs import EpochSums
from .finding import Finding, Status
from .metrics import measures, slow_threshold_ms
from .plan import Check, FrozenNumbers, Metric, Plan, Role
from .reading import Reading, read
from .stats.combine import log_mean_of
from .stats.excess import log_e_above
from .stats.score import tuning
from .wording import e_value, percent, points

__all__ = ["CheckEvidence", "evidence_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEvidence:
    """What speaks for and against the canary in one check; e-values are natural logarithms.

    `margin` is that of the step. `log_e_rollback` is the evidence that the canary is worse, `log_e_promotion` that it
    is not worse by the margin, in any unit. `rate` is the canary's rate in this step, nan without data;
    `log_e_limit` says how surely the true one is above the check's limit, None without a limit. `threshold_ms` is
    that of a slow-rate check.
    """

    check: Check
    margin: float
    readings: tuple[Reading, ...]
    log_e_rollback: float
    log_e_promotion: float
    rate: float
    log_e_limit: float | None
    threshold_ms: float | None

    @property
    def acts(self) -> bool:
        """Whether the check can roll back and must pass for promotion."""
        return self.check.role is Role.GUARDRAIL and not self.check.dry_run

    @property
    def is_over_limit(self) -> bool:
        """Whether the canary's rate in this step is above the limit as it stands."""
        return self.check.limit is not None and self.rate > self.check.limit

    @property
    def leading(self) -> Reading:
        """The unit that is furthest from a promotion, or speaks loudest for a rollback."""
        loudest = max(self.readings, key=lambda reading: reading.log_e_rollback)
        return loudest if loudest.log_e_rollback > 0 else min(self.readings, key=lambda r: r.log_e_promotion)

    @property
    def highest(self) -> Reading:
        """The unit in which the canary's own rate is highest: the one an absolute limit is about."""
        return max(self.readings, key=lambda reading: reading.canary[1] / max(1, reading.canary[0]))

    def passes(self, threshold: float) -> bool:
        """Tell whether the check allows a move up: shown not to be worse by the margin, by enough keys."""
        enough_keys = all(reading.enough_keys for reading in self.readings)
        return self.log_e_promotion >= threshold and enough_keys and not self.is_over_limit

    def finding(self, failed: bool, weight: float, plan: Plan) -> Finding:
        """Return the finding; `failed` says that the decision over all checks holds this one against the canary."""
        threshold = -math.log(plan.analysis.alpha)
        status, reason = self.status(failed, threshold)
        leading = self.leading
        interval = leading.difference.interval(tuning(self.check.margin, plan.analysis.alpha), plan.analysis.alpha)
        return Finding(
            check=self.check.name,
            role=self.check.role,
            status=status,
            reason=reason,
            n={"stable": leading.stable[0], "canary": leading.canary[0]},
            estimate=leading.difference.estimate if math.isfinite(leading.difference.estimate) else None,
            interval=interval if math.isfinite(interval[0]) else None,
            margin=self.margin,
            tolerance=self.check.tolerance,
            log_e_rollback=self.log_e_rollback,
            log_e_promotion=self.log_e_promotion,
            threshold=threshold,
            values=self._values(weight),
        )

    def status(self, failed: bool, threshold: float) -> tuple[Status, str]:
        """Return the status of the check and its reason in words."""
        leading = self.leading
        if self.log_e_limit is not None and self.log_e_limit >= threshold:
            return Status.FAIL, f"above the limit of {percent(self.check.limit or 0)}: {self.highest.sentence()}"
        if failed:
            needed = f"e-value {e_value(self.log_e_rollback)}, {e_value(threshold)} needed"
            beyond = f" by more than {points(self.check.tolerance)}" if self.check.tolerance else ""
            return Status.FAIL, f"worse than stable{beyond}: {leading.sentence()} ({needed})"
        if not any(reading.has_data for reading in self.readings):
            return Status.NO_DATA, f"nothing to compare yet: {leading.sentence()}"
        needed = f"e-value {e_value(self.log_e_promotion)} of {e_value(threshold)} needed"
        if self.passes(threshold):
            return Status.PASS, f"not worse by {points(self.margin)}: {leading.sentence()} ({needed})"
        if self.is_over_limit:
            return (
                Status.INCONCLUSIVE,
                f"above the limit of {percent(self.check.limit or 0)} now: {self.highest.sentence()}",
            )
        if not all(reading.enough_keys for reading in self.readings):
            return Status.INCONCLUSIVE, f"too few keys to tell yet: {leading.sentence()}"
        return Status.INCONCLUSIVE, f"not yet shown to be within {points(self.margin)}: {leading.sentence()} ({needed})"

    def _values(self, weight: float) -> dict[str, float]:
        values = {"weight": weight}
        for reading in self.readings:
            values |= reading.values()
        if self.check.limit is not None and self.log_e_limit is not None:
            values["limit"] = self.check.limit
            if math.isfinite(self.log_e_limit):
                values["log_e_limit"] = self.log_e_limit
        if self.threshold_ms is not None:
            values["slower_than_ms"] = self.threshold_ms
        return values


def evidence_of(
    check: Check,
    comparisons: Mapping[str, Comparison],
    epochs: Sequence[EpochSums],
    plan: Plan,
    frozen: FrozenNumbers,
    step: int,
) -> CheckEvidence:
    """Return the evidence of one check in `step` (1..n; 0, a weight set by hand below the first, counts as 1)."""
    margin = step_margin(check, plan.steps[max(step, 1) - 1].margin_factor)
    taken = measures(check, frozen)
    here = [epoch.canary for epoch in epochs if epoch.step == step and epoch.share > 0]
    counts = [tuple(map(sum, zip(*map(measure.count, here), strict=True))) or (0, 0) for measure in taken]
    limit = check.limit
    readings = tuple(read(check, measure, comparisons[measure.unit.value], epochs, plan, margin) for measure in taken)
    return CheckEvidence(
        check=check,
        margin=margin,
        readings=readings,
        log_e_rollback=log_mean_of([reading.log_e_rollback for reading in readings]),
        log_e_promotion=min(reading.log_e_promotion for reading in readings),
        rate=max((events / n for n, events in counts if n), default=math.nan),
        log_e_limit=None if limit is None else log_mean_of([log_e_above(limit, n, events) for n, events in counts]),
        threshold_ms=slow_threshold_ms(check, frozen) if check.metric is Metric.SLOW_RATE else None,
    )
