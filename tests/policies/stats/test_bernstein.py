"""The empirical-Bernstein test against sums over single units and full enumeration of small looks."""

import json
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from coalmine.policies.stats.bernstein import LOG_PRIOR, MULTIPLES, Arms, Bernstein, Null

Array = NDArray[np.int64]


def arms_of(share: float, canary: list[float], stable: list[float]) -> Arms:
    x, y = np.array(canary), np.array(stable)
    return Arms(share, len(x), float(x.sum()), float(x @ x), len(y), float(y.sum()), float(y @ y))


def unit_by_unit(
    null: Null, w: float, canary: list[float], stable: list[float], bound: float, effect: float, centre: float
) -> float:
    """ln E of one look from the losses of single units, straight from the definition."""
    sign = 1 if null is Null.NOT_WORSE else -1
    steps = [sign * (x - centre) / w for x in canary] + [-sign * (x - centre) / (1 - w) for x in stable]
    possible = [sign * factor * (x - centre) for factor, x in product((1 / w, -1 / (1 - w)), (0, 1))]
    cap = -min(possible)
    e = 0.0
    for log_weight, multiple in zip(LOG_PRIOR, MULTIPLES, strict=True):
        spread = 0.03 * (1 / w + 1 / (1 - w))
        f = min(max(multiple * cap * effect / spread, 6e-4), 0.6)
        grown = sum(f * y / cap - (-math.log(1 - f) - f) * (y / cap) ** 2 for y in steps)
        e += math.exp(log_weight + grown - sign * f / cap * bound * len(steps))
    return math.log(e)


@pytest.mark.parametrize("null", list(Null))
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_the_value_is_the_product_over_single_units(null: Null, share: float) -> None:
    rng = np.random.default_rng(8)
    canary, stable = rng.beta(1, 9, 40).tolist(), rng.beta(1, 12, 160).tolist()

    value = Bernstein.start(null, (0.02,), (0.01,)).update([arms_of(share, canary, stable)], 0.05, 0.03).value(0.02)

    assert value == pytest.approx(unit_by_unit(null, share, canary, stable, 0.02, 0.01, 0.05), abs=1e-9)


def test_events_are_losses_of_nought_and_one() -> None:
    assert Arms.of_events(0.2, 4, 1, 5, 2) == arms_of(0.2, [1, 0, 0, 0], [1, 1, 0, 0, 0])


def mean_e(null: Null, share: float, canary_rate: float, stable_rate: float, bound: float, centre: float) -> float:
    """The mean of E over every outcome of a look of 10 rows that are routed at random."""
    n = 10
    mean = 0.0
    for n_c in range(n + 1):
        for x, y in product(range(n_c + 1), range(n - n_c + 1)):
            chance = stats.binom.pmf(n_c, n, share)
            chance *= stats.binom.pmf(x, n_c, canary_rate) * stats.binom.pmf(y, n - n_c, stable_rate)
            arms = Arms.of_events(share, n_c, x, n - n_c, y)
            test = Bernstein.start(null, (bound,), (0.05,)).update([arms], centre, centre * (1 - centre))
            mean += chance * math.exp(test.value(bound))
    return mean


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("centre", [0.01, 0.3])
@pytest.mark.parametrize("stable_rate", [0.0, 0.05, 0.5])
def test_the_mean_on_the_edge_of_either_null_is_at_most_one(share: float, centre: float, stable_rate: float) -> None:
    on_the_edge = stable_rate + 0.1

    assert mean_e(Null.NOT_WORSE, share, on_the_edge, stable_rate, 0.1, centre) <= 1.0 + 1e-9
    assert mean_e(Null.WORSE, share, on_the_edge, stable_rate, 0.1, centre) <= 1.0 + 1e-9


