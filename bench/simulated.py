"""Attempts made up by a generator: traffic, calls and faults of two models, judged by the real judge at every look.

The models are identical unless a `World` says otherwise. What the generator keeps of reality, because tests that
ignore it fail: rows come in batches and each batch is one call a variant, faults and slowness strike whole calls,
bursts strike both variants at once, keys have very unequal traffic and some of them always fail, the weight rises.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coalmine.policies import (
    Analysis,
    By,
    Check,
    Cut,
    Epoch,
    FrozenNumbers,
    Judgement,
    Memory,
    Metric,
    ModelRef,
    Phase,
    Plan,
    Routing,
    State,
    Step,
    Sums,
    Topics,
    Variant,
    look,
)

__all__ = ["RAMP", "World", "attempt", "cuts", "frozen_of", "plan_for"]

SLOW_MS = 50.0
FAST_BUCKET, SLOW_BUCKET = 450, 600
"""Duration buckets of a fast call (7 ms) and a slow one (145 ms)."""

RAMP = ((1.0, 60), (5.0, 90), (10.0, 150), (25.0, 100), (50.0, 100))
"""Weights in percent and how many looks each stays: 500 in all, whatever the judge decides."""


@dataclass(frozen=True, slots=True)
class World:
    """What happens to rows and calls; rates are shares 0..1.

    Every row fails by itself with `row_fault`; under keyed traffic `failing_keys` of the keys always fail instead
    and the others do with a tenth of it. A call fails whole with `call_fault` and is slow with `slow`. `burst` is
    the standard deviation of the logarithm of a factor on all rates that both variants share, new at every look,
    `drift` that of a slow wave on it. The canary's own rates are higher by the `extra_` numbers.
    """

    by: By = By.RANDOM
    keys: int = 3_000
    rows: int = 1_000
    batch: int = 50
    row_fault: float = 0.01
    failing_keys: float = 0.01
    call_fault: float = 0.005
    slow: float = 0.05
    burst: float = 0.3
    drift: float = 0.7
    extra_row_fault: float = 0.0
    extra_call_fault: float = 0.0
    extra_slow: float = 0.0


def plan_for(world: World, ramp: tuple[tuple[float, int], ...] = RAMP) -> Plan:
    """Return a plan with both checks whose steps are those of the ramp, without any tolerance."""
    factors = (4.0, 3.0, 2.0, 1.5, 1.0)[-len(ramp) :]
    return Plan(
        name="study",
        topics=Topics.of("study"),
        stable=ModelRef(uri="study/1"),
        routing=Routing(by=world.by),
        steps=tuple(
            Step(weight=weight, hold_ms=looks * 10_000, samples=100, margin_factor=factor)
            for (weight, looks), factor in zip(ramp, factors, strict=True)
        ),
        analysis=Analysis(
            every_ms=10_000,
            checks=(
                Check(name="errors", metric=Metric.ERROR_RATE, margin=0.005),
                Check(name="slow", metric=Metric.SLOW_RATE, margin=0.02, slower_than_ms=SLOW_MS),
            ),
        ),
    )


def attempt(world: World, plan: Plan, seed: int, ramp: tuple[tuple[float, int], ...] = RAMP) -> Iterator[Judgement]:
    """Yield the judgement of every look of one attempt that climbs the ramp by the clock."""
    memory = Memory.empty(plan, frozen_of(world))
    for cut, state in cuts(world, plan, seed, ramp):
        judgement = look(memory, cut, state)
        memory = judgement.memory
        yield judgement


def frozen_of(world: World) -> FrozenNumbers:
    """Return the numbers that stable's history would have given."""
    return FrozenNumbers(
        rows=5_000,
        calls=500,
        error_rate=world.row_fault,
        call_error_rate=world.call_fault,
        slow_ms={"slow": SLOW_MS},
        slow_rates={"slow": world.slow},
    )


