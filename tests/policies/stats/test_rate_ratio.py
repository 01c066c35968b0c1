"""The conditional rate-ratio test against binomial likelihoods, enumeration and its own history."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from coalmine.policies.stats.rate_ratio import EXCESSES, SPREAD, RateRatio, Split
from coalmine.policies.stats.restarts import LATE_SHARE

NEVER = 10**12
"""So many looks to spread later starts over that none comes to matter."""


def by_likelihoods(splits: list[Split], excess: float) -> float:
    """ln E of the first start alone, from binomial probabilities."""
    prior = stats.norm.pdf(np.log(EXCESSES), math.log(excess), SPREAD)
    product = np.ones(len(EXCESSES))
    for split in splits:
        total, ratio = split.canary + split.stable, 1 + EXCESSES
        theta = split.share * ratio / (split.share * ratio + 1 - split.share)
        product *= stats.binom.pmf(split.canary, total, theta) / stats.binom.pmf(split.canary, total, split.share)
    return math.log((1 - LATE_SHARE) * float((prior * product).sum() / prior.sum()) + LATE_SHARE)


def looked(looks: list[list[Split]], excess: float = 0.5, late_looks: int = NEVER) -> RateRatio:
    test = RateRatio.start(excess, late_looks)
    for splits in looks:
        test = test.update(splits)
    return test


def test_the_value_is_the_mixture_of_binomial_likelihood_ratios() -> None:
    splits = [Split(0.01, 2, 30), Split(0.1, 9, 41), Split(0.5, 12, 10)]

    value = looked([[split] for split in splits], excess=0.7).value()

    assert value == pytest.approx(by_likelihoods(splits, 0.7), abs=1e-9)


def test_epochs_of_one_look_count_like_looks_of_their_own() -> None:
    splits = [Split(0.01, 2, 30), Split(0.1, 9, 41)]

    assert looked([splits]).value() == pytest.approx(looked([[split] for split in splits]).value(), abs=1e-12)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.95])
@pytest.mark.parametrize("total", [1, 7, 60])
def test_the_mean_under_equal_rates_is_exactly_one(share: float, total: int) -> None:
    canary = np.arange(total + 1)
    values = [math.exp(looked([[Split(share, int(x), total - int(x))]]).value()) for x in canary]

    mean = float(np.dot(stats.binom.pmf(canary, total, share), values))

    assert mean == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.4, 0.9])
def test_the_mean_for_units_that_fail_at_most_once_is_at_most_one(rate: float) -> None:
    n, m = 6, 30
    x, y = np.meshgrid(np.arange(n + 1), np.arange(m + 1), indexing="ij")
    chance = stats.binom.pmf(x, n, rate) * stats.binom.pmf(y, m, rate)
    e = np.vectorize(lambda a, b: math.exp(looked([[Split(n / (n + m), int(a), int(b))]]).value()))(x, y)

    assert float((chance * e).sum()) <= 1.0 + 1e-9


def test_looks_without_events_say_nothing() -> None:
    assert looked([[], [Split(0.1, 0, 0)], []]).value() == pytest.approx(0.0, abs=1e-12)


def test_a_variant_without_exposure_says_nothing() -> None:
    assert looked([[Split(0.0, 0, 40)], [Split(1.0, 7, 0)]]).value() == pytest.approx(0.0, abs=1e-12)


def test_a_million_events_do_not_overflow() -> None:
    worse, better = looked([[Split(0.5, 900_000, 100_000)]]), looked([[Split(0.5, 100_000, 900_000)]])

    assert 1e5 < worse.value() < math.inf
    assert -2.0 < better.value() < 0.0


def test_a_later_start_forgives_no_long_good_history() -> None:
    good, bad = [[Split(0.05, 1, 19)]] * 250, [[Split(0.05, 2, 19)]] * 45

    assert looked(good + bad, late_looks=450).value() > math.log(20)
    assert looked(good + bad, late_looks=NEVER).value() < math.log(20)


def test_the_mean_with_later_starts_is_one_after_many_looks() -> None:
    rng = np.random.default_rng(5)
    finals = [
        math.exp(looked([[Split(0.3, int(x), 2 - int(x))] for x in rng.binomial(2, 0.3, 40)], late_looks=40).value())
        for _ in range(2_000)
    ]

    assert np.mean(finals) <= 1.0 + 3 * np.std(finals) / math.sqrt(len(finals))


def test_json_keeps_every_bit() -> None:
    test = looked([[Split(0.07, 3, 29)]] * 40, late_looks=150)
    again = RateRatio.from_json(json.loads(json.dumps(test.to_json())))

    assert again.update([Split(0.07, 1, 3)]).value() == test.update([Split(0.07, 1, 3)]).value()
