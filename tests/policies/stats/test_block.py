"""The block test against binomial likelihoods, enumeration of every outcome, and its own history."""

import json
import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from coalmine.policies.stats.block import LOG_PRIOR, MULTIPLES, Block, BlockTest, logit
from coalmine.policies.stats.restarts import LATE_SHARE

NEVER = 10**12
"""So many looks to spread later starts over that none comes to matter."""


def looked(looks: list[list[Block]], centre: float = 0.1, late_looks: int = NEVER) -> BlockTest:
    test = BlockTest.start(base=0.1, margin=0.05, late_looks=late_looks)
    for blocks in looks:
        test = test.update(blocks, centre)
    return test


def by_likelihoods(block: Block, centre: float) -> float:
    """ln E of the first start alone, from binomial probabilities."""
    design = math.log(0.15 / 0.85) - math.log(0.1 / 0.9)
    canary_rate = 1 / (1 + np.exp(-(logit(centre) + design * MULTIPLES)))
    common = block.share * canary_rate + (1 - block.share) * centre
    log_e = stats.binom.logpmf(block.canary_events, block.canary_n, canary_rate)
    log_e += stats.binom.logpmf(block.stable_events, block.stable_n, centre)
    log_e -= stats.binom.logpmf(block.canary_events, block.canary_n, common)
    log_e -= stats.binom.logpmf(block.stable_events, block.stable_n, common)
    return math.log((1 - LATE_SHARE) * float(np.exp(LOG_PRIOR + log_e).sum()) + LATE_SHARE)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("centre", [0.01, 0.2, 0.9])
def test_the_value_is_the_mixture_of_binomial_likelihood_ratios(share: float, centre: float) -> None:
    block = Block(share, 20, 6, 40, 5)

    assert looked([[block]], centre).value() == pytest.approx(by_likelihoods(block, centre), abs=1e-9)


def mean_e_under_random_routing(share: float, canary: list[float], stable: list[float], centre: float) -> float:
    """The mean of E over every routing and outcome of rows with these event probabilities, one a row and arm."""
    mean = 0.0
    for routed in product((False, True), repeat=len(canary)):
        rates = [c if is_canary else s for is_canary, c, s in zip(routed, canary, stable, strict=True)]
        for events in product((0, 1), repeat=len(canary)):
            chance = math.prod(share if is_canary else 1 - share for is_canary in routed)
            chance *= math.prod(q if event else 1 - q for q, event in zip(rates, events, strict=True))
            x = sum(event for event, is_canary in zip(events, routed, strict=True) if is_canary)
            n = sum(routed)
            block = Block(share, n, x, len(routed) - n, sum(events) - x)
            mean += chance * math.exp(looked([[block]], centre).value())
    return mean


@pytest.mark.parametrize("share", [0.1, 0.6])
@pytest.mark.parametrize("centre", [0.02, 0.5])
def test_the_mean_is_one_for_rows_that_differ_under_random_routing(share: float, centre: float) -> None:
    rates = [0.0, 0.9, 0.2, 1.0]

    assert mean_e_under_random_routing(share, rates, rates, centre) == pytest.approx(1.0, abs=1e-9)
    assert mean_e_under_random_routing(share, [0.2, 0.7, 0.2, 1.0], rates, centre) <= 1.0


def test_enumeration_can_fail() -> None:
    assert mean_e_under_random_routing(0.5, [0.5, 0.5, 0.5], [0.1, 0.1, 0.1], 0.1) > 1.05


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 18), (8, 8), (12, 3)])
@pytest.mark.parametrize("centre", [0.05, 0.4])
def test_the_mean_given_the_rows_of_each_arm_is_at_most_one(n: int, m: int, centre: float) -> None:
    x, y = np.arange(n + 1), np.arange(m + 1)
    value = np.vectorize(lambda a, b: looked([[Block(n / (n + m), n, int(a), m, int(b))]], centre).value())
    e = np.exp(value(x[:, None], y[None, :]))

    means = [
        float(stats.binom.pmf(x, n, q) @ e @ stats.binom.pmf(y, m, r))
        for q, r in product(np.linspace(0.0, 1.0, 21), repeat=2)
        if q <= r
    ]

    assert max(means) <= 1.0 + 1e-9


def test_epochs_of_one_look_count_like_looks_of_their_own() -> None:
    blocks = [Block(0.01, 20, 3, 1_980, 200), Block(0.1, 30, 9, 270, 27)]

    assert looked([blocks]).value() == pytest.approx(looked([[block] for block in blocks]).value(), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 90), st.floats(0, 1)), min_size=1, max_size=8))
def test_a_look_may_come_in_parts_of_any_size(parts: list[tuple[int, int, float]]) -> None:
    blocks = [Block(0.2, n, int(n * rate), m, int(m * rate)) for n, m, rate in parts]
    whole = Block(
        0.2,
        sum(block.canary_n for block in blocks),
        sum(block.canary_events for block in blocks),
        sum(block.stable_n for block in blocks),
        sum(block.stable_events for block in blocks),
    )

    assert looked([blocks]).value() == pytest.approx(looked([[whole]]).value(), abs=1e-9)


