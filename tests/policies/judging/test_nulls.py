"""Identical models are left alone, bad ones are found, and a judge broken on purpose is caught by the same runs.

Small runs of the study in `bench.null_rates`, which says how often at full size.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from bench.simulated import World, attempt, cuts, frozen_of, plan_for
from coalmine.policies import By, Decision, Judgement, Losses, Memory, Plan, Sums
from coalmine.policies.checks import comparison, metrics
from coalmine.policies.judging import judge
from coalmine.policies.scorecard.epochs import EpochSums, by_epoch
from coalmine.policies.stats.bernstein import Arms
from coalmine.policies.stats.rate_ratio import Split

CLIMB = ((1.0, 30), (5.0, 30), (10.0, 30), (25.0, 30), (50.0, 30))
STILL = ((10.0, 120),)

FEW_KEYS = World(by=By.KEY, keys=300, failing_keys=0.03)
"""Keyed traffic in which a handful of keys fails again and again."""

STORMY = World(by=By.RANDOM, slow=0.05, call_fault=0.02, drift=1.0)


def rollbacks(world: World, ramp: tuple[tuple[float, int], ...], runs: int) -> int:
    """Return how many attempts were taken back at any look."""
    plan = plan_for(world, ramp)
    return sum(any(is_rollback(j) for j in attempt(world, plan, seed, ramp)) for seed in range(runs))


def is_rollback(judgement: Judgement) -> bool:
    return judgement.decision is Decision.ROLLBACK


@pytest.mark.parametrize("world", [STORMY, World(by=By.KEY), FEW_KEYS], ids=["random", "keyed", "few keys"])
def test_identical_models_are_left_alone_on_the_ramp(world: World) -> None:
    assert rollbacks(world, CLIMB, runs=10) <= 1


@pytest.mark.parametrize(
    "world",
    [
        World(by=By.RANDOM, rows=200, extra_row_fault=0.05),
        World(by=By.KEY, rows=200, extra_row_fault=0.05),
        World(by=By.RANDOM, rows=200, batch=10, extra_call_fault=0.095),
        World(by=By.RANDOM, rows=200, batch=10, extra_slow=0.2),
    ],
    ids=["rows", "rows by key", "calls", "slow calls"],
)
def test_a_bad_canary_is_taken_back_within_a_few_hundred_of_its_rows(world: World) -> None:
    plan = plan_for(world, STILL)

    for seed in range(4):
        taken_back = next(j for j in attempt(world, plan, seed, STILL) if is_rollback(j))
        assert taken_back.samples <= 700


def test_errors_on_the_margin_are_not_promoted_although_keys_are_few_and_stubborn() -> None:
    world = World(by=By.KEY, extra_row_fault=0.005, call_fault=0.0, slow=0.0)
    plan = plan_for(world, STILL)

    for seed in range(8):
        assert not any(j.findings[0].status.value == "pass" for j in attempt(world, plan, seed, STILL))


# --- broken on purpose ---


def rows_for_calls(ms: float) -> Callable[[Sums], Losses]:
    """Count every row of a call as an observation of its own."""
    counted = metrics_slow_calls(ms)
    return lambda sums: Losses.of_events(20 * counted(sums).n, 20 * round(counted(sums).loss))


metrics_slow_calls = metrics.slow_calls


def test_rows_taken_for_calls_are_caught() -> None:
    with mock.patch.object(metrics, "slow_calls", rows_for_calls):
        assert rollbacks(STORMY, STILL, runs=8) >= 3


def rows_for_keys(changes: tuple[EpochSums, ...], *_: Any) -> tuple[Split, ...]:
    """Count every error of a key, not its first."""
    return tuple(Split(c.share, c.canary.row_fault_count, c.stable.row_fault_count) for c in changes)


def test_rows_taken_for_keys_are_caught() -> None:
    with mock.patch.object(judge, "first_errors", rows_for_keys):
        assert rollbacks(FEW_KEYS, STILL, runs=8) >= 3


def swapped(arms: Arms) -> Split:
    """Hold stable's events against the canary."""
    return Split(
        1 - arms.canary_n / (arms.canary_n + arms.stable_n), round(arms.stable_total), round(arms.canary_total)
    )


def test_a_wrong_sign_is_caught() -> None:
    bad = World(by=By.RANDOM, rows=200, extra_row_fault=0.05)

    with mock.patch.object(comparison, "split_of", swapped):
        assert rollbacks(bad, STILL, runs=3) == 0


def pooled(sums: Any, epochs: Any) -> tuple[EpochSums, ...]:
    """Throw the whole ramp into one epoch."""
    parts = by_epoch(sums, epochs)
    return (
        EpochSums(
            parts[-1].share, parts[-1].step,
            sum((p.canary for p in parts), start=Sums()), sum((p.stable for p in parts), start=Sums()),
        ),
    ) if parts else ()  # fmt: skip


@pytest.mark.parametrize(("broken", "taken_back"), [(False, 0), (True, 6)])
def test_pooling_over_the_ramp_is_caught(broken: bool, taken_back: int) -> None:
    """A judge that was away sees the whole ramp in one look, and errors rose for everybody on it."""
    world = World(by=By.RANDOM, row_fault=0.02, drift=0.0)
    plan, seen = plan_for(world, CLIMB), 0

    with mock.patch.object(judge, "by_epoch", pooled if broken else by_epoch):
        for seed in range(6):
            seen += is_rollback(one_look_at_a_rising_ramp(world, plan, seed))

    assert seen == taken_back


def one_look_at_a_rising_ramp(world: World, plan: Plan, seed: int) -> Judgement:
    """Judge the sums of a whole ramp at once; errors are six times as frequent on its last step."""
    *_, (calm, state) = cuts(world, plan, seed, CLIMB)
    *_, (storm, _) = cuts(replace(world, row_fault=0.12), plan, seed, CLIMB)
    whole = replace(calm, number=1, sums={**calm.sums, state.revision: storm.sums[state.revision]})
    return judge.look(Memory.empty(plan, frozen_of(world)), whole, state)
