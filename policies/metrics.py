"""Which loss a metric takes from the sums, and in which unit it is counted.

Rows of one model call share its latency and often its fate: so latency and faults of whole calls are counted by the
call, faults of single rows by the row. (Rows taken as independent: 43 to 89 % false rollbacks at 5 % slow calls.)
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from .plan import Check, FrozenNumbers, Metric
from .scorecard import Sums

__all__ = ["Measure", "Unit", "measures", "slow_threshold_ms"]

Count = Callable[[Sums], tuple[int, int]]
"""From sums to (units, events)."""


class Unit(Enum):
    """What is counted once."""

    ROWS = "rows"
    CALLS = "calls"


@dataclass(frozen=True, slots=True)
class Measure:
    """One loss of a check: its unit, how it is counted, and stable's rate (0..1) before the attempt over `history`.

    `event` says in words what happened to the units that are counted.
    """

    unit: Unit
    event: str
    count: Count
    base: float
    history: int


def measures(check: Check, frozen: FrozenNumbers) -> tuple[Measure, ...]:
    """Return the losses a check compares: two for the error rate, one for the slow rate."""
    if check.metric is Metric.ERROR_RATE:
        return (
            Measure(Unit.ROWS, "failed", row_errors, frozen.error_rate, frozen.rows),
            Measure(Unit.CALLS, "failed whole", call_errors, frozen.call_error_rate, frozen.calls),
        )
    slower_than_ms = slow_threshold_ms(check, frozen)
    base = frozen.slow_rates.get(check.name, 0.0)
    event = f"took longer than {slower_than_ms:.3g} ms"
    return (Measure(Unit.CALLS, event, slow_calls(slower_than_ms), base, frozen.calls),)


def slow_threshold_ms(check: Check, frozen: FrozenNumbers) -> float:
    """Return what a slow-rate check calls slow: its own threshold, else the frozen one."""
    return frozen.slow_ms[check.name] if check.slower_than_ms is None else check.slower_than_ms


def row_errors(sums: Sums) -> tuple[int, int]:
    """Return rows and those that failed by themselves."""
    return sums.rows, sums.row_fault_count


def call_errors(sums: Sums) -> tuple[int, int]:
    """Return calls and those that failed whole."""
    return sums.calls, sums.call_fault_count


def slow_calls(ms: float) -> Count:
    """Return the count of calls and of those slower than `ms`."""
    return lambda sums: (sums.calls, sums.calls_slower_than(ms))
