"""Means of e-values and the blame among them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.policies.stats.combine import blamed, log_mean_of

LOG_E = st.lists(st.floats(-20, 20), min_size=1, max_size=8)


@given(LOG_E)
def test_the_mean_is_the_mean_of_the_e_values(log_e: list[float]) -> None:
    assert log_mean_of(log_e) == pytest.approx(math.log(np.mean(np.exp(log_e))), abs=1e-9)


def test_no_check_decides_nothing() -> None:
    assert log_mean_of([]) == -math.inf
    assert blamed([], 0.05) == ()


def test_huge_values_do_not_overflow() -> None:
    assert log_mean_of([5_000.0, -5_000.0]) == pytest.approx(5_000.0 - math.log(2))


@given(LOG_E)
def test_the_blamed_are_the_largest_set_that_the_rule_of_e_bh_allows(log_e: list[float]) -> None:
    ranked = sorted(log_e, reverse=True)
    sizes = [k for k in range(1, len(log_e) + 1) if math.exp(ranked[k - 1]) >= len(log_e) / (k * 0.05)]

    assert len(blamed(log_e, 0.05)) == max(sizes, default=0)
    assert all(log_e[index] >= ranked[len(blamed(log_e, 0.05)) - 1] for index in blamed(log_e, 0.05))
