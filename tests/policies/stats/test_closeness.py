"""Tests of a distance against all sets of classes, enumeration, and simulated attempts."""

import json
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.policies.stats.bernstein import LOG_PRIOR, MULTIPLES
from coalmine.policies.stats.closeness import Apart, Close
from coalmine.policies.stats.distribution import ClassCounts

SHARE = 0.2
STABLE = np.array([0.5, 0.3, 0.2])
ON_THE_TOLERANCE = np.array([0.55, 0.25, 0.2])
FAR = np.array([0.7, 0.1, 0.2])

LOOKS = st.lists(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 80)), min_size=3, max_size=3), min_size=1, max_size=6
)


def counts_of(pairs: list[tuple[int, int]]) -> ClassCounts:
    return ClassCounts.of(SHARE, [x for x, _ in pairs], [y for _, y in pairs])


def looks_of(canary: np.ndarray, rng: np.random.Generator, looks: int, rows: int = 500) -> list[ClassCounts]:
    routed = rng.binomial(rows, SHARE, looks)
    return [ClassCounts.of(SHARE, rng.multinomial(n, canary), rng.multinomial(rows - n, STABLE)) for n in routed]


def over_all_sets(looks: list[ClassCounts], margin: float) -> float:
    """ln of the mixture, over bets, of the least e-value of any set of classes: each set row by row, as defined."""
    cap = max(0.5 / SHARE, 0.5 / (1 - SHARE))
    best = cap * margin / (0.25 * (1 / SHARE + 1 / (1 - SHARE)))
    e = 0.0
    for log_weight, multiple in zip(LOG_PRIOR, MULTIPLES, strict=True):
        f = min(max(multiple * best, 6e-4), 0.6)
        least = math.inf
        for chosen in product((0.0, 1.0), repeat=3):
            log_e = 0.0
            for look in looks:
                for rows, factor in ((look.canary, 1 / SHARE), (look.stable, -1 / (1 - SHARE))):
                    for inside, count in zip(chosen, rows, strict=True):
                        y = -factor * (inside - 0.5) / cap
                        log_e += count * (f * (y + margin / cap) - (-math.log(1 - f) - f) * y * y)
            least = min(least, log_e)
        e += math.exp(log_weight + least)
    return math.log(e)


@given(LOOKS)
def test_closeness_is_the_least_over_all_sets_of_classes(looks: list[list[tuple[int, int]]]) -> None:
    counts = [counts_of(pairs) for pairs in looks]
    test = Close.start(3, (0.1, 0.3))
    for count in counts:
        test = test.update([count])

    assert test.value(0.3) == pytest.approx(over_all_sets(counts, 0.3), abs=1e-9)


@given(LOOKS)
def test_a_look_may_come_in_parts_of_any_size(looks: list[list[tuple[int, int]]]) -> None:
    counts = [counts_of(pairs) for pairs in looks]
    whole = ClassCounts.of(SHARE, sum(c.canary for c in counts), sum(c.stable for c in counts))

    close = Close.start(3, (0.1,))
    assert close.update(counts).value(0.1) == pytest.approx(close.update([whole]).value(0.1), abs=1e-9)
    apart = Apart.start(3, 0.05, 0.05, 0).update([counts_of([(9, 5), (1, 9), (4, 20)])])
    assert apart.update(counts).value() == pytest.approx(apart.update([whole]).value(), abs=1e-9)


def outcomes(canary: list[float], rows: int) -> list[tuple[float, ClassCounts]]:
    """Every outcome of `rows` rows of two classes routed at random, with its probability."""
    cells = [(SHARE * canary[0], 0), (SHARE * canary[1], 1), ((1 - SHARE) * 0.6, 2), ((1 - SHARE) * 0.4, 3)]
    found = []
    for rows_of in product(cells, repeat=rows):
        counts = np.bincount([cell for _, cell in rows_of], minlength=4)
        found.append((math.prod(chance for chance, _ in rows_of), ClassCounts.of(SHARE, counts[:2], counts[2:])))
    return found


