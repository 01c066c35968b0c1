"""The mixture over starts against a sum written out, and the laws it must keep."""

import json
import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.policies.stats.mixture import bell_weights
from coalmine.policies.stats.restarts import LATE_SHARE, LATE_STARTS, Restarts

PRIOR = bell_weights(np.array([0.0, 1.0, 2.0]), 0.5, 1.0)


def after(gains: np.ndarray, spacing: int | None) -> Restarts:
    test = Restarts.start(gains.shape[1:], spacing)
    for gain in gains:
        test = test.update(gain)
    return test


def written_out(gains: np.ndarray, spacing: int) -> float:
    """ln of the mixture: each start holds the product of the gains from its look on, 1 before it has come."""
    starts = [(0, 1 - LATE_SHARE)]
    starts += [(spacing * k, LATE_SHARE / LATE_STARTS) for k in range(1, LATE_STARTS + 1)]
    return math.log(sum(weight * (np.exp(PRIOR) * np.exp(gains[look:].sum(axis=0))).sum() for look, weight in starts))


@pytest.mark.parametrize("looks", [1, 3, 4, 50, 200])
def test_the_value_is_the_mixture_over_all_starts(looks: int) -> None:
    gains = np.random.default_rng(looks).normal(0.02, 0.2, (looks, 3))

    assert after(gains, spacing=3).value(PRIOR) == pytest.approx(written_out(gains, spacing=3), abs=1e-9)


def test_without_later_starts_all_the_weight_is_on_the_first() -> None:
    gains = np.random.default_rng(1).normal(0.0, 0.2, (60, 3))

    assert after(gains, None).value(PRIOR) == pytest.approx(
        math.log(float(np.exp(PRIOR + gains.sum(axis=0)).sum())), abs=1e-9
    )


def test_no_more_starts_come_than_were_weighted() -> None:
    assert len(after(np.zeros((100, 3)), spacing=2).log_e) == LATE_STARTS + 1


def test_tests_side_by_side_are_each_what_they_are_alone() -> None:
    gains = np.random.default_rng(2).normal(0.0, 0.3, (20, 2, 3))

    assert after(gains, 4).part(1).value(PRIOR) == after(gains[:, 1], 4).value(PRIOR)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_looks_between_two_starts_does_not_matter(steps: list[float], shuffle: Random) -> None:
    gains = np.array([[x, 2 * x, -x] for x in steps])
    order = list(range(len(steps)))
    shuffle.shuffle(order)

    assert after(gains[order], 100).value(PRIOR) == pytest.approx(after(gains, 100).value(PRIOR), abs=1e-9)


def test_json_keeps_every_bit() -> None:
    test = after(np.random.default_rng(3).normal(0.0, 0.3, (20, 2, 3)), 4)
    again = Restarts.from_json(json.loads(json.dumps(test.to_json())))
    more = np.full((2, 3), 0.1)

    assert again.update(more).part(0).value(PRIOR) == test.update(more).part(0).value(PRIOR)
