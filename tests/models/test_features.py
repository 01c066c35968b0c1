"""Rows to matrix: types hold, nulls are nan, strings are codes, and a row that does not fit is named."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.models import Cell, Feature, FeatureType, Manifest, Matrix, Misfit, Row, violation
from coalmine.models.features import Encoder

from .packages import packed

TEXT = Feature(name="t", type=FeatureType.STRING, categories=("a", "b"))
FLAG = Feature(name="f", type=FeatureType.BOOLEAN)
BOUNDED = Feature(name="n", minimum=-1, maximum=1)
NUMBERS = (Feature(name="u"), Feature(name="v"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return packed(tmp_path_factory.mktemp("toy")).manifest


def encoder(base: Manifest, *features: Feature, matrix: Matrix = Matrix.NUMBERS) -> Encoder:
    row = replace(base.golden.rows[0], features=tuple(None for _ in features))
    golden = replace(base.golden, rows=(row,))
    return Encoder(replace(base, features=features, matrix=matrix, golden=golden))


@pytest.mark.parametrize(
    ("feature", "cell", "code"),
    [
        (NUMBERS[0], 1, None),
        (NUMBERS[0], 1.5, None),
        (NUMBERS[0], True, "bad_type"),
        (NUMBERS[0], "1", "bad_type"),
        (NUMBERS[0], None, "missing_feature"),
        (Feature(name="u", nullable=True), None, None),
        (NUMBERS[0], 10**400, "out_of_range"),
        (BOUNDED, 1, None),
        (BOUNDED, 1.1, "out_of_range"),
        (BOUNDED, math.nan, "out_of_range"),
        (TEXT, "b", None),
        (TEXT, "c", "unknown_category"),
        (TEXT, 1.0, "bad_type"),
        (Feature(name="t", type=FeatureType.STRING), "anything", None),
        (FLAG, False, None),
        (FLAG, 0, "bad_type"),
    ],
)
def test_a_cell_is_held_against_its_feature(feature: Feature, cell: Cell, code: str | None) -> None:
    assert violation(feature, cell) == code


@given(st.lists(st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)), min_size=1))
def test_rows_of_numbers_keep_their_values_and_order(base: Manifest, rows: list[tuple[float, float]]) -> None:
    matrix = encoder(base, *NUMBERS).matrix(rows)

    assert matrix.dtype == np.float64
    assert [tuple(row) for row in matrix.tolist()] == rows


def test_strings_become_the_index_of_their_category_and_booleans_zero_or_one(base: Manifest) -> None:
    matrix = encoder(base, TEXT, FLAG, NUMBERS[0]).matrix([("b", True, 3), ("a", False, 4.5)])

    assert matrix.tolist() == [[1.0, 1.0, 3.0], [0.0, 0.0, 4.5]]


def test_null_is_nan_where_the_feature_may_be_null(base: Manifest) -> None:
    nullable = [replace(feature, nullable=True) for feature in (TEXT, NUMBERS[0])]

    assert np.isnan(encoder(base, *nullable).matrix([(None, None)])).all()


def test_a_matrix_of_objects_holds_the_cells_as_they_are(base: Manifest) -> None:
    features = (replace(TEXT, categories=(), nullable=True), replace(NUMBERS[0], nullable=True))
    matrix = encoder(base, *features, matrix=Matrix.OBJECTS).matrix([("new", 2.0), (None, None)])

    assert matrix.dtype == object
    assert matrix[0].tolist() == ["new", 2.0]
    assert matrix[1, 0] is None
    assert math.isnan(matrix[1, 1])


@pytest.mark.parametrize("matrix", Matrix)
@pytest.mark.parametrize(
    "bad",
    [
        ("a", 0.0, 1.0, 1.0),
        ("a", 0.0),
        ("c", 0.0, 1.0),
        ("a", "0.5", 1.0),
        ("a", None, 1.0),
        ("a", 2.0, 1.0),
        ("a", 0.0, 10**400),
        (1.0, 0.0, 1.0),
    ],
)
def test_exactly_the_rows_that_do_not_fit_are_named(base: Manifest, bad: Row, matrix: Matrix) -> None:
    rows: list[Row] = [("a", 0.0, 1.0), bad, ("b", 1.0, 2.0), bad]

    with pytest.raises(Misfit) as misfit:
        encoder(base, TEXT, BOUNDED, NUMBERS[0], matrix=matrix).matrix(rows)

    assert misfit.value.rows == {1, 3}


@pytest.mark.parametrize("bad", [("1.5", 1.0), (None, 1.0), (1.0,), (1.0, 2.0, 3.0), (10**400, 1.0)])
def test_a_matrix_of_plain_numbers_parses_no_string_and_fills_no_gap(base: Manifest, bad: Row) -> None:
    with pytest.raises(Misfit) as misfit:
        encoder(base, *NUMBERS).matrix([(1.0, 2.0), bad])

    assert misfit.value.rows == {1}


def test_a_row_too_long_does_not_make_up_for_one_too_short(base: Manifest) -> None:
    with pytest.raises(Misfit) as misfit:
        encoder(base, *NUMBERS).matrix([(1.0,), (2.0, 3.0), (4.0, 5.0, 6.0)])

    assert misfit.value.rows == {0, 2}


def test_a_model_may_write_into_its_matrix(base: Manifest) -> None:
    assert encoder(base, *NUMBERS).matrix([(1.0, 2.0)]).flags.writeable


def test_importing_models_loads_no_model_library(tmp_path: Path) -> None:
    import subprocess
    import sys

    check = "import sys, coalmine.models; sys.exit('sklearn' in sys.modules or 'skops' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