def test_the_mean_of_either_null_is_at_most_one() -> None:
    apart, close = Apart.start(2, 0.1, 0.2, 0), Close.start(2, (0.1,))
    history = ClassCounts.of(SHARE, [5, 1], [12, 8])
    two_looks = [(p, look) for p, look in outcomes([0.7, 0.3], 4)]

    mean_apart = sum(p * math.exp(apart.update([history]).update([look]).value()) for p, look in two_looks)
    mean_close = sum(p * math.exp(close.update([look]).value(0.1)) for p, look in two_looks)

    assert mean_apart <= math.exp(apart.update([history]).value()) + 1e-9
    assert mean_close <= 1.0 + 1e-9


def test_enumeration_can_fail() -> None:
    apart, history = Apart.start(2, 0.1, 0.2, 0), ClassCounts.of(SHARE, [5, 1], [12, 8])

    mean = sum(p * math.exp(apart.update([history]).update([look]).value()) for p, look in outcomes([1.0, 0.0], 4))

    assert mean > math.exp(apart.update([history]).value()) + 1e-3


def apart_crossings(canary: np.ndarray, *, swap: bool = False) -> int:
    """How many of 60 attempts of 40 looks find the distance above a tolerance of 0.05."""
    rng, crossed = np.random.default_rng(6), 0
    for _ in range(60):
        test, best = Apart.start(3, 0.05, 0.05, late_looks=150), -math.inf
        for look in looks_of(canary, rng, 40):
            test = test.update([ClassCounts.of(1 - SHARE, look.stable, look.canary) if swap else look])
            best = max(best, test.value())
        crossed += best >= math.log(20)
    return crossed


def test_a_canary_within_the_tolerance_is_left_alone_and_one_beyond_found() -> None:
    assert apart_crossings(STABLE) == 0
    assert apart_crossings(ON_THE_TOLERANCE) <= 5
    assert apart_crossings(FAR) == 60


def test_a_distance_has_no_direction() -> None:
    assert apart_crossings(FAR, swap=True) == 60


def promoted(canary: np.ndarray, looks: int) -> int:
    """How many of 40 attempts are ever found closer than 0.05."""
    rng, found = np.random.default_rng(7), 0
    for _ in range(40):
        test, best = Close.start(3, (0.05,)), -math.inf
        for look in looks_of(canary, rng, looks):
            test = test.update([look])
            best = max(best, test.value(0.05))
        found += best >= math.log(20)
    return found


def test_equal_distributions_are_found_close_and_those_on_the_margin_are_not() -> None:
    assert promoted(STABLE, 60) >= 38
    assert promoted(ON_THE_TOLERANCE, 60) <= 4


def test_the_worst_set_of_classes_decides() -> None:
    """The first class is as frequent in both arms, and the other two together; apart from each other they moved."""
    merged = ClassCounts.of(SHARE, [1_000, 1_000], [4_000, 4_000])
    single = ClassCounts.of(SHARE, [1_000, 800, 200], [4_000, 2_400, 1_600])

    assert Close.start(2, (0.05,)).update([merged]).value(0.05) > 1.0
    assert Close.start(3, (0.05,)).update([single]).value(0.05) < -1.0


def test_looks_of_one_variant_alone_say_nothing() -> None:
    alone = [ClassCounts.of(0.0, [0, 0], [5, 9]), ClassCounts.of(1.0, [5, 9], [0, 0])]

    assert Close.start(2, (0.1,)).update(alone).value(0.1) == pytest.approx(0.0, abs=1e-12)
    assert Apart.start(2, 0.1, 0.1, 0).update(alone).value() == pytest.approx(0.0, abs=1e-12)


def test_json_keeps_every_bit() -> None:
    looks = looks_of(FAR, np.random.default_rng(8), 5)
    apart, close = Apart.start(3, 0.05, 0.05, late_looks=30), Close.start(3, (0.05, 0.1))
    for look in looks:
        apart, close = apart.update([look]), close.update([look])

    apart_again = Apart.from_json(json.loads(json.dumps(apart.to_json())))
    close_again = Close.from_json(json.loads(json.dumps(close.to_json())))

    assert apart_again.update(looks).value() == apart.update(looks).value()
    assert close_again.update(looks).value(0.1) == close.update(looks).value(0.1)
