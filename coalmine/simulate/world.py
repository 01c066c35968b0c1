"""What a simulated attempt meets: traffic, what goes wrong for everybody, and what the canary does worse. Values only.

Base rates are those of `policies.FrozenNumbers`, the shape in which the judge knows them, so that estimate, simulation
and judge speak of the same numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from coalmine.policies import Check, FrozenNumbers, LossHistory, Metric, Plan
from coalmine.policies.planning.lanes import Supply

__all__ = [
    "CALL_ERRORS",
    "ERRORS",
    "EVENT_LOSS",
    "MEAN_LOSS",
    "SEGMENTS",
    "SLOW",
    "Harm",
    "World",
    "base_like",
    "base_of",
    "rows_per_call",
]

ERRORS, CALL_ERRORS, SLOW = 0.001, 0.0, 0.01
"""Shares of rows that fail, of calls that fail whole and of slow calls where nothing else is said."""

EVENT_LOSS = 0.10
"""Share of rows with the loss (wrong, missed, false alarm) where nothing else is said: an accuracy of 90 %."""

MEAN_LOSS = LossHistory(rows=5_000, mean=0.10, variance=0.15**2)
"""Other losses, in shares of their range, where nothing else is said."""

HISTORY_ROWS = 5_000
"""Rows of stable that base rates given by hand are taken to rest on."""

SEGMENTS: Mapping[str, float] = {
    "largest": 0.30, "second": 0.20, "third": 0.15, "fourth": 0.12, "fifth": 0.09, "small": 0.065, "smaller": 0.045,
    "smallest": 0.03,
}  # fmt: skip
"""Values of every field of `segment` in simulated traffic with their share of it, by falling traffic."""

POLL_SECONDS = 0.02
"""Requests of this time are worked in one call."""


def rows_per_call(rows_per_second: float) -> int:
    """Return how many rows a poll brings: those of 20 ms, at most a poll of 2,000, at least one.

    >>> rows_per_call(10.0), rows_per_call(1_000.0)
    (1, 20)
    """
    return min(max(round(rows_per_second * POLL_SECONDS), 1), 2_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What the canary does worse, added to the rates of everybody; all in shares 0..1 of the range of a loss.

    `losses` maps names of checks to what is added to their mean loss. If a `segment` is named, errors and losses are
    added inside of it only, and `elsewhere` to the losses outside. `moved` is the share of predictions that
    are of a kind stable never makes: the distance between the predictions of both. Begins `since_ms` after step 1.
    """

    errors: float = 0.0
    call_errors: float = 0.0
    slow: float = 0.0
    moved: float = 0.0
    losses: Mapping[str, float] = field(default_factory=dict)
    segment: str | None = None
    elsewhere: float = 0.0
    since_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Traffic and what happens in it.

    `rows_per_second` of requests in the scope of the rollout, `rows_per_call` of them in one call of a model, from
    `keys` keys whose popularity is Pareto with exponent `tail`. `sticky` is the share of errors and of losses that
    comes from keys on which every model fails, always. All rates are multiplied by a factor that both variants share:
    `burst` is the standard deviation of its logarithm from look to look, `wave` the height of a slow wave on that
    (period 2,000 s), and it grows to `growth` in `growth_ms`, or with the steps of the ramp where that is 0. Labels
    come `label_delay_ms` after the request. `is_over_ms` after step 1 the traffic ends, if not None.
    """

    base: FrozenNumbers
    rows_per_second: float = 50.0
    rows_per_call: int = 1
    keys: int = 10_000
    tail: float = 2.0
    sticky: float = 0.0
    burst: float = 0.0
    wave: float = 0.0
    growth: float = 1.0
    growth_ms: int = 0
    label_delay_ms: int = 0
    is_over_ms: int | None = None
    harm: Harm = field(default_factory=Harm)

    def __post_init__(self) -> None:
        if not 0 <= self.rows_per_second <= 1e6 or self.rows_per_call < 1 or not 1 <= self.keys <= 1_000_000:
            raise ValueError("a world has 0 to a million rows a second, calls of a row at least, 1 to a million keys")
        if not 0 <= self.sticky <= 1 or self.tail <= 1 or self.growth <= 0:
            raise ValueError("a world has a sticky share of 0 to 1, a tail above 1 and a growth above 0")

    @property
    def popularity(self) -> NDArray[np.float64]:
        """The share of the traffic that each key has: the quantiles of Pareto, so that every run has equal keys."""
        found = (1.0 - (np.arange(self.keys) + 0.5) / self.keys) ** (-1.0 / self.tail)
        return np.asarray(found / found.sum())

    @property
    def effective_keys(self) -> float:
        """1 / (sum of the squared shares of the keys in the traffic)."""
        return float(1.0 / np.square(self.popularity).sum())

    @property
    def supply(self) -> Supply:
        """The traffic as planning knows it."""
        return Supply(rows_per_second=self.rows_per_second, rows_per_call=self.rows_per_call, keys=self.effective_keys,
                      segments=SEGMENTS, label_seconds=self.label_delay_ms / 1_000)  # fmt: skip


def base_of(
    plan: Plan,
    *,
    errors: float = ERRORS,
    call_errors: float = CALL_ERRORS,
    slow: float = SLOW,
    means: Mapping[str, float] | None = None,
) -> FrozenNumbers:
    """Return base rates for the checks of a plan; `means` maps names of checks to their mean loss (0..1).

    A mean loss given by hand keeps the spread of `MEAN_LOSS` as far as its range allows.
    """
    given = means or {}
    checks = plan.analysis.checks
    slow_checks = [check for check in checks if check.metric is Metric.SLOW_RATE]
    return FrozenNumbers(
        rows=HISTORY_ROWS,
        calls=HISTORY_ROWS,
        error_rate=errors,
        call_error_rate=call_errors,
        slow_ms={check.name: check.slower_than_ms or 50.0 for check in slow_checks},
        slow_rates={check.name: slow for check in slow_checks},
        losses={check.name: loss_of(check, given.get(check.name)) for check in checks if not check.metric.is_served},
        segments={check.name: tuple(SEGMENTS) for check in checks if check.segment_by is not None},
        code_rates={check.name: (errors, call_errors) for check in checks if check.code is not None},
    )


def base_like(plan: Plan, known: FrozenNumbers | None) -> FrozenNumbers:
    """Return base rates for the checks of a plan, those of an earlier attempt where it had them."""
    usual = base_of(plan)
    if known is None:
        return usual
    return replace(
        usual,
        error_rate=known.error_rate,
        call_error_rate=known.call_error_rate,
        slow_rates={name: known.slow_rates.get(name, rate) for name, rate in usual.slow_rates.items()},
        losses={name: known.losses.get(name, loss) for name, loss in usual.losses.items()},
    )


def loss_of(check: Check, mean: float | None) -> LossHistory:
    """Return what stable loses in a check with labels."""
    if check.metric.is_event:
        rate = EVENT_LOSS if mean is None else mean
        return LossHistory(rows=HISTORY_ROWS, mean=rate, variance=rate * (1.0 - rate))
    if mean is None:
        return MEAN_LOSS
    return LossHistory(rows=HISTORY_ROWS, mean=mean, variance=min(MEAN_LOSS.variance, 0.5 * mean * (1.0 - mean)))
