"""The empirical-Bernstein test against sums over single units and full enumeration of small looks."""

import json
import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from coalmine.policies.stats.bernstein import LOG_PRIOR, MULTIPLES, Arms, Bernstein, Null


def unit_by_unit(null: Null, arms: Arms, bound: float, effect: float, centre: float) -> float:
    """ln E of one look from the losses of single units, straight from the definition."""
    w = arms.share
    losses = [(1 / w, x) for x in [1] * arms.canary_events + [0] * (arms.canary_n - arms.canary_events)]
    losses += [(-1 / (1 - w), x) for x in [1] * arms.stable_events + [0] * (arms.stable_n - arms.stable_events)]
    sign = 1 if null is Null.NOT_WORSE else -1
    steps = [sign * factor * (x - centre) for factor, x in losses]
    possible = [sign * factor * (x - centre) for factor, x in product((1 / w, -1 / (1 - w)), (0, 1))]
    cap = -min(possible)
    e = 0.0
    for log_weight, multiple in zip(LOG_PRIOR, MULTIPLES, strict=True):
        spread = centre * (1 - centre) * (1 / w + 1 / (1 - w))
        f = min(max(multiple * cap * effect / spread, 6e-4), 0.6)
        grown = sum(f * y / cap - (-math.log(1 - f) - f) * (y / cap) ** 2 for y in steps)
        e += math.exp(log_weight + grown - sign * f / cap * bound * len(steps))
    return math.log(e)


@pytest.mark.parametrize("null", list(Null))
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_the_value_is_the_product_over_single_units(null: Null, share: float) -> None:
    arms = Arms(share, 40, 3, 160, 7)

    value = Bernstein.start(null, (0.02,), (0.01,)).update([arms], centre=0.05).value(0.02)

    assert value == pytest.approx(unit_by_unit(null, arms, 0.02, 0.01, 0.05), abs=1e-9)


def mean_e(null: Null, share: float, canary_rate: float, stable_rate: float, bound: float, centre: float) -> float:
    """The mean of E over every outcome of a look of 10 rows that are routed at random."""
    n, mean = 10, 0.0
    for n_c in range(n + 1):
        for x, y in product(range(n_c + 1), range(n - n_c + 1)):
            chance = stats.binom.pmf(n_c, n, share)
            chance *= stats.binom.pmf(x, n_c, canary_rate) * stats.binom.pmf(y, n - n_c, stable_rate)
            test = Bernstein.start(null, (bound,), (0.05,)).update([Arms(share, n_c, x, n - n_c, y)], centre)
            mean += chance * math.exp(test.value(bound))
    return mean


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("centre", [0.01, 0.3])
@pytest.mark.parametrize("stable_rate", [0.0, 0.05, 0.5])
def test_the_mean_on_the_edge_of_either_null_is_at_most_one(share: float, centre: float, stable_rate: float) -> None:
    on_the_edge = stable_rate + 0.1

    assert mean_e(Null.NOT_WORSE, share, on_the_edge, stable_rate, 0.1, centre) <= 1.0 + 1e-9
    assert mean_e(Null.WORSE, share, on_the_edge, stable_rate, 0.1, centre) <= 1.0 + 1e-9


def test_enumeration_can_fail() -> None:
    assert mean_e(Null.NOT_WORSE, 0.5, 0.9, 0.1, 0.1, 0.3) > 1.0
    assert mean_e(Null.WORSE, 0.5, 0.1, 0.1, 0.5, 0.3) > 1.0


def test_a_thousand_canary_rows_without_an_error_show_half_a_point() -> None:
    start = Bernstein.start(Null.WORSE, (0.005,), (0.005,))

    enough = start.update([Arms(0.1, 1_010, 0, 9_090, 0)], centre=1e-4)
    half = start.update([Arms(0.1, 500, 0, 4_500, 0)], centre=1e-4)

    assert half.value(0.005) < math.log(20) < enough.value(0.005)


def test_every_bound_has_a_test_of_its_own() -> None:
    arms = Arms(0.1, 300, 0, 2_700, 0)

    together = Bernstein.start(Null.WORSE, (0.005, 0.02), (0.005, 0.02)).update([arms], 1e-4)
    alone = Bernstein.start(Null.WORSE, (0.02,), (0.02,)).update([arms], 1e-4)

    assert together.value(0.02) == alone.value(0.02) > together.value(0.005)


def test_a_look_of_one_variant_alone_says_nothing() -> None:
    start = Bernstein.start(Null.NOT_WORSE, (0.01,), (0.01,))

    assert start.update([Arms(0.0, 0, 0, 90, 9), Arms(1.0, 5, 5, 0, 0)], 0.1).value(0.01) == start.value(0.01)


def test_a_million_rows_do_not_overflow() -> None:
    bad = Arms(0.5, 500_000, 400_000, 500_000, 5_000)

    value = Bernstein.start(Null.NOT_WORSE, (0.01,), (0.01,)).update([bad], 0.01).value(0.01)

    assert 1e4 < value < math.inf


def test_the_false_alarm_rate_over_many_looks_is_at_most_alpha() -> None:
    rng = np.random.default_rng(11)
    crossed = 0
    for _ in range(300):
        test, past = Bernstein.start(Null.NOT_WORSE, (0.02,), (0.03,)), [1.0, 20.0]
        best = -math.inf
        for _ in range(60):
            n_c = int(rng.binomial(100, 0.2))
            x, y = int(rng.binomial(n_c, 0.07)), int(rng.binomial(100 - n_c, 0.05))
            test = test.update([Arms(0.2, n_c, x, 100 - n_c, y)], past[0] / past[1])
            past = [past[0] + y, past[1] + 100 - n_c]
            best = max(best, test.value(0.02))
        crossed += best >= math.log(20)

    assert crossed <= 0.05 * 300 + 3 * math.sqrt(300 * 0.05 * 0.95)


def test_json_keeps_every_bit() -> None:
    test = Bernstein.start(Null.WORSE, (0.005, 0.02), (0.005, 0.02)).update([Arms(0.1, 300, 3, 2_700, 20)], 0.01)

    again = Bernstein.from_json(json.loads(json.dumps(test.to_json())))

    assert again.update([Arms(0.2, 9, 1, 36, 2)], 0.02).value(0.02) == test.update(
        [Arms(0.2, 9, 1, 36, 2)], 0.02
    ).value(0.02)
