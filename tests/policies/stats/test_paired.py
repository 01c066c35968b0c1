"""Tests of pairs against single pairs, enumeration, and simulated shadows."""

import json
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate, stats

from coalmine.policies.stats.bernstein import LOG_PRIOR, MULTIPLES, Bernstein, Null
from coalmine.policies.stats.excess import log_e_above
from coalmine.policies.stats.paired import Pairs, discordant, log_e_agreement, sign_test
from coalmine.policies.stats.rate_ratio import EXCESSES

NEVER = 10**12
"""So many looks to spread later starts over that none comes to matter."""

BAR = math.log(20)


def pairs_of(differences: list[float]) -> Pairs:
    d = np.array(differences)
    return Pairs(len(d), float(d.sum()), float(d @ d))


def pair_by_pair(null: Null, differences: list[float], bound: float, effect: float, centre: float) -> float:
    """ln E of one look from single pairs, straight from the definition."""
    sign = 1 if null is Null.NOT_WORSE else -1
    cap, e = 1 + sign * centre, 0.0
    for log_weight, multiple in zip(LOG_PRIOR, MULTIPLES, strict=True):
        f = min(max(multiple * cap * effect / 0.2, 6e-4), 0.6)
        scaled = [sign * (d - centre) / cap for d in differences]
        grown = sum(f * y - (-math.log(1 - f) - f) * y * y + f * sign * (centre - bound) / cap for y in scaled)
        e += math.exp(log_weight + grown)
    return math.log(e)


@pytest.mark.parametrize("null", list(Null))
@pytest.mark.parametrize("centre", [0.0, 0.3, -0.2])
def test_the_value_is_the_product_over_single_pairs(null: Null, centre: float) -> None:
    differences = np.random.default_rng(1).uniform(-1, 1, 50).tolist()

    value = Bernstein.start(null, (0.02,), (0.05,)).update([pairs_of(differences)], centre, 0.2).value(0.02)

    assert value == pytest.approx(pair_by_pair(null, differences, 0.02, 0.05, centre), abs=1e-9)


def mean_e(null: Null, chances: tuple[float, float, float], bound: float, centre: float) -> float:
    """The mean of E over every outcome of 6 pairs whose differences are -1, 0 and 1 with these chances."""
    start, mean = Bernstein.start(null, (bound,), (0.2,)), 0.0
    for outcome in product(zip(chances, (-1.0, 0.0, 1.0), strict=True), repeat=6):
        value = start.update([pairs_of([d for _, d in outcome])], centre, 0.3).value(bound)
        mean += math.prod(chance for chance, _ in outcome) * math.exp(value)
    return mean


@pytest.mark.parametrize("centre", [0.0, 0.4])
@pytest.mark.parametrize("chances", [(0.0, 0.9, 0.1), (0.4, 0.1, 0.5)])
def test_the_mean_on_the_edge_of_either_null_is_at_most_one(chances: tuple[float, float, float], centre: float) -> None:
    assert mean_e(Null.NOT_WORSE, chances, 0.1, centre) <= 1.0 + 1e-9
    assert mean_e(Null.WORSE, chances, 0.1, centre) <= 1.0 + 1e-9


def test_enumeration_can_fail() -> None:
    assert mean_e(Null.NOT_WORSE, (0.0, 0.5, 0.5), 0.1, 0.0) > 1.0
    assert mean_e(Null.WORSE, (0.5, 0.5, 0.0), 0.1, 0.0) > 1.0


@given(st.lists(st.lists(st.floats(-1, 1), max_size=6), min_size=1, max_size=6))
def test_a_look_may_come_in_parts_of_any_size(parts: list[list[float]]) -> None:
    start = Bernstein.start(Null.NOT_WORSE, (0.0,), (0.05,))

    split = start.update([pairs_of(part) for part in parts], 0.1, 0.2)
    whole = start.update([pairs_of([d for part in parts for d in part])], 0.1, 0.2)

    assert split.value(0.0) == pytest.approx(whole.value(0.0), abs=1e-9)


def test_the_sign_test_has_mean_one_when_neither_model_is_worse() -> None:
    x = np.arange(41)
    values = [sign_test(0.02, 0.04, NEVER).update([discordant(int(k), 40 - int(k))]).value() for k in x]

    assert float(stats.binom.pmf(x, 40, 0.5) @ np.exp(values)) == pytest.approx(1.0, abs=1e-9)


def test_the_sign_test_is_designed_for_the_ratio_that_the_margin_means() -> None:
    """2 points of 4: three pairs are worse for the canary where one is worse for stable."""
    assert sign_test(0.02, 0.04, NEVER).excess == pytest.approx(2.0)
    assert sign_test(0.02, 0.01, NEVER).excess == EXCESSES[-1]


