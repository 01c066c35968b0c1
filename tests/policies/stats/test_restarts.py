"""The mixture over starts against a sum written out, and the laws it must keep."""

import json
import math

import numpy as np
import pytest

from coalmine.policies.stats.mixture import bell_weights
from coalmine.policies.stats.restarts import LATE_SHARE, Restarts

PRIOR = bell_weights(np.array([0.0, 1.0, 2.0]), 0.5, 1.0)


def after(gains: np.ndarray, late_looks: int) -> Restarts:
    test = Restarts.start(gains.shape[1:], late_looks)
    for gain in gains:
        test = test.update(gain)
    return test


def written_out(gains: np.ndarray, late_looks: int) -> float:
    """ln of the mixture: each start holds the product of the gains from its look on, 1 before it has come."""
    starts = [(0, 1 - LATE_SHARE)]
    starts += [(look, LATE_SHARE / late_looks) for look in range(1, late_looks + 1)]
    return math.log(sum(weight * (np.exp(PRIOR) * np.exp(gains[look:].sum(axis=0))).sum() for look, weight in starts))


@pytest.mark.parametrize("looks", [1, 2, 29, 31, 200])
def test_the_value_is_the_mixture_over_all_starts(looks: int) -> None:
    gains = np.random.default_rng(looks).normal(0.02, 0.2, (looks, 3))

    assert after(gains, late_looks=30).value(PRIOR) == pytest.approx(written_out(gains, late_looks=30), abs=1e-9)


def test_without_later_starts_all_the_weight_is_on_the_first() -> None:
    gains = np.random.default_rng(1).normal(0.0, 0.2, (60, 3))

    assert after(gains, 0).value(PRIOR) == pytest.approx(
        math.log(float(np.exp(PRIOR + gains.sum(axis=0)).sum())), abs=1e-9
    )


def test_a_late_regression_is_found_whenever_it_begins() -> None:
    """The gains of a rate that doubles, 0.18 a look, after losses that ruin the first start."""
    for good in (40, 111, 250):
        gains = np.concatenate([np.full((good, 1), -0.13), np.full((60, 1), 0.18)])

        assert after(gains, 450).value(np.zeros(1)) > math.log(20.0)
        assert after(gains, 0).value(np.zeros(1)) < math.log(20.0) or good == 40


def test_tests_side_by_side_are_each_what_they_are_alone() -> None:
    gains = np.random.default_rng(2).normal(0.0, 0.3, (20, 2, 3))

    assert after(gains, 4).part(1).value(PRIOR) == after(gains[:, 1], 4).value(PRIOR)


def test_json_keeps_every_bit() -> None:
    test = after(np.random.default_rng(3).normal(0.0, 0.3, (20, 2, 3)), 4)
    again = Restarts.from_json(json.loads(json.dumps(test.to_json())))
    more = np.full((2, 3), 0.1)

    assert again.update(more).part(0).value(PRIOR) == test.update(more).part(0).value(PRIOR)