def mean_e_of_three_levels(null: Null, canary: list[float], stable: list[float], bound: float) -> float:
    """The mean of E over every outcome of a look of 4 rows with losses 0, 0.3 and 1, routed at random."""
    levels, share, mean = (0.0, 0.3, 1.0), 0.3, 0.0
    rows = [(share * p, "canary", x) for p, x in zip(canary, levels, strict=True)]
    rows += [((1 - share) * p, "stable", x) for p, x in zip(stable, levels, strict=True)]
    for outcome in product(rows, repeat=4):
        arms = arms_of(share, *([x for _, arm, x in outcome if arm == name] for name in ("canary", "stable")))
        test = Bernstein.start(null, (bound,), (0.05,)).update([arms], 0.4, 0.1)
        mean += math.prod(chance for chance, _, _ in outcome) * math.exp(test.value(bound))
    return mean


def test_the_mean_for_losses_between_nought_and_one_is_at_most_one() -> None:
    good, bad = [0.5, 0.4, 0.1], [0.4, 0.4, 0.2]

    assert mean_e_of_three_levels(Null.NOT_WORSE, bad, good, 0.1) <= 1.0 + 1e-9
    assert mean_e_of_three_levels(Null.WORSE, bad, good, 0.1) <= 1.0 + 1e-9
    assert mean_e_of_three_levels(Null.NOT_WORSE, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], 0.1) > 1.0


def test_enumeration_can_fail() -> None:
    assert mean_e(Null.NOT_WORSE, 0.5, 0.9, 0.1, 0.1, 0.3) > 1.0
    assert mean_e(Null.WORSE, 0.5, 0.1, 0.1, 0.5, 0.3) > 1.0


def test_a_thousand_canary_rows_without_an_error_show_half_a_point() -> None:
    start = Bernstein.start(Null.WORSE, (0.005,), (0.005,))

    enough = start.update([Arms.of_events(0.1, 1_010, 0, 9_090, 0)], 1e-4, 1e-4)
    half = start.update([Arms.of_events(0.1, 500, 0, 4_500, 0)], 1e-4, 1e-4)

    assert half.value(0.005) < math.log(20) < enough.value(0.005)


def test_every_bound_has_a_test_of_its_own() -> None:
    arms = Arms.of_events(0.1, 300, 0, 2_700, 0)

    together = Bernstein.start(Null.WORSE, (0.005, 0.02), (0.005, 0.02)).update([arms], 1e-4, 1e-4)
    alone = Bernstein.start(Null.WORSE, (0.02,), (0.02,)).update([arms], 1e-4, 1e-4)

    assert together.value(0.02) == alone.value(0.02) > together.value(0.005)


def test_a_look_of_one_variant_alone_says_nothing() -> None:
    start = Bernstein.start(Null.NOT_WORSE, (0.01,), (0.01,))

    alone = [Arms.of_events(0.0, 0, 0, 90, 9), Arms.of_events(1.0, 5, 5, 0, 0)]

    assert start.update(alone, 0.1, 0.09).value(0.01) == start.value(0.01)


def test_a_million_rows_do_not_overflow() -> None:
    bad = Arms.of_events(0.5, 500_000, 400_000, 500_000, 5_000)

    value = Bernstein.start(Null.NOT_WORSE, (0.01,), (0.01,)).update([bad], 0.01, 0.01).value(0.01)

    assert 1e4 < value < math.inf


def test_losses_that_hardly_vary_lose_no_digits_to_cancellation() -> None:
    rng = np.random.default_rng(9)
    canary, stable = (0.7 + 1e-6 * rng.standard_normal(500)).tolist(), (0.7 + 1e-6 * rng.standard_normal(500)).tolist()
    exact = sum(4 * math.pow(x - 0.7, 2) for x in canary + stable)

    terms = arms_of(0.5, canary, stable).terms(Null.WORSE, 0.7, 0.1)

    assert terms is not None
    assert terms.square == pytest.approx(exact, abs=1e-11)


@given(st.lists(st.lists(st.floats(0, 1), max_size=6), min_size=2, max_size=6))
def test_a_look_may_come_in_parts_of_any_size(parts: list[list[float]]) -> None:
    start = Bernstein.start(Null.NOT_WORSE, (0.0,), (0.05,))
    stable = [0.1, 0.5, 0.2]

    split = start.update([arms_of(0.3, part, stable) for part in parts], 0.3, 0.1)
    whole = start.update([arms_of(0.3, [x for part in parts for x in part], stable * len(parts))], 0.3, 0.1)

    assert split.value(0.0) == pytest.approx(whole.value(0.0), abs=1e-9)


