"""Packing with rows the model was trained on: their histograms travel in the manifest, and only there."""

from pathlib import Path

import pytest

from coalmine.models import Histogram, Row, histogram_of, load

from .packages import COLOUR, NUMBER, ROWS, packed

TRAINED_ON: list[Row] = [(index / 7, "red" if index % 3 else "blue") for index in range(100)]


def test_a_package_carries_the_histograms_of_its_reference(tmp_path: Path) -> None:
    packed(tmp_path, reference=TRAINED_ON)

    number, colour = load(str(tmp_path)).manifest.features
    assert number.histogram == histogram_of([row[0] for row in TRAINED_ON], NUMBER.type)
    assert colour.histogram == Histogram(counts=(66, 34), categories=("red", "blue"))


def test_without_a_reference_the_features_stay_as_they_are(tmp_path: Path) -> None:
    assert packed(tmp_path).manifest.features == (NUMBER, COLOUR)


def test_a_reference_changes_no_answer(tmp_path: Path) -> None:
    with_reference = packed(tmp_path / "a", reference=TRAINED_ON)

    assert with_reference.predict(ROWS).tolist() == packed(tmp_path / "b").predict(ROWS).tolist()


@pytest.mark.parametrize("row", [(1.0,), (1.0, "red", 2.0), ()])
def test_a_reference_row_of_another_width_is_refused(tmp_path: Path, row: Row) -> None:
    with pytest.raises(ValueError, match="reference: every row needs exactly 2 features"):
        packed(tmp_path, reference=[*TRAINED_ON, row])

    assert list(tmp_path.iterdir()) == []


def test_a_reference_value_of_another_type_is_refused_by_feature_and_row(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reference of feature 'colour': row 1: a value of type float is no string"):
        packed(tmp_path, reference=[(1.0, "red"), (1.0, 2.0)])