def shadow(canary_only: float, stable_only: float) -> list[NDArray[np.int64]]:
    """100 shadows of 40 looks of 100 pairs: (worse for the canary, worse for stable, alike) by look."""
    rng, alike = np.random.default_rng(2), 1 - canary_only - stable_only
    return list(rng.multinomial(100, [canary_only, stable_only, alike], (100, 40)))


def found_by_signs(attempts: list[NDArray[np.int64]]) -> int:
    found = 0
    for attempt in attempts:
        test, best = sign_test(0.02, 0.04, 10), -math.inf
        for x, y, _ in attempt.tolist():
            test = test.update([discordant(x, y)])
            best = max(best, test.value())
        found += best >= BAR
    return found


def found_by_differences(null: Null, bound: float, attempts: list[NDArray[np.int64]]) -> int:
    found = 0
    for attempt in attempts:
        test, best = Bernstein.start(null, (bound,), (0.02,)), -math.inf
        for x, y, alike in attempt.tolist():
            test = test.update([Pairs(x + y + alike, x - y, x + y)], 0.0, 0.04)
            best = max(best, test.value(bound))
        found += best >= BAR
    return found


def test_equal_models_are_left_alone_and_a_worse_one_is_found() -> None:
    equal, worse = shadow(0.02, 0.02), shadow(0.04, 0.01)

    assert found_by_signs(equal) <= 5
    assert found_by_differences(Null.NOT_WORSE, 0.0, equal) <= 5
    assert found_by_signs(worse) >= 99
    assert found_by_differences(Null.NOT_WORSE, 0.0, worse) >= 99


def test_a_difference_within_the_tolerance_is_left_alone() -> None:
    assert found_by_differences(Null.NOT_WORSE, 0.02, shadow(0.03, 0.01)) <= 5


def test_equal_models_are_promoted_and_those_on_the_margin_are_not() -> None:
    assert found_by_differences(Null.WORSE, 0.02, shadow(0.02, 0.02)) >= 95
    assert found_by_differences(Null.WORSE, 0.02, shadow(0.03, 0.01)) <= 5


def test_a_wrong_sign_is_caught() -> None:
    worse = shadow(0.04, 0.01)
    swapped = [attempt[:, [1, 0, 2]] for attempt in worse]

    assert found_by_signs(swapped) == 0
    assert found_by_differences(Null.NOT_WORSE, 0.0, swapped) == 0


def test_pairs_find_what_the_same_losses_unpaired_would_not() -> None:
    """10 % errors in both arms, all but 60 of 1500 shared, 45 of them the canary's."""
    paired = Bernstein.start(Null.NOT_WORSE, (0.0,), (0.02,)).update([Pairs(1_500, 30, 60)], 0.0, 0.04)
    unpaired_p = stats.norm.sf(30 / math.sqrt(1_500 * 2 * 0.1 * 0.9))

    assert math.exp(-paired.value(0.0)) < 0.02 < unpaired_p


@pytest.mark.parametrize(("n", "disagreements"), [(10, 0), (200, 4), (500, 40)])
def test_agreement_is_the_integral_over_the_rates_below_the_limit(n: int, disagreements: int) -> None:
    limit = 0.05

    def ratio(rate: float) -> float:
        return float(stats.binom.pmf(disagreements, n, rate) / stats.binom.pmf(disagreements, n, limit))

    mean, _ = integrate.quad(ratio, 0.0, limit, points=[min(limit, disagreements / n)])

    assert log_e_agreement(limit, n, disagreements) == pytest.approx(math.log(mean / limit), abs=1e-6)


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.5])
def test_agreement_and_its_opposite_have_mean_one_at_the_limit(limit: float) -> None:
    x = np.arange(81)
    chance = stats.binom.pmf(x, 80, limit)

    for log_e in (log_e_agreement, log_e_above):
        assert float(chance @ [math.exp(log_e(limit, 80, int(k))) for k in x]) == pytest.approx(1.0, abs=1e-9)


def test_agreement_says_nothing_without_pairs_and_does_not_overflow() -> None:
    assert log_e_agreement(0.05, 0, 0) == 0.0
    assert log_e_agreement(0.05, 10_000_000, 9_000_000) < -1e3
    assert log_e_agreement(0.5, 10_000_000, 0) < math.inf


def test_json_keeps_every_bit() -> None:
    test = Bernstein.start(Null.NOT_WORSE, (0.0,), (0.02,), 4).update([pairs_of([0.3, -0.1, 0.7])], 0.0, 0.04)
    again = Bernstein.from_json(json.loads(json.dumps(test.to_json())))
    more = [pairs_of([0.2, 0.9])]

    assert again.update(more, 0.1, 0.04).value(0.0) == test.update(more, 0.1, 0.04).value(0.0)