def highest(canary: Array, stable: Array, share: float, n: Array, late_looks: int = 0) -> float:
    """The highest ln E of an attempt, against "not worse", from mean losses over `n` canary rows of 100 a look."""
    test, best, past = Bernstein.start(Null.NOT_WORSE, (0.02,), (0.03,), late_looks), -math.inf, [1.0, 20.0]
    for n_c, x, y in zip(n.tolist(), canary.tolist(), stable.tolist(), strict=True):
        centre = past[0] / past[1]
        arms = Arms.of_events(share, n_c, x, 100 - n_c, y)
        test = test.update([arms], centre, centre * (1 - centre))
        past = [past[0] + y, past[1] + 100 - n_c]
        best = max(best, test.value(0.02))
    return best


def crossings(canary_rate: float, late_looks: int = 0, *, swap: bool = False) -> int:
    """How many of 200 attempts of 60 looks are rolled back; stable's rate is 5 %, the tolerance 2 points."""
    rng, crossed = np.random.default_rng(11), 0
    for _ in range(200):
        n = rng.binomial(100, 0.2, 60)
        x, y = rng.binomial(n, canary_rate), rng.binomial(100 - n, 0.05)
        best = highest(y, x, 0.8, 100 - n, late_looks) if swap else highest(x, y, 0.2, n, late_looks)
        crossed += best >= math.log(20)
    return crossed


@pytest.mark.parametrize("late_looks", [0, 60])
def test_a_canary_on_the_tolerance_is_left_alone_and_a_worse_one_found(late_looks: int) -> None:
    assert crossings(0.07, late_looks) <= 10
    assert crossings(0.3, late_looks) >= 195


def test_a_wrong_sign_is_caught() -> None:
    assert crossings(0.3, swap=True) == 0


def test_a_later_start_forgives_no_long_good_history() -> None:
    good, bad = np.full(100, 0), np.full(30, 6)
    n, stable = np.full(130, 20), np.full(130, 4)
    canary = np.concatenate([good, bad])

    assert highest(canary, stable, 0.2, n, late_looks=300) > math.log(20) > highest(canary, stable, 0.2, n)


def test_a_promotion_rests_on_the_value_now_and_not_on_the_best_so_far() -> None:
    good, bad = Arms.of_events(0.2, 400, 20, 1_600, 80), Arms.of_events(0.2, 400, 80, 1_600, 80)
    test = Bernstein.start(Null.WORSE, (0.05,), (0.05,)).update([good], 0.05, 0.05)

    assert test.value(0.05) > math.log(20)
    assert test.update([bad], 0.05, 0.05).value(0.05) < 0.0


def test_pooling_over_the_ramp_is_caught() -> None:
    start = Bernstein.start(Null.NOT_WORSE, (0.0,), (0.05,))
    calm, storm = Arms.of_events(0.01, 100, 5, 9_900, 495), Arms.of_events(0.5, 5_000, 1_500, 5_000, 1_500)
    pooled = Arms.of_events(5_100 / 20_000, 5_100, 1_505, 14_900, 1_995)

    assert start.update([calm, storm], 0.1, 0.09).value(0.0) < math.log(20)
    assert start.update([pooled], 0.1, 0.09).value(0.0) > math.log(20)


def test_json_keeps_every_bit() -> None:
    start = Bernstein.start(Null.WORSE, (0.005, 0.02), (0.005, 0.02), late_looks=7)
    test = start.update([arms_of(0.1, [0.3, 0.1], [0.2, 0.7, 0.1])], 0.3, 0.1)
    more = [arms_of(0.2, [0.1], [0.9, 0.3])]

    again = Bernstein.from_json(json.loads(json.dumps(test.to_json())))

    assert again.update(more, 0.2, 0.1).value(0.02) == test.update(more, 0.2, 0.1).value(0.02)
