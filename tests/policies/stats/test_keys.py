"""Effective keys and the variance between buckets against simulated traffic."""

import numpy as np
import pytest

from coalmine.policies import Losses
from coalmine.policies.stats.keys import bucket_difference, effective_keys


def arm(rows: list[int], events: list[int]) -> Losses:
    """The losses of an arm with so many rows and events in each key bucket."""
    return Losses.of_events(sum(rows), sum(events), rows, events)


def test_one_key_is_one() -> None:
    assert effective_keys([0] * 10 + [500] + [0] * 53) == pytest.approx(1.0)


def test_no_rows_are_no_keys() -> None:
    assert effective_keys([0] * 64) == 0.0


def test_never_more_keys_than_rows() -> None:
    assert effective_keys([1] * 64) == 64.0


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_the_estimate_is_near_the_inverse_sum_of_squared_shares(spread: float) -> None:
    rng = np.random.default_rng(3)
    estimates, truth = [], []
    for _ in range(200):
        rows = rng.poisson(200 * np.exp(rng.normal(0, spread, 1_000)))
        truth.append(1 / float(np.square(rows / rows.sum()).sum()))
        estimates.append(effective_keys(np.bincount(rng.integers(0, 64, 1_000), rows, 64).astype(int).tolist()))

    assert np.median(np.array(estimates) / truth) == pytest.approx(1.0, abs=0.1)
    assert np.std(np.log(np.array(estimates) / truth)) < 0.3


def test_the_information_matches_the_spread_of_repeated_differences() -> None:
    rng = np.random.default_rng(4)
    seen, claimed = [], []
    for _ in range(400):
        arms = []
        for keys in (400, 3_600):
            rows, rate = rng.poisson(10, keys), rng.beta(0.5, 9.5, keys)
            bucket = rng.integers(0, 64, keys)
            arms.append(arm(np.bincount(bucket, rows, 64).astype(int).tolist(),
                            np.bincount(bucket, rng.binomial(rows, rate), 64).astype(int).tolist()))  # fmt: skip
        difference = bucket_difference(*arms)
        seen.append(difference.estimate)
        claimed.append(1 / difference.information)

    assert np.mean(seen) == pytest.approx(0.0, abs=3 * float(np.std(seen)) / 20)
    assert float(np.sqrt(np.mean(claimed))) == pytest.approx(np.std(seen), rel=0.1)


def test_an_empty_variant_leaves_no_information() -> None:
    assert bucket_difference(Losses(), arm([10] * 64, [1, 2] * 32)).information == 0.0


def test_buckets_that_do_not_differ_leave_no_information() -> None:
    assert bucket_difference(arm([10] * 64, [0] * 64), arm([90] * 64, [0] * 64)).information == 0.0


def test_an_arm_that_was_lucky_is_not_taken_for_certain() -> None:
    clustered = [100 if bucket % 16 == 0 else 0 for bucket in range(64)]

    lucky = bucket_difference(arm([100] * 64, [0] * 64), arm([900] * 64, clustered))
    unlucky = bucket_difference(arm([100] * 64, [n // 9 for n in clustered]), arm([900] * 64, clustered))

    assert 0.0 < lucky.information <= unlucky.information * 1.3


def test_the_effect_of_clusters_is_taken_from_the_arm_with_more_events() -> None:
    clustered, even = [64 if bucket == 9 else 0 for bucket in range(64)], [1] * 64

    alike = bucket_difference(arm([500] * 64, even), arm([500] * 64, [0, 2] * 32))
    apart = bucket_difference(arm([500] * 64, even), arm([500] * 64, [2 * n for n in clustered]))

    assert apart.information < alike.information / 20
