"""Counts of classes against binomial mixtures, published distances, and simulation of their bias."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from coalmine.policies.stats.distribution import ClassCounts, distance, log_e_dependent

UNIFORM = np.full(10, 0.1)
ONE_MOVED = np.array([0.15, *[0.85 / 9] * 9])
SPREAD = 0.1 + 0.01 * np.array([1, -1] * 5)

COUNTS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 900)), min_size=3, max_size=3)


def drawn(rng: np.random.Generator, canary: np.ndarray, stable: np.ndarray, n: int, share: float) -> ClassCounts:
    routed = int(rng.binomial(n, share))
    return ClassCounts.of(share, rng.multinomial(routed, canary), rng.multinomial(n - routed, stable))


def counts_of(share: float, pairs: list[tuple[int, int]]) -> ClassCounts:
    return ClassCounts.of(share, [x for x, _ in pairs], [y for _, y in pairs])


def test_the_value_is_a_beta_binomial_over_a_binomial_for_each_class() -> None:
    canary, stable = np.array([12, 40, 3]), np.array([80, 300, 50])
    mixed = stats.betabinom.logpmf(canary, canary + stable, 100, 900)
    exact = float((mixed - stats.binom.logpmf(canary, canary + stable, 0.1)).sum())

    assert log_e_dependent([ClassCounts.of(0.1, canary, stable)]) == pytest.approx(exact, abs=1e-9)


def test_the_mean_is_exactly_one_when_the_prediction_does_not_depend_on_the_arm() -> None:
    """Every outcome of 6 rows of three classes, routed at random."""
    classes, share = (0.5, 0.3, 0.2), 0.3
    cells = [arm * q for q in classes for arm in (share, 1 - share)]
    mean = 0.0
    for x in np.ndindex(*(7,) * 5):
        if sum(x) <= 6:
            counts = np.array([*x, 6 - sum(x)])
            chance = float(stats.multinomial.pmf(counts, 6, cells))
            mean += chance * math.exp(log_e_dependent([ClassCounts.of(share, counts[::2], counts[1::2])]))

    assert mean == pytest.approx(1.0, abs=1e-9)


def test_dependence_is_found_and_its_absence_is_not() -> None:
    rng = np.random.default_rng(3)
    same = [log_e_dependent([drawn(rng, UNIFORM, UNIFORM, 50_000, 0.1)]) for _ in range(100)]
    moved = [log_e_dependent([drawn(rng, ONE_MOVED, UNIFORM, 50_000, 0.1)]) for _ in range(100)]

    assert sum(log_e >= math.log(20) for log_e in same) <= 5
    assert min(moved) > math.log(20)


@given(COUNTS, COUNTS)
def test_the_order_of_epochs_and_classes_does_not_matter(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    epochs = [counts_of(0.05, first), counts_of(0.3, second)]
    turned = [counts_of(0.3, second[::-1]), counts_of(0.05, first[::-1])]

    assert log_e_dependent(epochs) == pytest.approx(log_e_dependent(turned), abs=1e-9)
    assert distance(epochs).variation == pytest.approx(distance(turned).variation, abs=1e-9, nan_ok=True)
    assert distance(epochs).stability == pytest.approx(distance(turned).stability, abs=1e-9, nan_ok=True)


def test_with_many_rows_the_distances_are_those_of_the_probabilities() -> None:
    million = 10_000_000
    counts = ClassCounts.of(0.5, ONE_MOVED * million, UNIFORM * million)

    seen = distance([counts])

    assert seen.variation == pytest.approx(0.05, abs=1e-4)
    assert seen.stability == pytest.approx(float(((ONE_MOVED - UNIFORM) * np.log(ONE_MOVED / UNIFORM)).sum()), abs=1e-5)
    assert seen.divergence == pytest.approx(float(jensenshannon(ONE_MOVED, UNIFORM)) ** 2, abs=1e-5)


def means(canary: np.ndarray, rows: int) -> tuple[float, float, float]:
    """The mean distances over 300 draws of `rows` rows, a tenth of them the canary's, against equal classes."""
    rng = np.random.default_rng(4)
    seen = [distance([drawn(rng, canary, UNIFORM, rows, 0.1)]) for _ in range(300)]
    return (
        float(np.mean([each.variation for each in seen])),
        float(np.mean([each.stability for each in seen])),
        float(np.mean([each.divergence for each in seen])),
    )


@pytest.mark.parametrize(("canary", "variation"), [(UNIFORM, 0.0), (ONE_MOVED, 0.05), (SPREAD, 0.05)])
def test_a_thousand_canary_rows_show_the_distance_within_fifteen_thousandths(
    canary: np.ndarray, variation: float
) -> None:
    assert means(canary, 10_000)[0] == pytest.approx(variation, abs=0.016)


def test_chance_alone_moves_no_index() -> None:
    """Without correction PSI is 0.05 with 200 canary rows, half of the limit that folklore calls a shift."""
    assert means(UNIFORM, 2_000)[1] < 0.012
    assert means(UNIFORM, 2_000)[2] < 0.002


def test_the_correction_of_an_index_leaves_a_real_shift() -> None:
    truth = float(((ONE_MOVED - UNIFORM) * np.log(ONE_MOVED / UNIFORM)).sum())

    assert means(ONE_MOVED, 20_000)[1] == pytest.approx(truth, abs=0.003)
    assert means(ONE_MOVED, 20_000)[2] == pytest.approx(float(jensenshannon(ONE_MOVED, UNIFORM)) ** 2, abs=5e-4)


def test_a_class_that_one_arm_never_predicts_is_no_infinite_shift() -> None:
    assert 0.0 < distance([ClassCounts.of(0.5, [500, 500, 0], [450, 450, 100])]).stability < 1.0


def test_pooling_over_the_ramp_is_caught() -> None:
    """The classes of everybody change while the weight rises."""
    early, late = ClassCounts.of(0.01, [90, 10], [8_910, 990]), ClassCounts.of(0.5, [500, 4_500], [500, 4_500])
    pooled = ClassCounts.of(0.35, early.canary + late.canary, early.stable + late.stable)

    assert distance([early, late]).variation < 0.01 < 0.3 < distance([pooled]).variation


def test_an_arm_without_rows_has_no_distance() -> None:
    nothing = distance([ClassCounts.of(0.1, [0, 0], [5, 6])])

    assert math.isnan(nothing.variation)
    assert math.isnan(nothing.stability)
    assert log_e_dependent([]) == 0.0


def test_arms_with_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="same classes"):
        ClassCounts.of(0.1, [1, 2], [1, 2, 3])
