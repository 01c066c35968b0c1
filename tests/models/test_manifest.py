"""The manifest: what is written is what is read, and whatever is wrong is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.errors import Refused
from coalmine.models import Feature, FeatureType, Golden, GoldenRow, Manifest, Matrix, OutputKind, PackageFile
from coalmine.models.manifest import Flavor
from coalmine.models.manifest_file import decode, encode

from .packages import packed

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
CELLS = st.one_of(st.none(), st.booleans(), st.text(max_size=5), NUMBERS)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    names = draw(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4, unique=True))
    row = st.tuples(*[CELLS for _ in names])
    bounds = sorted(draw(st.tuples(NUMBERS, NUMBERS)))
    features = [Feature(name=names[0], nullable=draw(st.booleans()), minimum=bounds[0], maximum=bounds[1])]
    features += [Feature(name=name, type=FeatureType.STRING, categories=("a", "b")) for name in names[1:]]
    return Manifest(
        name=draw(st.text(min_size=1)),
        version=draw(st.text(min_size=1)),
        flavor=draw(st.sampled_from(Flavor)),
        matrix=draw(st.sampled_from(Matrix)),
        features=tuple(features),
        output=draw(st.sampled_from(OutputKind)),
        files=(PackageFile(name="model", size=draw(st.integers(1, 1000)), sha256="0" * 64),),
        golden=Golden((GoldenRow(draw(row), draw(NUMBERS)),), tolerance=0.5),
    )


@given(manifests())
def test_a_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    assert decode(encode(manifest), "here") == manifest


@given(st.binary())
def test_bytes_that_are_no_manifest_are_refused(raw: bytes) -> None:
    with pytest.raises(Refused):
        decode(raw, "here")


def set_at(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_at("format", value=2), "format: this version reads format 1"),
        (set_at("flavour", value="x"), "flavour is not known here"),
        (lambda document: document.pop("golden"), "golden is missing"),
        (set_at("name", value=3), "name: a string is expected"),
        (set_at("name", value=""), "name and version must not be empty"),
        (set_at("flavor", value="pickle"), "flavor: 'pickle' is not one of linear, sklearn"),
        (set_at("flavor", value=[]), "flavor: [] is not one of linear, sklearn"),
        (set_at("features", value=[]), "features: at least one"),
        (set_at("features", 0, value=7), "features[0]: an object is expected"),
        (set_at("features", 1, "type", value="colour"), "features[1].type: 'colour' is not one of"),
        (set_at("features", 1, "name", value="x"), "their names must differ"),
        (set_at("features", 0, "nullable", value=1), "features[0].nullable: true or false"),
        (set_at("features", 0, "min", value="a"), "features[0].min: a number is expected"),
        (set_at("features", 1, "min", value=1), "feature 'colour': only a number can have bounds"),
        (set_at("features", 1, "categories", value=["a", "a"]), "a category is listed twice"),
        (set_at("features", 1, "categories", value=[]), "a string without categories cannot be a number"),
        (set_at("output", "kind", value="score"), "output.kind: 'score' is not one of"),
        (set_at("files", 0, "name", value="../model"), "is not a plain name"),
        (set_at("files", 0, "size", value=1 << 40), "its size is not between"),
        (set_at("files", 0, "size", value=True), "files[0].size: an integer"),
        (set_at("files", 0, "sha256", value="AB" * 32), "is not 64 lower-case hexadecimal digits"),
        (set_at("golden", "rows", value=[]), "golden: at least one row"),
        (set_at("golden", "tolerance", value=-1), "tolerance is not a finite number"),
        (set_at("golden", "rows", 0, "features", value=[1]), "every row needs exactly 2 features"),
        (set_at("golden", "rows", 0, "features", value=[{}, 1]), "golden.rows[0].features[0]: a number"),
    ],
)
def test_a_wrong_field_is_refused_by_file_and_name(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    packed(tmp_path)
    document = json.loads((tmp_path / "coalmine.json").read_bytes())
    change(document)

    with pytest.raises(Refused) as refusal:
        decode(json.dumps(document).encode(), "toy/coalmine.json")

    assert str(refusal.value).startswith("toy/coalmine.json: ")
    assert message in str(refusal.value)


def test_nan_is_no_number_of_a_manifest(tmp_path: Path) -> None:
    packed(tmp_path)
    raw = (tmp_path / "coalmine.json").read_bytes().replace(b"1e-06", b"NaN")

    with pytest.raises(Refused, match="NaN is not a number"):
        decode(raw, "here")
