"""The numbers that are taken from stable's own history before step 1 and never change in the attempt."""

from ..frozen.bins import bins_of
from ..frozen.numbers import FrozenNumbers, LossHistory
from ..frozen.reference import Reference
from ..plan.plan import Check, Metric, Plan
from ..scorecard.sums import OTHER, Sums, segment_name
from ..stats.durations import DURATION_UPPER_MS, duration_quantile
from ..stats.losses import Losses

__all__ = ["LEAST_CALLS", "LEAST_ROWS", "frozen_numbers"]

LEAST_ROWS = 1_000
"""Rows of stable without which no attempt begins: an error rate from fewer says little."""

LEAST_CALLS = 100
"""Calls of stable without which no attempt begins: its 99th percentile needs at least these."""

LEAST_LABELS = 200
"""Labelled rows of stable without which no check on labels begins."""

LEAST_PREDICTIONS = 1_000
"""Predictions of stable without which no check on them begins: a tenth of them makes a bin."""

MOST_SEGMENTS = 20
"""Values of a segment that are compared by themselves: each costs the others some of its chance to be heard."""

SLOW_FACTOR = 2.0
"""A call is slow beyond twice what 99 % of stable's calls take: nearer, the size of a call would be judged."""

SLOW_FLOOR_MS = 10.0
"""No call below this is slow: isolation and small batches cost the canary milliseconds that are not its model's."""


def frozen_numbers(stable: Sums, plan: Plan, references: tuple[Reference, ...] = ()) -> FrozenNumbers | str:
    """Return the frozen numbers from stable's sums since the start, or what is still missing, for people.

    A slow-rate check without a threshold of its own gets `SLOW_FACTOR` times stable's 99th percentile, at least
    `SLOW_FLOOR_MS`. A check by segment gets the `MOST_SEGMENTS` values with most traffic. A check on predictions
    gets their deciles and classes, one on features the canary's `references`.
    """
    if missing := still_missing(stable, plan):
        return missing
    checks = plan.analysis.checks
    thresholds = {
        check.name: check.slower_than_ms or frozen_threshold_ms(stable)
        for check in checks
        if check.metric is Metric.SLOW_RATE
    }
    return FrozenNumbers(
        rows=stable.rows,
        calls=stable.calls,
        error_rate=stable.row_fault_count / stable.rows,
        call_error_rate=stable.call_fault_count / stable.calls,
        slow_ms=thresholds,
        slow_rates={name: stable.calls_slower_than(ms) / stable.calls for name, ms in thresholds.items()},
        losses={check.name: history_of(losses_before(stable, check)) for check in checks if not check.metric.is_served},
        segments={check.name: segments_of(stable, check) for check in checks if check.segment_by is not None},
        code_rates={check.name: code_rates(stable, check.code) for check in checks if check.code is not None},
        predictions={
            check.name: bins_of(stable.predicted) for check in checks if check.metric is Metric.PREDICTION_DRIFT
        },
        references=references if any(check.metric is Metric.FEATURE_DRIFT for check in checks) else (),
    )


def still_missing(stable: Sums, plan: Plan) -> str | None:
    """Return what stable's history lacks before numbers can be taken from it, None if nothing."""
    if stable.rows < LEAST_ROWS or stable.calls < LEAST_CALLS:
        return (
            f"stable has {stable.rows:,} of {LEAST_ROWS:,} rows and {stable.calls:,} of {LEAST_CALLS:,} calls "
            "that its numbers need"
        )
    for check in plan.analysis.checks:
        if not check.metric.is_served and (losses := losses_before(stable, check)).n < LEAST_LABELS:
            return f"check {check.name}: stable has {losses.n:,} of {LEAST_LABELS:,} labelled rows that it needs"
        if check.metric is Metric.PREDICTION_DRIFT and stable.predicted.n < LEAST_PREDICTIONS:
            have = f"{stable.predicted.n:,} of {LEAST_PREDICTIONS:,} predictions"
            return f"check {check.name}: stable has {have} that its bins need"
    return None


def code_rates(stable: Sums, code: str) -> tuple[float, float]:
    """Return the shares of stable's rows and calls that failed by a code."""
    return stable.row_faults.get(code, 0) / stable.rows, stable.call_faults.get(code, 0) / stable.calls


def losses_before(stable: Sums, check: Check) -> Losses:
    """Return what stable has lost by a check so far, in all segments."""
    if check.segment_by is None:
        return stable.losses.get(check.name, Losses())
    return sum(by_segment(stable, check).values(), start=Losses())


def by_segment(stable: Sums, check: Check) -> dict[str, Losses]:
    """Return stable's losses by the value of the segment."""
    prefix = segment_name(check.name, "")
    return {name.removeprefix(prefix): losses for name, losses in stable.losses.items() if name.startswith(prefix)}


def segments_of(stable: Sums, check: Check) -> tuple[str, ...]:
    """Return the values that are compared by themselves, by falling traffic."""
    rows = {value: losses.n for value, losses in by_segment(stable, check).items() if value != OTHER}
    return tuple(sorted(rows, key=lambda value: (-rows[value], value))[:MOST_SEGMENTS])


def history_of(losses: Losses) -> LossHistory:
    """Return rows, mean and variance of losses, of one row at least."""
    return LossHistory(rows=losses.n, mean=losses.mean, variance=max(losses.square / losses.n - losses.mean**2, 0.0))


def frozen_threshold_ms(stable: Sums) -> float:
    """Return beyond how many ms a call is slow, judged by stable's calls; digits that the buckets can carry.

    Calls beyond the last bucket count as if they were at its edge: the threshold must stay a number.
    """
    usual = min(duration_quantile(stable.call_ms, 0.99), DURATION_UPPER_MS[-1])
    return max(SLOW_FLOOR_MS, float(f"{SLOW_FACTOR * usual:.3g}"))
