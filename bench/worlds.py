"""Streams of losses of two models, one look at a time, for the study of single checks (`bench.decisions`).

A world says what a row may lose under stable and under the canary, how the weight moves and how rows come: independent
of each other, by keys of very unequal traffic that differ in how often they fail, or in calls that share their fate.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from coalmine.policies import (
    Analysis,
    By,
    Check,
    FrozenNumbers,
    Losses,
    LossHistory,
    Metric,
    ModelRef,
    Plan,
    Routing,
    Step,
    Sums,
    Topics,
)
from coalmine.policies.checks.metrics import Unit
from coalmine.policies.scorecard.epochs import EpochSums

__all__ = ["LOOKS", "RAMP", "World", "at_margin", "epochs", "frozen_of", "plan_of", "worse"]

Floats = NDArray[np.float64]

LOOKS = 500
"""Looks of one run."""

RAMP = ((1.0, 100), (5.0, 120), (25.0, 140), (50.0, 140))
"""Weights in percent and how many looks each stays."""

HISTORY = 20_000
"""Rows of stable from which its base rate and variance are frozen."""

DRAWN = 20_000
"""Draws from which a world without a formula knows its own mean and variance."""

PLACES = 1 << 18
"""Entries of the table that keys are drawn from; the rarest of 3,000 keys has some twenty."""

DEFAULT_STEPS = 5
"""Steps of the shipped ramp, whose holds in all set how the tests spread their later starts."""

CHECK = "loss"
"""The name of the one check."""


Draw = Callable[[np.random.Generator, int], Floats]
"""Draws the losses, each 0..1, of so many rows."""


@dataclass(frozen=True, slots=True)
class World:
    """One kind of traffic.

    Rows have an event, a loss of 1, at rate `base`; or `draw` says what they lose. `extra` is added to the canary's:
    for events a probability that a row without the event has it, else a shift of the loss (cut off at 1). `rows` come
    at each look. `late_from` is the look from which `extra` counts. `drift` is the factor of the rate from the first
    to the last look. Under keyed traffic the rates of keys differ by `key_spread` on the logit scale.
    """

    base: float
    margin: float
    draw: Draw | None = None
    share: float = 10.0
    rows: int = 1_000
    extra: float = 0.0
    late_from: int = 0
    drift: float = 1.0
    ramp: tuple[tuple[float, int], ...] = ()
    by: By = By.RANDOM
    keys: int = 3_000
    key_spread: float = 1.0
    rows_per_call: int = 1
    tolerance: float = 0.0
    metric: Metric = field(default=Metric.ACCURACY)

    @property
    def is_event(self) -> bool:
        """Whether losses are 0 or 1."""
        return self.draw is None

    @property
    def unit(self) -> Unit:
        """What the losses belong to."""
        return Unit.ROWS if self.rows_per_call == 1 else Unit.CALLS

    @property
    def stages(self) -> tuple[tuple[float, int], ...]:
        """The ramp, or the one weight all the time."""
        return self.ramp or ((self.share, LOOKS),)


def worse(world: World, by: float, late_from: int = 0) -> World:
    """Return the world in which the canary's mean loss is higher by `by`."""
    return replace(world, extra=by / (1.0 - world.base) if world.is_event else by, late_from=late_from)


def at_margin(world: World) -> World:
    """Return the world in which the canary is worse by exactly the margin."""
    return worse(world, world.margin)


def plan_of(world: World) -> Plan:
    """Return the plan: one check, the shipped holds and times between looks, one step a weight."""
    metric = world.metric if world.is_event else Metric.BRIER
    check = Check(name=CHECK, metric=metric, margin=world.margin, tolerance=world.tolerance,
                  slower_than_ms=SLOW_MS if metric is Metric.SLOW_RATE else None)  # fmt: skip
    hold_ms = DEFAULT_STEPS * Step(weight=1).hold_ms // len(world.stages)
    return Plan(
        name="study",
        topics=Topics.of("study"),
        stable=ModelRef(uri="study/1"),
        routing=Routing(by=world.by),
        steps=tuple(Step(weight=weight, hold_ms=hold_ms) for weight, _ in world.stages),
        analysis=Analysis(checks=(check,)),
    )


SLOW_MS = 50.0
FAST_BUCKET, SLOW_BUCKET = 450, 600
"""Duration buckets of a fast call (7 ms) and a slow one (145 ms)."""


def frozen_of(world: World) -> FrozenNumbers:
    """Return what stable's history would have frozen."""
    mean, variance = world.base, world.base * (1.0 - world.base)
    if world.draw is not None:
        drawn = world.draw(np.random.default_rng(7), DRAWN)
        mean, variance = float(drawn.mean()), float(drawn.var())
    history = LossHistory(rows=HISTORY, mean=mean, variance=variance)
    return FrozenNumbers(
        rows=HISTORY, calls=HISTORY, error_rate=world.base, call_error_rate=world.base, losses={CHECK: history},
        slow_ms={CHECK: SLOW_MS}, slow_rates={CHECK: world.base},
    )  # fmt: skip


