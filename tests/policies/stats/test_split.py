"""The sample-ratio test against predictive probabilities, enumeration and simulated routers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from coalmine.policies.stats.split import CONCENTRATION, log_e_share, log_e_split

Counts = NDArray[np.int64]

BAR = math.log(1_000)
"""A split is called broken at alpha 0.001."""


def unit_by_unit(share: float, arms: list[int]) -> float:
    """ln of the predictive probabilities of the units (1: canary) over the designed ones."""
    log_e, canary, n = 0.0, 0, 0
    for is_canary in arms:
        predicted = (CONCENTRATION * share + canary) / (CONCENTRATION + n)
        log_e += math.log(predicted / share if is_canary else (1 - predicted) / (1 - share))
        canary, n = canary + is_canary, n + 1
    return log_e


@given(st.floats(0.01, 0.99), st.lists(st.integers(0, 1), max_size=60))
def test_the_value_is_the_product_of_predictive_probabilities(share: float, arms: list[int]) -> None:
    counts = (share, sum(arms), len(arms) - sum(arms))

    assert log_e_split([counts]) == pytest.approx(unit_by_unit(share, arms), abs=1e-9)


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_the_value_is_the_beta_binomial_over_the_binomial(share: float) -> None:
    x = np.arange(301)
    mixed = stats.betabinom.logpmf(x, 300, CONCENTRATION * share, CONCENTRATION * (1 - share))

    assert log_e_share(share, x, 300 - x) == pytest.approx(mixed - stats.binom.logpmf(x, 300, share), abs=1e-8)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_the_mean_of_a_right_split_is_exactly_one(share: float) -> None:
    x = np.arange(201)

    mean = float(stats.binom.pmf(x, 200, share) @ np.exp(log_e_share(share, x, 200 - x)))

    assert mean == pytest.approx(1.0, abs=1e-9)


def test_epochs_add_and_their_order_does_not_matter() -> None:
    epochs = [(0.01, 13, 987), (0.05, 60, 940), (0.5, 480, 520)]

    assert log_e_split(epochs) == pytest.approx(sum(log_e_split([epoch]) for epoch in epochs), abs=1e-9)
    assert log_e_split(epochs) == pytest.approx(log_e_split(epochs[::-1]), abs=1e-9)


def test_epochs_of_one_variant_alone_say_nothing() -> None:
    assert log_e_split([(0.0, 0, 90), (1.0, 70, 0)]) == 0.0
    assert log_e_split([]) == 0.0


def test_a_thousand_million_units_do_not_overflow() -> None:
    assert 1e5 < log_e_split([(0.05, 60_000_000, 940_000_000)]) < math.inf


def routed(rate: float, attempts: int, looks: int) -> Counts:
    """The canary's units after each look of 1000."""
    rng = np.random.default_rng(12)
    return np.asarray(np.cumsum(rng.binomial(1_000, rate, (attempts, looks)), axis=1))


def first_alarm(canary: Counts, share: float) -> Counts:
    """The look of the first alarm of each attempt, looks + 1 without any."""
    n = 1_000 * np.arange(1, canary.shape[1] + 1)
    alarm = log_e_share(share, canary, n - canary) >= BAR
    return np.asarray(np.where(alarm.any(axis=1), alarm.argmax(axis=1) + 1, canary.shape[1] + 1))


def test_a_right_split_raises_no_alarm_in_five_hundred_looks() -> None:
    assert (first_alarm(routed(0.05, 2_000, 500), 0.05) <= 500).mean() <= 0.001


def test_half_a_point_too_much_is_found_within_forty_looks() -> None:
    assert float(np.median(first_alarm(routed(0.055, 500, 100), 0.05))) <= 40


def test_a_chi_square_at_every_look_would_be_caught() -> None:
    canary, n = routed(0.05, 2_000, 500), 1_000 * np.arange(1, 501)
    z = (canary - 0.05 * n) / np.sqrt(n * 0.05 * 0.95)

    assert (np.abs(z).max(axis=1) > stats.norm.ppf(0.9995)).mean() > 0.01


def test_pooling_over_the_ramp_is_caught() -> None:
    """Traffic fell while the weight rose: pooled against the mean weight a right split looks broken."""
    epochs = [(0.01, 1_000, 99_000), (0.5, 1_000, 1_000)]

    assert log_e_split(epochs) < 0.0
    assert log_e_split([(0.255, 2_000, 100_000)]) > BAR
