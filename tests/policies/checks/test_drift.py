"""Features that moved are named and the others are not, at any look; the test against its definition."""

import json
import math
from collections.abc import Sequence
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from coalmine.policies.checks import drift
from coalmine.policies.checks.drift import STEPS, Drift, shares_of
from coalmine.policies.frozen.reference import Reference
from coalmine.policies.stats.restarts import LATE_SHARE
from tests.policies.frozen.references import tenths

NEVER = 10**9
"""Looks over which later starts are spread so thinly that there are none."""

ORIGIN = Reference(name="origin", categories=("EWR", "JFK"), counts=(6_000, 4_000))


def references_of(rng: np.random.Generator, rows: int = 10_000) -> list[Reference]:
    return [tenths(f"x{index}", rng.normal(size=rows)) for index in range(20)]


def named(shift: float, seed: int, *, looks: int = 40, since: int = 0, rows: int = 10_000) -> list[str]:
    """The features named at any look of 200 rows, if the fourth of 20 moves by `shift` sd after look `since`."""
    rng = np.random.default_rng(seed)
    references = references_of(rng, rows)
    test, names = Drift.start(references, 0.05, late_looks=60), set[str]()
    for look in range(looks):
        values = rng.normal(size=(20, 200))
        values[3] += shift if look >= since else 0.0
        test = test.update([each.count(column.tolist()) for each, column in zip(references, values, strict=True)])
        names |= set(test.moved(0.05))
    return sorted(names)


@pytest.mark.parametrize("seed", range(3))
def test_a_shift_of_half_a_standard_deviation_is_named_and_nothing_else(seed: int) -> None:
    assert named(0.5, seed) == ["x3"]


def test_a_late_shift_is_named_too() -> None:
    assert named(0.5, 4, looks=120, since=60) == ["x3"]


@pytest.mark.parametrize("seed", range(5))
def test_the_same_data_names_nothing(seed: int) -> None:
    assert named(0.0, seed) == []


def test_a_small_reference_names_nothing_by_its_own_error() -> None:
    assert named(0.0, 5, rows=300) == []


def test_leaving_out_the_error_of_the_reference_is_caught() -> None:
    def exact(references: Sequence[Reference], bins: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shares, error = shares_of(references, bins)
        return shares, np.zeros_like(error)

    with mock.patch.object(drift, "shares_of", exact):
        assert named(0.0, 5, rows=300)


def test_a_chi_square_at_every_look_would_be_caught() -> None:
    rng = np.random.default_rng(6)
    alarms = 0
    for reference in references_of(rng):
        counts = np.cumsum([reference.count(rng.normal(size=200).tolist()) for _ in range(40)], axis=0)[:, :-1]
        alarms += any(stats.chisquare(seen).pvalue < 0.05 for seen in counts)

    assert alarms >= 4


def looked(looks: Sequence[Sequence[str | None]], tolerance: float = 0.05) -> Drift:
    test = Drift.start([ORIGIN], tolerance, NEVER)
    for values in looks:
        test = test.update([ORIGIN.count(values)])
    return test


def test_the_value_is_the_mixture_of_bernoulli_likelihood_ratios() -> None:
    """The first look chooses JFK, the second tests it."""
    test = looked([["JFK"] * 5, ["JFK"] * 14 + ["EWR"] * 6])

    error = 0.5 * math.sqrt(3 / 10_000) + math.sqrt(math.log(1 / 0.01) / 20_000)
    limit = 0.4 + 0.05 + error
    ratios = [stats.binom.pmf(14, 20, limit + (1 - limit) * step) / stats.binom.pmf(14, 20, limit) for step in STEPS]
    exact = math.log((1 - LATE_SHARE) * float(np.mean(ratios)) + LATE_SHARE)
    assert test.readings()[0].log_e == pytest.approx(exact, abs=1e-9)


def test_the_mean_at_the_tolerance_is_at_most_one() -> None:
    values = [looked([["JFK"], ["JFK"] * x + ["EWR"] * (30 - x)]).readings()[0].log_e for x in range(31)]
    chances = stats.binom.pmf(np.arange(31), 30, 0.4 + 0.05)

    assert float(chances @ np.exp(values)) <= 1.0
    assert float(stats.binom.pmf(np.arange(31), 30, 0.7) @ np.exp(values)) > 1.0


def test_a_shift_within_the_tolerance_is_not_named() -> None:
    assert looked([["JFK"] * 44 + ["EWR"] * 56] * 200).moved(0.05) == ()
    assert looked([["JFK"] * 60 + ["EWR"] * 40] * 200).moved(0.05) == ("origin",)


@pytest.mark.parametrize("strange", [None, "LGA"])
def test_missing_and_new_values_are_drift(strange: str | None) -> None:
    assert looked([[*["EWR"] * 40, *["JFK"] * 30, *[strange] * 30]] * 10).moved(0.05) == ("origin",)


def test_a_reading_shows_the_distance_without_what_chance_adds() -> None:
    moved = looked([["EWR"] * 4_000 + ["JFK"] * 6_000]).readings()[0]
    same = looked([["EWR"] * 603 + ["JFK"] * 397]).readings()[0]

    assert (moved.name, moved.rows) == ("origin", 10_000)
    assert moved.variation == pytest.approx(0.2, abs=0.001)
    assert moved.stability == pytest.approx(0.4 * math.log(1.5), abs=0.002)
    assert same.variation == pytest.approx(0.0, abs=0.001)


def test_no_rows_say_nothing() -> None:
    reading = looked([[], []]).readings()[0]

    assert reading.log_e == pytest.approx(0.0, abs=1e-12)
    assert math.isnan(reading.variation)
    assert Drift.start([], 0.05, NEVER).update([]).moved(0.05) == ()


def test_a_reference_with_one_category_alone_never_overflows() -> None:
    only = Reference(name="only", categories=("a",), counts=(50,))
    test = Drift.start([only], 0.05, NEVER)
    for _ in range(3):
        test = test.update([only.count(["a"] * 1_000_000)])

    assert abs(test.readings()[0].log_e) < 1e-12


def test_the_order_of_features_does_not_matter() -> None:
    rng = np.random.default_rng(7)
    number = tenths("x", rng.normal(size=1_000))
    one, other = Drift.start([ORIGIN, number], 0.05, 60), Drift.start([number, ORIGIN], 0.05, 60)
    for _ in range(10):
        counts = ORIGIN.count(["JFK"] * 50 + ["EWR"] * 50), number.count(rng.normal(1.0, size=100).tolist())
        one, other = one.update(counts), other.update(counts[::-1])

    assert one.readings() == other.readings()[::-1]


def test_json_keeps_every_bit() -> None:
    test = looked([["JFK"] * 5, ["JFK"] * 14 + ["EWR"] * 6])
    again = Drift.from_json(json.loads(json.dumps(test.to_json())), [ORIGIN])
    more = [ORIGIN.count(["JFK"] * 9)]

    assert again.update(more).readings() == test.update(more).readings()
