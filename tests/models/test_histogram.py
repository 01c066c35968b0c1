"""Histograms: every row is in one bin, tenths are tenths, and what no rows can have is refused."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.models import Cell, FeatureType, Histogram, histogram_of

NUMBER, STRING, BOOLEAN = FeatureType.NUMBER, FeatureType.STRING, FeatureType.BOOLEAN
MISSING = st.sampled_from([None, math.nan])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"counts": ()}, "of 1 bins needs as many counts, not 0"),
        ({"counts": (1,), "edges": (0.0,)}, "of 2 bins needs as many counts, not 1"),
        ({"counts": (1, 1), "categories": ("a",)}, "of 1 bins needs as many counts, not 2"),
        ({"counts": (1, 1), "edges": (0.0,), "categories": ("a", "b")}, "edges or categories, not both"),
        ({"counts": (1, 1, 1), "edges": (0.0, 0.0)}, "finite and rise"),
        ({"counts": (1, 1, 1), "edges": (1.0, 0.0)}, "finite and rise"),
        ({"counts": (1, 1), "edges": (math.nan,)}, "finite and rise"),
        ({"counts": (1, 1), "edges": (math.inf,)}, "finite and rise"),
        ({"counts": (1, 1), "categories": ("a", "a")}, "a category twice"),
        ({"counts": (1,) * 51, "categories": tuple(map(str, range(51)))}, "lists 51 categories, more than 50"),
        ({"counts": (1,), "categories": ("x" * 101,)}, "more than 100 characters"),
        ({"counts": (2, -1), "edges": (0.0,)}, "a count below 0"),
        ({"counts": (2,), "missing": -1}, "a count below 0"),
        ({"counts": (2,), "categories": ("a",), "other": -1}, "a count below 0"),
        ({"counts": (2,), "other": 1}, "each has a bin"),
        ({"counts": (0, 0), "edges": (0.0,)}, "is of no rows"),
        ({"counts": (1 << 53, 1), "edges": (0.0,)}, "or of more than 9007199254740992"),
    ],
)
def test_a_histogram_that_no_rows_can_have_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Histogram(**fields)


def test_rows_that_are_all_missing_are_rows() -> None:
    assert Histogram(counts=(0,), missing=3).missing == 3


def test_numbers_are_binned_at_their_tenths() -> None:
    histogram = histogram_of(list(range(1, 101)), NUMBER)

    assert histogram == Histogram(counts=(10,) * 10, edges=tuple(range(10, 100, 10)))


@pytest.mark.parametrize(
    ("values", "elsewhere"),
    [
        ([1.0] * 95 + [0.0] * 5, [0.0, 0.5, -999.0]),
        ([0.0] * 95 + [1.0, 2.0, 3.0, 4.0, 5.0], [-999.0, 1e-300]),
        ([3.0] * 100, [2.9, 3.1, -999.0]),
    ],
)
def test_a_number_that_many_rows_have_shares_its_bin_with_no_other(values: list[float], elsewhere: list[float]) -> None:
    edges = histogram_of(values, NUMBER).edges
    heavy = max(set(values), key=values.count)

    assert np.searchsorted(edges, heavy) not in np.searchsorted(edges, elsewhere).tolist()


def test_an_infinite_number_is_counted_but_never_an_edge() -> None:
    histogram = histogram_of([-math.inf, *range(30), math.inf], NUMBER)

    assert all(map(math.isfinite, histogram.edges))
    assert sum(histogram.counts) == 32


@given(st.lists(st.floats(allow_nan=False) | st.integers(-5, 5) | MISSING, min_size=1))
def test_every_number_is_counted_above_one_edge_and_not_above_the_next(values: list[Cell]) -> None:
    histogram = histogram_of(values, NUMBER)

    numbers = [float(value) for value in values if value is not None and not math.isnan(float(value))]
    ends = (-math.inf, *histogram.edges, math.inf)
    upto = [sum(number <= end for number in numbers) for end in ends[1:]]
    assert [sum(histogram.counts[: place + 1]) for place in range(len(histogram.counts))] == upto
    assert histogram.missing == len(values) - len(numbers)
    assert set(histogram.edges) <= {*numbers, *(math.nextafter(number, -math.inf) for number in numbers)}


def test_categories_fall_by_count_and_then_follow_their_names() -> None:
    histogram = histogram_of(["b", "a", "c", None, "c", math.nan] * 10, STRING)

    assert histogram == Histogram(counts=(20, 10, 10), categories=("c", "a", "b"), missing=20)


def test_rows_of_the_categories_beyond_the_first_fifty_count_together() -> None:
    names = [f"{index:02}" for index in range(60)]

    histogram = histogram_of([*names * 10, "59"], STRING)

    assert histogram.categories == ("59", *names[:49])
    assert (sum(histogram.counts), histogram.other) == (501, 100)


@pytest.mark.parametrize(
    "values",
    [
        [f"{index}@example.org" for index in range(2_000)],
        [name for index in range(100) for name in [f"{index}@example.org"] * 9],
        [*["usual"] * 30_000, *["rare"] * 29],
        ["x" * 101] * 100,
    ],
)
def test_what_few_rows_have_and_what_is_no_name_is_not_published(values: list[Cell]) -> None:
    histogram = histogram_of(values, STRING)

    assert set(histogram.categories) <= {"", "usual"}
    assert histogram.other > 0
    assert sum(histogram.counts) + histogram.other == len(values)


def test_both_booleans_are_listed_even_when_one_never_came() -> None:
    assert histogram_of([True, None], BOOLEAN) == Histogram(counts=(0, 1), categories=("false", "true"), missing=1)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (NUMBER, Histogram(counts=(0,), missing=2)),
        (STRING, Histogram(counts=(0,), categories=("",), missing=2)),
        (BOOLEAN, Histogram(counts=(0, 0), categories=("false", "true"), missing=2)),
    ],
)
def test_a_feature_without_any_value_keeps_the_kind_of_its_bins(kind: FeatureType, expected: Histogram) -> None:
    assert histogram_of([None, math.nan], kind) == expected


@pytest.mark.parametrize("kind", FeatureType)
def test_no_values_have_no_histogram(kind: FeatureType) -> None:
    with pytest.raises(ValueError, match="is of no rows"):
        histogram_of([], kind)


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ([1.0, "2"], NUMBER, "row 1: a value of type str is no number"),
        ([None, True], NUMBER, "row 1: a value of type bool is no number"),
        ([10**400], NUMBER, "an integer is beyond float64"),
        (["a", 1.0], STRING, "row 1: a value of type float is no string"),
        ([False, "secret"], BOOLEAN, "row 1: a value of type str is no boolean"),
        ([0], BOOLEAN, "row 0: a value of type int is no boolean"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_row(values: Sequence[Cell], kind: FeatureType, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        histogram_of(values, kind)

    assert "secret" not in str(refusal.value)
