"""The study of single checks in small, and judges broken on purpose that it must catch (see `bench.decisions`)."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest

from bench import decisions
from bench.decisions import ACCURACY, ERRORS, LATE_LOOK, MARGINS, NULLS, fixed_size, run
from bench.many_checks import World as Many
from bench.many_checks import climbing, identical, subgroup
from bench.worlds import World, at_margin, worse
from coalmine.policies import Check, Decision
from coalmine.policies.checks.reading import Reading, read
from coalmine.policies.judging import gates

RUNS = 3

ALIKE = replace(NULLS["keyed, accuracy 90 %"], rows=300, key_spread=0.1)
"""Keyed traffic whose keys hardly differ."""


def rollbacks(world: World, runs: int = RUNS) -> int:
    return sum(run(world, True, seed).rolled_back is not None for seed in range(runs))


def test_identical_models_are_left_alone_in_every_world() -> None:
    assert sum(map(rollbacks, NULLS.values())) <= 4


@pytest.mark.parametrize("name", ["errors 1 %", "accuracy 90 %", "bounded score"])
def test_a_canary_worse_by_the_margin_is_not_promoted(name: str) -> None:
    assert sum(run(at_margin(MARGINS[name]), False, seed).passed is not None for seed in range(5)) <= 1


@pytest.mark.parametrize(("world", "multiple"), [(ERRORS, 2.0), (ERRORS, 8.0), (ACCURACY, 2.0)])
def test_a_bad_canary_is_found_about_as_soon_as_a_test_that_knows_how_bad_it_is(world: World, multiple: float) -> None:
    effect = multiple * world.margin

    rows = [run(worse(world, effect), True, seed).rows for seed in range(30)]

    assert 0.5 < float(np.mean(rows)) / fixed_size(world, effect) < 1.7


def test_a_canary_that_turns_bad_late_is_found_soon() -> None:
    late = worse(ERRORS, ERRORS.base, LATE_LOOK)

    delays = [(run(late, True, seed).rolled_back or math.inf) - LATE_LOOK for seed in range(9)]

    assert 10 < float(np.median(delays)) < 80


def test_one_bad_segment_stops_a_canary_that_is_better_in_total() -> None:
    for seed in range(2):
        ending = climbing(subgroup(4), seed)

        assert ending.decision is Decision.ROLLBACK
        assert "where segment is s4" in ending.reason


# --- broken on purpose ---


def peeked_z(*arguments: Any) -> Reading:
    """Ask a z test after every look, as if each were the only one."""
    reading = read(*arguments)
    z = reading.difference.estimate * math.sqrt(reading.difference.information)
    return replace(reading, log_e_rollback=math.log(20.0) if z > 1.645 else 0.0)


def test_a_z_test_asked_after_every_look_is_caught() -> None:
    """Even one that knows the variance between keys."""
    with mock.patch.object(decisions, "read", peeked_z):
        assert rollbacks(ALIKE, runs=8) >= 3


def everyone_alone(checks: Sequence[Check]) -> list[float]:
    """Hold every check to 1/alpha by itself."""
    return [1.0] * len(checks)


def test_checks_that_do_not_share_alpha_are_caught() -> None:
    few = Many(guardrails=(0.01,) * 20)
    endings = [identical(few, seed).decision for seed in range(2)]
    with mock.patch.object(gates, "weights", everyone_alone):
        broken = [identical(few, seed).decision for seed in range(2)]

    assert endings.count(Decision.ROLLBACK) == 0
    assert broken.count(Decision.ROLLBACK) == 2


def highest_so_far(*arguments: Any) -> Reading:
    """Keep the highest promotion value a run has had: a canary that was good yesterday passes today."""
    reading = read(*arguments)
    HIGHEST.append(reading.log_e_promotion)
    return replace(reading, log_e_promotion=max(HIGHEST))


HIGHEST: list[float] = []


def test_running_maxima_promote_a_canary_that_has_turned_bad() -> None:
    """Good for 250 looks, then worse by ten margins: at the last look nothing may pass."""
    turned = worse(ALIKE, 10 * ALIKE.margin, LATE_LOOK)

    assert not [passes for _, passes, _ in decisions.readings(turned, 1)][-1]
    with mock.patch.object(decisions, "read", highest_so_far):
        assert [passes for _, passes, _ in decisions.readings(turned, 1)][-1]
