"""Which loss a metric takes from the sums, and in which unit it is counted.

Rows of one model call share its latency and often its fate: so latency and faults of whole calls are counted by the
call, faults of single rows by the row. (Rows taken as independent: 43 to 89 % false rollbacks at 5 % slow calls.)
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from ..frozen.numbers import FrozenNumbers, LossHistory
from ..plan.plan import Check, Direction, Metric
from ..scorecard.sums import OTHER, Sums, segment_name
from ..stats.losses import Losses
from ..wording import amount, percent

__all__ = ["Bounds", "Measure", "Unit", "bounds_of", "measures", "shown", "slow_threshold_ms"]

Taken = Callable[[Sums], Losses]
"""From sums to the losses of a measure."""

WORDS = {
    Metric.ERROR_RATE: "failed",
    Metric.ACCURACY: "wrong",
    Metric.MISS_RATE: "missed",
    Metric.FALSE_ALARM_RATE: "false alarms",
}
"""What happened to the units that are counted, in words."""


class Unit(Enum):
    """What is counted once."""

    ROWS = "rows"
    CALLS = "calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One loss of a check: its unit, how it is taken, and what stable lost before the attempt.

    `words` says what happened to the units that are counted, empty for losses between 0 and 1. `has_keys`: the keys
    that had the event are known, so that each can be counted once. `segment` is the value it is confined to.
    """

    unit: Unit
    words: str
    take: Taken
    history: LossHistory
    has_keys: bool = False
    segment: str | None = None

    @property
    def is_of_all_rows(self) -> bool:
        """Whether every row that is evidence has this loss, so that the designed share is that of its units."""
        return self.unit is Unit.ROWS and self.has_keys

    @property
    def name(self) -> str:
        """The unit, and the segment if it is confined to one: unique within its check."""
        return self.unit.value if self.segment is None else f"{self.unit.value}/{self.segment}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The margin, tolerance and limit of a check in the range 0..1 of its losses."""

    margin: float
    tolerance: float
    limit: float | None

    def loosened(self, factor: float) -> float:
        """Return the margin of a step with this factor; no difference of losses exceeds 1."""
        return min(self.margin * factor, 1.0)


def bounds_of(check: Check, frozen: FrozenNumbers) -> Bounds:
    """Return the bounds of a check; those relative to stable's mean by what it was before the attempt."""
    unit = check.scale
    if check.relative:
        mean = frozen.losses[check.name].mean
        unit = 1.0 / (1.0 - mean if check.direction is Direction.DECREASE else mean)
    return Bounds(check.margin / unit, check.tolerance / unit, None if check.limit is None else check.limit / unit)


def measures(check: Check, frozen: FrozenNumbers) -> tuple[Measure, ...]:
    """Return the losses a check compares: two for errors, one for each segment, else one; none without a mean."""
    if check.metric is Metric.PREDICTION_DRIFT or check.metric.has_only_a_limit:
        return ()
    if check.segment_by is not None:
        return tuple(segment_measure(check, value, frozen) for value in (*frozen.segments[check.name], OTHER))
    if check.metric is Metric.ERROR_RATE:
        row_history = of_events(frozen.rows, frozen.error_rate)
        call_history = of_events(frozen.calls, frozen.call_error_rate)
        return (
            Measure(unit=Unit.ROWS, words="failed", take=row_errors, history=row_history, has_keys=True),
            Measure(unit=Unit.CALLS, words="failed whole", take=call_errors, history=call_history),
        )
    if check.code is not None:
        return code_measures(check, check.code, frozen)
    if check.metric is Metric.SLOW_RATE:
        slower_than_ms = slow_threshold_ms(check, frozen)
        history = of_events(frozen.calls, frozen.slow_rates.get(check.name, 0.0))
        words = f"took longer than {slower_than_ms:.3g} ms"
        return (Measure(unit=Unit.CALLS, words=words, take=slow_calls(slower_than_ms), history=history),)
    words, take = WORDS.get(check.metric, ""), losses_of(check.name)
    return (Measure(unit=Unit.ROWS, words=words, take=take, history=frozen.losses[check.name]),)


def code_measures(check: Check, code: str, frozen: FrozenNumbers) -> tuple[Measure, Measure]:
    """Return the rows that failed by themselves with a code, and the calls that failed whole with it."""
    rows, calls = frozen.code_rates.get(check.name, (0.0, 0.0))

    def calls_lost(sums: Sums) -> Losses:
        return Losses.of_events(sums.calls, sums.call_faults.get(code, 0))

    return (
        Measure(unit=Unit.ROWS, words=f"failed with {code}", take=losses_of(check.name),
                history=of_events(frozen.rows, rows)),
        Measure(unit=Unit.CALLS, words=f"failed whole with {code}", take=calls_lost,
                history=of_events(frozen.calls, calls)),
    )  # fmt: skip


def segment_measure(check: Check, value: str, frozen: FrozenNumbers) -> Measure:
    """Return the loss of a check within one segment; its history is that of all traffic."""
    history = frozen.losses.get(check.name) or of_events(frozen.rows, frozen.error_rate)
    take = losses_of(segment_name(check.name, value)) if value != OTHER else other_losses(check, frozen)
    return Measure(unit=Unit.ROWS, words=WORDS.get(check.metric, ""), take=take, history=history, segment=value)


def of_events(n: int, rate: float) -> LossHistory:
    """Return the history of losses that are 0 or 1."""
    return LossHistory(rows=n, mean=rate, variance=rate * (1.0 - rate))


def slow_threshold_ms(check: Check, frozen: FrozenNumbers) -> float:
    """Return what a slow-rate check calls slow: its own threshold, else the frozen one."""
    return frozen.slow_ms[check.name] if check.slower_than_ms is None else check.slower_than_ms


def row_errors(sums: Sums) -> Losses:
    """Return the losses of rows that failed by themselves."""
    return Losses.of_events(sums.rows, sums.row_fault_count, sums.bucket_rows, sums.bucket_faults)


def call_errors(sums: Sums) -> Losses:
    """Return the losses of calls that failed whole."""
    return Losses.of_events(sums.calls, sums.call_fault_count)


def slow_calls(ms: float) -> Taken:
    """Return how calls are taken that were slower than `ms`."""
    return lambda sums: Losses.of_events(sums.calls, sums.calls_slower_than(ms))


def losses_of(name: str) -> Taken:
    """Return how losses are taken that the scorecard keeps under a name."""
    nothing = Losses()
    return lambda sums: sums.losses.get(name, nothing)


def other_losses(check: Check, frozen: FrozenNumbers) -> Taken:
    """Return how the losses of all segments are taken that are not compared by themselves."""
    prefix = segment_name(check.name, "")
    compared = {segment_name(check.name, value) for value in frozen.segments[check.name]}

    def take(sums: Sums) -> Losses:
        names = [name for name in sums.losses if name.startswith(prefix) and name not in compared]
        return sum((sums.losses[name] for name in names), start=Losses())

    return take


def shown(check: Check, mean: float) -> str:
    """Return a mean loss as a reader of this check expects it: a percentage of events, else in the metric's unit."""
    if check.metric.is_event:
        return percent(mean)
    return amount(check.scale * (1.0 - mean if check.direction is Direction.DECREASE else mean))