def test_looks_without_rows_say_nothing() -> None:
    assert looked([[], [Block(0.1, 0, 0, 0, 0)], []]).value() == pytest.approx(0.0, abs=1e-12)


def test_an_epoch_of_one_variant_alone_says_nothing() -> None:
    assert looked([[Block(0.0, 0, 0, 90, 9), Block(1.0, 5, 5, 0, 0)]]).value() == pytest.approx(0.0, abs=1e-12)


def test_a_million_rows_do_not_overflow() -> None:
    worse = looked([[Block(0.5, 500_000, 400_000, 500_000, 5_000)]], centre=0.01).value()
    better = looked([[Block(0.5, 500_000, 5_000, 500_000, 400_000)]], centre=0.8).value()

    assert 1e4 < worse < math.inf
    assert -2.0 < better < 0.0


def test_a_base_near_one_keeps_an_alternative() -> None:
    log_odds = BlockTest.start(base=0.97, margin=0.05, late_looks=NEVER).log_odds

    assert 0.0 < log_odds < math.inf


def test_a_later_start_forgives_no_long_good_history() -> None:
    good, bad = [[Block(0.1, 100, 7, 900, 90)]] * 100, [[Block(0.1, 100, 20, 900, 90)]] * 12

    assert looked(good + bad, late_looks=300).value() > math.log(20)
    assert looked(good + bad, late_looks=0).value() < math.log(20)


def crossings(canary_rate: float, log_e: Callable[[list[Block]], float]) -> int:
    """How many of 200 attempts of 40 looks, 10 % of 300 rows for the canary, reach 1/alpha at any look."""
    rng = np.random.default_rng(7)
    n = rng.binomial(300, 0.1, (200, 40))
    x, y = rng.binomial(n, canary_rate), rng.binomial(300 - n, 0.1)
    attempts = [
        [Block(0.1, int(n[i, k]), int(x[i, k]), int(300 - n[i, k]), int(y[i, k])) for k in range(40)]
        for i in range(200)
    ]
    return sum(log_e(attempt) >= math.log(20) for attempt in attempts)


def highest(attempt: list[Block]) -> float:
    test, best = BlockTest.start(0.1, 0.05, late_looks=150), -math.inf
    for block in attempt:
        test = test.update([block], 0.1)
        best = max(best, test.value())
    return best


def swapped(attempt: list[Block]) -> float:
    """Hold stable's events against the canary."""
    return highest([Block(1 - b.share, b.stable_n, b.stable_events, b.canary_n, b.canary_events) for b in attempt])


def uncorrected(attempt: list[Block]) -> float:
    """Take the largest z over the looks for a test made once; ln 20 where it says 5 %."""
    counts = np.cumsum([[b.canary_n, b.canary_events, b.stable_n, b.stable_events] for b in attempt], axis=0)
    n, x, m, y = counts.T.astype(float)
    rate = (x + y) / (n + m)
    z = (x / n - y / m) / np.sqrt(rate * (1 - rate) * (1 / n + 1 / m))
    return math.log(20) if float(z.max()) > stats.norm.ppf(0.95) else 0.0


def test_identical_models_are_left_alone_and_bad_ones_found() -> None:
    assert crossings(0.1, highest) <= 10
    assert crossings(0.2, highest) >= 195


def test_a_wrong_sign_is_caught() -> None:
    assert crossings(0.2, swapped) == 0


def test_peeking_without_correction_is_caught() -> None:
    assert crossings(0.1, uncorrected) >= 40


def by_calls(rows_a_call: int) -> int:
    """How many of 100 attempts of 40 looks reach 1/alpha; a tenth of 20 calls an arm fails whole in both arms."""
    failed = np.random.default_rng(8).binomial(20, 0.1, (100, 40, 2)) * rows_a_call
    n = 20 * rows_a_call
    attempts = [[Block(0.5, n, x, n, y) for x, y in attempt] for attempt in failed.tolist()]
    return sum(highest(attempt) >= math.log(20) for attempt in attempts)


def test_rows_taken_for_calls_are_caught() -> None:
    assert by_calls(rows_a_call=1) <= 5
    assert by_calls(rows_a_call=20) >= 40


def pooled_over_the_ramp(blocks: list[Block]) -> list[Block]:
    n, m = sum(b.canary_n for b in blocks), sum(b.stable_n for b in blocks)
    x, y = sum(b.canary_events for b in blocks), sum(b.stable_events for b in blocks)
    return [Block(n / (n + m), n, x, m, y)]


def test_pooling_over_the_ramp_is_caught() -> None:
    calm, storm = Block(0.01, 100, 5, 9_900, 495), Block(0.5, 5_000, 1_500, 5_000, 1_500)

    assert looked([[calm, storm]]).value() < math.log(20) < looked([pooled_over_the_ramp([calm, storm])]).value()


def test_json_keeps_every_bit() -> None:
    test = looked([[Block(0.07, 30, 4, 290, 29)]] * 40, late_looks=150)
    again = BlockTest.from_json(json.loads(json.dumps(test.to_json())))
    more = [Block(0.2, 9, 1, 36, 2)]

    assert again.update(more, 0.2).value() == test.update(more, 0.2).value()