def epochs(world: World, seed: int) -> Iterator[EpochSums]:
    """Yield what each look brings."""
    traffic = Traffic(world, np.random.default_rng((seed, 20_261_121)))
    number = 0
    for step, (weight, looks) in enumerate(world.stages, start=1):
        for _ in range(looks):
            number += 1
            canary, stable = traffic.look(weight / 100, number)
            yield EpochSums(weight / 100, step, canary, stable)


class Traffic:
    """The rows of one run."""

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        self.world, self.rng = world, rng
        if world.by is By.KEY:
            popularity = rng.pareto(1.5, world.keys) + 1.0
            places = (np.arange(PLACES) + 0.5) / PLACES
            self.drawn = np.searchsorted(np.cumsum(popularity / popularity.sum()), places).clip(max=world.keys - 1)
            self.place = rng.random(world.keys)
            self.bucket = rng.integers(0, 64, world.keys)
            self.hashes = rng.integers(0, 2**63, world.keys, dtype=np.int64)
            odds = world.base / (1.0 - world.base) * np.exp(rng.normal(0.0, world.key_spread, world.keys))
            self.rates = odds / (1.0 + odds)

    def look(self, share: float, number: int) -> tuple[Sums, Sums]:
        """Return the sums of canary and stable."""
        world, rng = self.world, self.rng
        factor = world.drift ** (number / LOOKS)
        extra = world.extra if number > world.late_from else 0.0
        if world.by is By.KEY:
            return self.keyed(share, extra)
        units = world.rows // world.rows_per_call
        losses = self.draw(units, factor)
        if world.rows_per_call > 1:
            return self.calls(losses, extra)
        mine = rng.random(units) < share
        losses[mine] = self.worsened(losses[mine], extra)
        return Sums(losses={CHECK: summed(losses[mine])}), Sums(losses={CHECK: summed(losses[~mine])})

    def draw(self, n: int, factor: float) -> Floats:
        """Return the losses of n rows, events at the base rate times `factor`."""
        if self.world.draw is not None:
            return self.world.draw(self.rng, n)
        return (self.rng.random(n) < self.world.base * factor).astype(np.float64)

    def worsened(self, losses: Floats, extra: float) -> Floats:
        """Return the canary's losses, worse by `extra`."""
        if not extra:
            return losses
        if self.world.is_event:
            return np.maximum(losses, self.rng.random(len(losses)) < extra)
        return np.minimum(losses + extra, 1.0)

    def calls(self, losses: Floats, extra: float) -> tuple[Sums, Sums]:
        """Return the sums where whole calls fail or are slow; each batch is one call of each variant."""
        mine = self.worsened(self.draw(len(losses), 1.0), extra)
        return self.of_calls(mine), self.of_calls(losses)

    def of_calls(self, losses: Floats) -> Sums:
        """Return the sums of calls of which some are slow, or failed whole."""
        n, events = len(losses), int(losses.sum())
        if self.world.metric is Metric.SLOW_RATE:
            return Sums(calls=n, call_ms={FAST_BUCKET: n - events, SLOW_BUCKET: events})
        return Sums(calls=n, call_faults={"model_timeout": events})

    def keyed(self, share: float, extra: float) -> tuple[Sums, Sums]:
        """Return the sums of rows whose keys stay with their variant."""
        world, rng = self.world, self.rng
        key = self.drawn[rng.integers(0, PLACES, world.rows)]
        mine = self.place[key] < share
        losses = (rng.random(world.rows) < self.rates[key]).astype(np.float64)
        losses[mine] = self.worsened(losses[mine], extra)
        return self.of_keys(key[mine], losses[mine]), self.of_keys(key[~mine], losses[~mine])

    def of_keys(self, key: NDArray[np.int64], losses: Floats) -> Sums:
        """Return the sums of rows with these keys."""
        if self.world.metric is not Metric.ERROR_RATE:
            rows = np.bincount(self.bucket[key], minlength=64)
            return Sums(rows=len(key), bucket_rows=tuple(rows.tolist()),
                        losses={CHECK: Losses.of(losses, self.bucket[key])})  # fmt: skip
        failed = key[losses > 0]
        return Sums(
            rows=len(key),
            row_faults={"model_error": len(failed)} if len(failed) else {},
            bucket_rows=tuple(np.bincount(self.bucket[key], minlength=64).tolist()),
            bucket_faults=tuple(np.bincount(self.bucket[failed], minlength=64).tolist()),
            fault_keys=frozenset(self.hashes[failed].tolist()),
        )


def summed(losses: Floats) -> Losses:
    """Return the sums of losses of rows without keys."""
    units = np.rint(losses * 65_536).astype(np.int64)
    return Losses(len(units), int(units.sum()), int(np.square(units).sum()))
