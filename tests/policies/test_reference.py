"""Every value has one bin, and the bins of a reference are those of the values it was made from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.policies.reference import CategoryReference, NumberReference

NUMBERS = st.lists(st.one_of(st.floats(allow_infinity=True), st.integers(0, 3).map(float)), min_size=1, max_size=60)


@given(NUMBERS.filter(lambda values: bool(np.isfinite(values).any())))
def test_a_reference_counts_its_own_values_into_its_own_bins(values: list[float]) -> None:
    finite = [value for value in values if not np.isinf(value)]
    reference = NumberReference.of("age", finite)

    assert reference.count(finite).tolist() == reference.rows.tolist()


@given(NUMBERS, NUMBERS)
def test_counts_of_parts_add_up_to_those_of_the_whole(first: list[float], second: list[float]) -> None:
    reference = NumberReference(name="age", edges=(0.0, 2.5), counts=(1, 1, 1))
    counts = reference.count(first) + reference.count(second)

    assert counts.tolist() == reference.count(first + second).tolist()
    assert counts.sum() == len(first) + len(second)


def test_numbers_on_an_edge_lie_below_it_and_those_beyond_the_ends_in_the_outer_bins() -> None:
    reference = NumberReference(name="age", edges=(0.0, 10.0), counts=(1, 1, 1))

    assert reference.count([-1e300, 0.0, 0.1, 10.0, 10.1, np.inf, np.nan]).tolist() == [2, 2, 2, 1]


def test_tenths_hold_as_many_rows_each() -> None:
    reference = NumberReference.of("age", np.random.default_rng(1).normal(size=5_000))

    assert set(reference.counts) == {500}


def test_a_feature_that_never_varies_has_a_bin_of_its_own() -> None:
    reference = NumberReference.of("age", [3.0] * 50)

    assert reference.count([3.0, 2.0, 4.0]).tolist() == [2, 1, 0]


def test_a_feature_that_was_always_missing_has_a_reference() -> None:
    assert NumberReference.of("age", [np.nan] * 5).rows.tolist() == [0, 5]


def test_categories_never_seen_and_missing_ones_are_counted_apart() -> None:
    reference = CategoryReference(name="origin", categories=("EWR", "JFK"), counts=(4, 5), missing=1)

    assert reference.rows.tolist() == [4, 5, 0, 1]
    assert reference.count(["JFK", "LGA", None, "JFK"]).tolist() == [0, 2, 1, 1]
    assert reference.count([]).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("edges", "counts", "message"),
    [
        ((0.0, 1.0), (1, 1), "2 edges need 3 counts"),
        ((1.0, 0.0), (1, 1, 1), "do not rise"),
        ((0.0,), (1, -1), "below 0"),
        ((0.0,), (0, 0), "of no rows"),
    ],
)
def test_what_is_no_histogram_is_refused(edges: tuple[float, ...], counts: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match="reference of age: .*" + message):
        NumberReference(name="age", edges=edges, counts=counts)


def test_categories_need_one_count_each() -> None:
    with pytest.raises(ValueError, match="each category needs one count"):
        CategoryReference(name="origin", categories=("EWR", "EWR"), counts=(1, 2))
