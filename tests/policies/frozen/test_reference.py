"""Every value has one bin, and the bins are those of the rows a model was trained on."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.policies.frozen.reference import Reference, fitting

from .references import tenths

NUMBERS = st.lists(st.one_of(st.floats(allow_infinity=True), st.integers(0, 3).map(float)), min_size=1, max_size=60)
AGE = Reference(name="age", edges=(0.0, 2.5), counts=(1, 1, 1))
ORIGIN = Reference(name="origin", categories=("EWR", "JFK"), counts=(4, 5), missing=1)


@given(NUMBERS.filter(lambda values: bool(np.isfinite(values).any())))
def test_a_reference_counts_its_own_values_into_its_own_bins(values: list[float]) -> None:
    finite = [value for value in values if not np.isinf(value)]
    reference = tenths("age", finite)

    assert reference.count(finite) == reference.rows.tolist()


@given(NUMBERS, NUMBERS)
def test_counts_of_parts_add_up_to_those_of_the_whole(first: list[float], second: list[float]) -> None:
    counts = np.add(AGE.count(first), AGE.count(second))

    assert counts.tolist() == AGE.count(first + second)
    assert counts.sum() == len(first) + len(second)


def test_numbers_on_an_edge_lie_below_it_and_those_beyond_the_ends_in_the_outer_bins() -> None:
    reference = Reference(name="age", edges=(0.0, 10.0), counts=(1, 1, 1))

    assert reference.count([-1e300, 0.0, 0.1, 10.0, 10.1, np.inf, np.nan]) == [2, 2, 2, 1]


def test_numbers_without_a_value_and_texts_among_them_are_missing() -> None:
    assert AGE.count([None, "1.5", 1.5, True]) == [0, 2, 0, 2]


def test_a_feature_that_never_varies_has_a_bin_of_its_own() -> None:
    assert tenths("age", [3.0] * 50).count([3.0, 2.0, 4.0]) == [2, 1, 0]


def test_a_feature_that_was_always_missing_has_a_reference() -> None:
    assert tenths("age", [np.nan] * 5).rows.tolist() == [0, 5]


def test_categories_that_are_not_listed_and_missing_ones_are_counted_apart() -> None:
    assert ORIGIN.rows.tolist() == [4, 5, 0, 1]
    assert ORIGIN.count(["JFK", "LGA", None, "JFK"]) == [0, 2, 1, 1]
    assert ORIGIN.count([7.0, True]) == [0, 0, 2, 0]
    assert (ORIGIN.count([]), AGE.count([])) == ([0, 0, 0, 0], [0, 0, 0, 0])


def test_truth_values_are_the_categories_false_and_true() -> None:
    reference = Reference(name="rain", categories=("false", "true"), counts=(9, 1))

    assert reference.count([True, False, False, None, "maybe"]) == [2, 1, 1, 1]


@pytest.mark.parametrize("reference", [AGE, ORIGIN])
def test_a_reference_survives_json(reference: Reference) -> None:
    assert Reference.from_json(json.loads(json.dumps(asdict(reference)))) == reference


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"edges": (0.0, 1.0), "counts": (1, 1)}, "2 counts for 3 bins"),
        ({"edges": (1.0, 0.0), "counts": (1, 1, 1)}, "do not rise"),
        ({"edges": (0.0, np.inf), "counts": (1, 1, 1)}, "do not rise"),
        ({"edges": (0.0,), "counts": (1, -1)}, "below 0"),
        ({"edges": (0.0,), "counts": (0, 0)}, "of no rows"),
        ({"edges": (0.0,), "counts": (10**400, 1)}, "of more than"),
        ({"counts": (5,), "other": 1}, "no other rows"),
        ({"edges": tuple(map(float, range(64))), "counts": (1,) * 65}, "65 counts for 65 bins, at most 62"),
        ({"edges": (0.0,), "categories": ("a", "b"), "counts": (1, 1)}, "counts for 2 bins"),
        ({"categories": ("EWR", "EWR"), "counts": (1, 2)}, "listed twice"),
    ],
)
def test_what_is_no_histogram_is_refused(parts: dict[str, tuple[float, ...]], message: str) -> None:
    with pytest.raises(ValueError, match="reference of age: .*" + message):
        Reference(name="age", **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "categories"), [("", ()), ("x" * 201, ()), ("age", ("x" * 201,))])
def test_names_are_there_and_short(name: str, categories: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="more than 200 characters"):
        Reference(name=name, counts=(1,), categories=categories)


def test_of_two_references_of_one_feature_one_is_held() -> None:
    assert fitting([AGE, ORIGIN, AGE]) == (AGE, ORIGIN)
