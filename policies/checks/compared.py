"""One check at one look: its evidence, and the finding that tells it.

What the names in `Finding.values` mean; `<measure>` is `rows` or `calls`, with `/` and the value of a segment where
the check compares by segment; `<variant>` is `stable` or `canary`:

- `<measure>.<variant>` units and `<measure>.<variant>_events` events, or the sum of losses (each 0..1), of the
  attempt, in epochs with a canary;
- `<measure>.log_e_rollback`, `<measure>.log_e_promotion`: ln of the e-values of one measure. The check's rollback
  e-value is the mean over its measures (a mean is valid whatever their dependence), its promotion e-value the least of
  those that must pass;
- `<measure>.log_e_keys`: under keyed routing, that newly erring keys are the canary's more often than its share;
- `<measure>.log_e_bucket`: under keyed routing, promotion judged by the variance between key buckets; absent with too
  few events;
- `<measure>.<variant>_keys`: under keyed routing, the effective number of keys of a variant, known to 18 %;
- `limit`, `log_e_limit`: the absolute limit, and ln of the e-value that the canary's rate in this step is above it;
- `slower_than_ms`: the threshold of a slow-rate check; `weight`: the check's share in the rollback decision.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..frozen.numbers import FrozenNumbers
from ..plan.plan import Check, Metric, Plan
from ..scorecard.epochs import EpochSums
from ..stats.combine import log_mean_of
from ..stats.excess import log_e_above
from ..stats.losses import Losses
from ..stats.score import tuning
from ..wording import amount, e_value, percent, points
from .comparison import Comparison
from .finding import Finding, Status
from .metrics import Bounds, bounds_of, measures, slow_threshold_ms
from .reading import Reading, read

__all__ = ["CheckEvidence", "evidence_of"]

ROUNDING = 1e-9
"""An e-value of 1 in floating point: without any event a mixture is 1 but for the last bits."""

SEGMENT_STEPS = 2
"""Last steps in which each segment must pass by itself: before, one of 5 % of the traffic has no evidence."""

SEGMENT_TRAFFIC = 0.03
"""Share of the units from which a segment must pass by itself; a smaller one can still roll back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEvidence:
    """What speaks for and against the canary in one check; e-values are natural logarithms.

    `margin` is that of the step, in the range of the losses, as all of `bounds`. `gated` are the readings that must
    pass: all but small segments, and no segment before the last steps. `log_e_rollback` is the evidence that the
    canary is worse, `log_e_promotion` that it is not worse by the margin, in any measure. `rate` is the canary's rate
    in this step, nan without data; `log_e_limit` says how surely the true one is above the check's limit, None without
    a limit. `threshold_ms` is that of a slow-rate check.
    """

    check: Check
    bounds: Bounds
    margin: float
    gated: tuple[Reading, ...]
    readings: tuple[Reading, ...]
    log_e_rollback: float
    log_e_promotion: float
    rate: float
    log_e_limit: float | None
    threshold_ms: float | None

    @property
    def is_over_limit(self) -> bool:
        """Whether the canary's rate in this step is above the limit as it stands."""
        return self.bounds.limit is not None and self.rate > self.bounds.limit

    @property
    def leading(self) -> Reading:
        """The unit that is furthest from a promotion, or speaks loudest for a rollback."""
        loudest = max(self.readings, key=lambda reading: reading.log_e_rollback)
        if loudest.log_e_rollback > ROUNDING:
            return loudest
        return min(self.gated or self.readings, key=lambda reading: reading.log_e_promotion)

    @property
    def passed(self) -> Reading:
        """What is told of a check that passed: of rows and calls the rows, of segments the one nearest to failing."""
        return self.leading if self.check.segment_by else self.readings[0]

    @property
    def highest(self) -> Reading:
        """The unit in which the canary's own rate is highest: the one an absolute limit is about."""
        return max(self.readings, key=lambda reading: reading.canary.loss / max(1, reading.canary.n))

    def sentence(self) -> str:
        """Return what speaks loudest, in words."""
        return self.leading.sentence()

    def limit_sentence(self) -> str:
        """Return what an absolute limit is about, in words."""
        return self.highest.sentence()

    def passes(self, threshold: float) -> bool:
        """Tell whether the check allows a move up: shown not to be worse by the margin, by enough keys."""
        enough_keys = all(reading.enough_keys for reading in self.gated)
        return self.log_e_promotion >= threshold and enough_keys and not self.is_over_limit

    def spoken(self, difference: float) -> str:
        """Return a difference of losses (0..1) in the words of the metric."""
        if self.check.metric.is_event:
            return points(difference)
        if self.check.relative:
            return f"{percent(difference * self.check.margin / self.bounds.margin)} of stable's mean"
        return amount(difference * self.check.scale)

    def finding(self, failed: bool, weight: float, plan: Plan) -> Finding:
        """Return the finding; `failed` says that the decision over all checks holds this one against the canary."""
        threshold = -math.log(plan.analysis.alpha)
        status, told, reason = self._told(failed, threshold)
        interval = told.difference.interval(tuning(self.bounds.margin, plan.analysis.alpha), plan.analysis.alpha)
        return Finding(
            check=self.check.name,
            role=self.check.role,
            status=status,
            reason=reason,
            n={"stable": told.stable.n, "canary": told.canary.n},
            estimate=told.difference.estimate if math.isfinite(told.difference.estimate) else None,
            interval=interval if math.isfinite(interval[0]) else None,
            margin=self.margin,
            tolerance=self.bounds.tolerance,
            log_e_rollback=self.log_e_rollback,
            log_e_promotion=self.log_e_promotion,
            threshold=threshold,
            measure=told.measure.name,
            event=told.measure.words,
            values=self._values(weight),
        )

    def status(self, failed: bool, threshold: float) -> tuple[Status, str]:
        """Return the status of the check and its reason in words."""
        status, _, reason = self._told(failed, threshold)
        return status, reason

    def _told(self, failed: bool, threshold: float) -> tuple[Status, Reading, str]:
        """Return the status, the unit it is told of, and the reason in words."""
        worst, highest = self.leading, self.highest
        above = f"above the limit of {percent(self.bounds.limit or 0)}"
        if self.log_e_limit is not None and self.log_e_limit >= threshold:
            return Status.FAIL, highest, f"{above}: {highest.sentence()}"
        if failed:
            needed = f"e-value {e_value(self.log_e_rollback)}, {e_value(threshold)} needed"
            beyond = f" by more than {self.spoken(self.bounds.tolerance)}" if self.bounds.tolerance else ""
            return Status.FAIL, worst, f"worse than stable{beyond}: {worst.sentence()} ({needed})"
        if not any(reading.has_data for reading in self.readings):
            return Status.NO_DATA, worst, f"nothing to compare yet: {worst.sentence()}"
        needed = f"e-value {e_value(self.log_e_promotion)} of {e_value(threshold)} needed"
        if self.passes(threshold):
            told = self.passed
            return Status.PASS, told, f"not worse by {self.spoken(self.margin)}: {told.sentence()} ({needed})"
        if self.is_over_limit:
            return Status.INCONCLUSIVE, highest, f"{above} now: {highest.sentence()}"
        if not all(reading.enough_keys for reading in self.gated):
            return Status.INCONCLUSIVE, worst, f"too few keys to tell yet: {worst.sentence()}"
        within = f"not yet shown to be within {self.spoken(self.margin)}"
        return Status.INCONCLUSIVE, worst, f"{within}: {worst.sentence()} ({needed})"

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
    bounds = bounds_of(check, frozen)
    margin = bounds.loosened(plan.stages[max(step, 1) - 1].margin_factor)
    taken = measures(check, frozen)
    readings = tuple(read(check, measure, bounds, comparisons[measure.name], epochs, plan, margin) for measure in taken)
    here = [epoch.canary for epoch in epochs if epoch.step == step and epoch.share > 0]
    counts = [sum((measure.take(sums) for sums in here), start=Losses()) for measure in taken]
    gated = gated_of(check, readings, plan, step)
    return CheckEvidence(
        check=check,
        bounds=bounds,
        margin=margin,
        gated=gated,
        readings=readings,
        log_e_rollback=log_mean_of([reading.log_e_rollback for reading in readings]),
        log_e_promotion=min((reading.log_e_promotion for reading in gated), default=math.inf),
        rate=max((losses.mean for losses in counts if losses.n), default=math.nan),
        log_e_limit=log_e_over(bounds, counts),
        threshold_ms=slow_threshold_ms(check, frozen) if check.metric is Metric.SLOW_RATE else None,
    )


def gated_of(check: Check, readings: tuple[Reading, ...], plan: Plan, step: int) -> tuple[Reading, ...]:
    """Return the readings that must pass for a move up from `step`."""
    if check.segment_by is None:
        return readings
    if step <= len(plan.stages) - SEGMENT_STEPS:
        return ()
    units = sum(reading.canary.n + reading.stable.n for reading in readings)
    return tuple(
        reading for reading in readings if reading.canary.n + reading.stable.n >= max(1, SEGMENT_TRAFFIC * units)
    )


def log_e_over(bounds: Bounds, counts: Sequence[Losses]) -> float | None:
    """Return ln of the e-value that the canary's rate is above the limit, None without a limit."""
    if bounds.limit is None:
        return None
    return log_mean_of([log_e_above(bounds.limit, losses.n, round(losses.loss)) for losses in counts])