def cuts(
    world: World, plan: Plan, seed: int, ramp: tuple[tuple[float, int], ...] = RAMP
) -> Iterator[tuple[Cut, State]]:
    """Yield the evidence of every look of one attempt, and the state it is judged under."""
    traffic = Traffic(world, np.random.default_rng((seed, 20130101)))
    state = State(rollout=plan.name, plan=plan, frozen=frozen_of(world), attempt=0)
    sums: dict[int, dict[str, Sums]] = {}
    number = 0
    for step, (weight, looks) in enumerate(ramp, start=1):
        state = climbed(state, step, weight)
        arms = {Variant.CANARY.value: Sums(), Variant.STABLE.value: Sums()}
        for _ in range(looks):
            number += 1
            more = traffic.look(weight / 100, number)
            arms = {variant: arms[variant] + more[variant] for variant in arms}
            sums = {**sums, state.revision: arms}
            yield Cut(number=number, now_ms=number * 10_000, sums=sums), state


def climbed(state: State, step: int, weight: float) -> State:
    """Return the state one step up, as the control log would have it."""
    closed = tuple(replace(epoch, last=step - 1) for epoch in state.epochs[-1:])
    opened = Epoch(first=step, last=None, weight=weight, step=step)
    return replace(state, phase=Phase.PROGRESSING, revision=step, step=step, weight=weight,
                   epochs=(*state.epochs[:-1], *closed, opened))  # fmt: skip


class Traffic:
    """Rows and calls of one attempt, a look at a time."""

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        self.world, self.rng = world, rng
        popularity = rng.pareto(1.5, world.keys) + 1.0
        self.ladder = np.cumsum(popularity / popularity.sum())
        self.place = rng.random(world.keys)
        self.bucket = rng.integers(0, 64, world.keys)
        self.hashes = rng.integers(0, 2**63, world.keys, dtype=np.int64)
        self.always = rng.random(world.keys) < world.failing_keys
        self.phase = rng.random()

    def look(self, share: float, number: int) -> dict[str, Sums]:
        """Return the sums of one look by variant."""
        world, rng = self.world, self.rng
        key = np.minimum(np.searchsorted(self.ladder, rng.random(world.rows)), world.keys - 1)
        place = self.place[key] if world.by is By.KEY else rng.random(world.rows)
        wave = world.drift * np.sin(2 * np.pi * (number / 200 + self.phase))
        common = float(np.exp(wave + rng.normal(0.0, world.burst)))
        fails = self.own_fault(key, common)
        is_canary = place < share
        return {
            Variant.CANARY.value: self.sums(key, fails, is_canary, common, own=True),
            Variant.STABLE.value: self.sums(key, fails, ~is_canary, common, own=False),
        }

    def own_fault(self, key: NDArray[np.int64], common: float) -> NDArray[np.bool_]:
        """Tell which rows fail by themselves under either model."""
        rate = self.world.row_fault * (0.1 if self.world.by is By.KEY else 1.0)
        fails = self.rng.random(len(key)) < rate * common
        return fails | self.always[key] if self.world.by is By.KEY else fails

    def sums(
        self, key: NDArray[np.int64], fails: NDArray[np.bool_], mine: NDArray[np.bool_], common: float, own: bool
    ) -> Sums:
        """Return the sums of one variant; `own` adds what the canary alone does wrong."""
        world, rng = self.world, self.rng
        batch = np.arange(len(key)) // world.batch
        sizes = np.bincount(batch[mine], minlength=int(batch[-1]) + 1)
        called = sizes > 0
        calls = int(called.sum())
        lost = called & (rng.random(len(sizes)) < world.call_fault * common + own * world.extra_call_fault)
        slow = int((rng.random(calls) < world.slow * common + own * world.extra_slow).sum())
        failing = mine & (fails | (rng.random(len(key)) < own * world.extra_row_fault)) & ~lost[batch]
        faults, lost_calls = int(failing.sum()), int(lost.sum())
        return Sums(
            rows=int(mine.sum()),
            row_faults={"model_error": faults} if faults else {},
            call_fault_rows=int(sizes[lost].sum()),
            calls=calls,
            call_faults={"model_timeout": lost_calls} if lost_calls else {},
            call_ms={bucket: n for bucket, n in ((FAST_BUCKET, calls - slow), (SLOW_BUCKET, slow)) if n},
            bucket_rows=tuple(np.bincount(self.bucket[key[mine]], minlength=64).tolist()),
            bucket_faults=tuple(np.bincount(self.bucket[key[failing]], minlength=64).tolist()),
            fault_keys=frozenset(self.hashes[key[failing]].tolist()),
        )
