"""The numbers that are taken from stable's own history before step 1 and never change in the attempt."""

from .plan import FrozenNumbers, Metric, Plan
from .scorecard import Sums
from .stats.durations import DURATION_UPPER_MS, duration_quantile

__all__ = ["LEAST_CALLS", "LEAST_ROWS", "frozen_numbers"]

LEAST_ROWS = 1_000
"""Rows of stable without which no attempt begins: an error rate from fewer says little."""

LEAST_CALLS = 100
"""Calls of stable without which no attempt begins: its 99th percentile needs at least these."""

SLOW_FACTOR = 2.0
"""A call is slow beyond twice what 99 % of stable's calls take: nearer, the size of a call would be judged."""

SLOW_FLOOR_MS = 10.0
"""No call below this is slow: isolation and small batches cost the canary milliseconds that are not its model's."""


def frozen_numbers(stable: Sums, plan: Plan) -> FrozenNumbers | str:
    """Return the frozen numbers from stable's sums since the start, or what is still missing, for people.

    A slow-rate check without a threshold of its own gets `SLOW_FACTOR` times stable's 99th percentile, at least
    `SLOW_FLOOR_MS`.
    """
    if stable.rows < LEAST_ROWS or stable.calls < LEAST_CALLS:
        return (
            f"stable has {stable.rows:,} of {LEAST_ROWS:,} rows and {stable.calls:,} of {LEAST_CALLS:,} calls "
            "that its numbers need"
        )
    thresholds = {
        check.name: check.slower_than_ms or frozen_threshold_ms(stable)
        for check in plan.analysis.checks
        if check.metric is Metric.SLOW_RATE
    }
    return FrozenNumbers(
        rows=stable.rows,
        calls=stable.calls,
        error_rate=stable.row_fault_count / stable.rows,
        call_error_rate=stable.call_fault_count / stable.calls,
        slow_ms=thresholds,
        slow_rates={name: stable.calls_slower_than(ms) / stable.calls for name, ms in thresholds.items()},
    )


def frozen_threshold_ms(stable: Sums) -> float:
    """Return beyond how many ms a call is slow, judged by stable's calls; digits that the buckets can carry.

    Calls beyond the last bucket count as if they were at its edge: the threshold must stay a number.
    """
    usual = min(duration_quantile(stable.call_ms, 0.99), DURATION_UPPER_MS[-1])
    return max(SLOW_FLOOR_MS, float(f"{SLOW_FACTOR * usual:.3g}"))
