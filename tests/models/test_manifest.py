"""The manifest: what is written is what is read, and whatever is wrong is refused by name."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.errors import Refused
from coalmine.models import (
    Feature,
    FeatureType,
    Golden,
    GoldenRow,
    Histogram,
    Manifest,
    Matrix,
    OutputKind,
    PackageFile,
)
from coalmine.models.manifest import Flavor
from coalmine.models.manifest_file import decode, encode
from coalmine.models.store import MAX_MANIFEST_BYTES

from .packages import packed

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
CELLS = st.one_of(st.none(), st.booleans(), st.text(max_size=5), NUMBERS)


COUNTS = st.integers(0, 1 << 40)
CATEGORIES = st.lists(st.text(max_size=5), min_size=1, max_size=5, unique=True)


@st.composite
def histograms(draw: st.DrawFn, kind: FeatureType) -> Histogram:
    edges = sorted(draw(st.sets(NUMBERS, max_size=4))) if kind is FeatureType.NUMBER else []
    both = st.just(["false", "true"])
    categories = draw({FeatureType.STRING: CATEGORIES, FeatureType.BOOLEAN: both}.get(kind, st.just([])))
    bins = len(categories) or len(edges) + 1
    return Histogram(
        counts=tuple(draw(st.lists(COUNTS, min_size=bins, max_size=bins))),
        edges=tuple(edges),
        categories=tuple(categories),
        other=draw(st.integers(0, 9)) if categories else 0,
        missing=draw(st.integers(1, 9)),
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    names = draw(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4, unique=True))
    row = st.tuples(*[CELLS for _ in names])
    bounds = sorted(draw(st.tuples(NUMBERS, NUMBERS)))
    features = [Feature(name=names[0], nullable=draw(st.booleans()), minimum=bounds[0], maximum=bounds[1])]
    features += [Feature(name=name, type=FeatureType.STRING, categories=("a", "b")) for name in names[1:3]]
    features += [Feature(name=name, type=FeatureType.BOOLEAN) for name in names[3:]]
    features = [replace(each, histogram=draw(st.none() | histograms(each.type))) for each in features]
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
        (set_at("golden", "tolerance", value=10**400), "golden.tolerance: the number is beyond float64"),
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


def test_a_thousand_features_with_histograms_fit_a_manifest() -> None:
    names = tuple(f"category {index:02}" for index in range(50))
    counts = (100_000,) * 50
    histogram = Histogram(counts=counts, categories=names)
    string = Feature(name="a feature", type=FeatureType.STRING, categories=names, histogram=histogram)
    golden = Golden((GoldenRow((None,) * 1000, 0.5),))
    manifest = Manifest(
        name="wide",
        version="1",
        flavor=Flavor.LINEAR,
        features=tuple(replace(string, name=f"{string.name} {index}") for index in range(1000)),
        output=OutputKind.NUMBER,
        files=(PackageFile(name="model", size=1, sha256="0" * 64),),
        golden=golden,
    )

    assert len(encode(manifest)) < MAX_MANIFEST_BYTES


NUMBERS_BY_BIN = {"edges": [0, 1.5], "counts": [1, 2, 3], "missing": 0}
COLOURS_BY_BIN = {"categories": ["red", "blue"], "counts": [1, 2]}


@pytest.mark.parametrize(
    ("index", "change", "message"),
    [
        (0, {"edges": [0, 0]}, "features[0].histogram: the edges of a histogram must be finite and rise"),
        (0, {"edges": [1, 0]}, "features[0].histogram: the edges of a histogram must be finite and rise"),
        (0, {"edges": [0, "1"]}, "features[0].histogram.edges[1]: a number is expected"),
        (0, {"edges": [0, 10**400]}, "features[0].histogram.edges[1]: the number is beyond float64"),
        (0, {"edges": 1}, "features[0].histogram.edges: a list is expected"),
        (0, {"edges": [0]}, "features[0].histogram: a histogram of 2 bins needs as many counts, not 3"),
        (0, {"counts": [1, 2.0, 3]}, "features[0].histogram.counts[1]: an integer is expected"),
        (0, {"counts": [1, True, 3]}, "features[0].histogram.counts[1]: an integer is expected"),
        (0, {"counts": [1, -1, 3]}, "features[0].histogram: a histogram has a count below 0"),
        (0, {"counts": [0, 0, 0]}, "features[0].histogram: a histogram is of no rows"),
        (0, {"missing": None}, "features[0].histogram.missing: an integer is expected"),
        (0, {"missing": -1}, "features[0].histogram: a histogram has a count below 0"),
        (0, {"rows": 6}, "features[0].histogram.rows is not known here; known are counts, edges, missing"),
        (0, {"categories": []}, "features[0].histogram.categories is not known here"),
        (
            1,
            {"edges": []},
            "features[1].histogram.edges is not known here; known are categories, counts, missing, other",
        ),
        (1, {"categories": ["red", "red"]}, "features[1].histogram: a histogram lists a category twice"),
        (1, {"categories": ["red", 1]}, "features[1].histogram.categories[1]: a string is expected"),
        (1, {"categories": ["red"]}, "features[1].histogram: a histogram of 1 bins needs as many counts, not 2"),
    ],
)
def test_a_wrong_histogram_is_refused_by_its_path(
    tmp_path: Path, index: int, change: dict[str, Any], message: str
) -> None:
    packed(tmp_path)
    document = json.loads((tmp_path / "coalmine.json").read_bytes())
    document["features"][index]["histogram"] = [NUMBERS_BY_BIN, COLOURS_BY_BIN][index] | change

    with pytest.raises(Refused) as refusal:
        decode(json.dumps(document).encode(), "toy/coalmine.json")

    assert message in str(refusal.value)


@pytest.mark.parametrize("key", ["edges", "counts"])
def test_a_histogram_without_a_needed_key_is_refused(tmp_path: Path, key: str) -> None:
    packed(tmp_path)
    document = json.loads((tmp_path / "coalmine.json").read_bytes())
    document["features"][0]["histogram"] = {name: each for name, each in NUMBERS_BY_BIN.items() if name != key}

    with pytest.raises(Refused, match=rf"features\[0\]\.histogram\.{key} is missing"):
        decode(json.dumps(document).encode(), "here")


def test_no_rows_are_missing_unless_a_histogram_says_so(tmp_path: Path) -> None:
    packed(tmp_path)
    document = json.loads((tmp_path / "coalmine.json").read_bytes())
    document["features"][1]["histogram"] = COLOURS_BY_BIN

    manifest = decode(json.dumps(document).encode(), "here")

    assert manifest.features[1].histogram == Histogram(counts=(1, 2), categories=("red", "blue"))


@pytest.mark.parametrize(
    ("kind", "histogram", "message"),
    [
        (FeatureType.NUMBER, Histogram(counts=(1,), categories=("a",)), "of a number has edges, not categories"),
        (FeatureType.STRING, Histogram(counts=(1, 1), edges=(0.0,)), "of a string needs categories"),
        (FeatureType.STRING, Histogram(counts=(1,)), "of a string needs categories"),
        (FeatureType.BOOLEAN, Histogram(counts=(1, 1), edges=(0.0,)), "of a boolean needs categories"),
        (FeatureType.BOOLEAN, Histogram(counts=(1,), categories=("true",)), "of a boolean are false and true"),
    ],
)
def test_a_histogram_of_another_type_is_refused_by_its_feature(
    kind: FeatureType, histogram: Histogram, message: str
) -> None:
    with pytest.raises(ValueError, match=f"feature 'x': .*{message}"):
        Feature(name="x", type=kind, histogram=histogram)


def test_nan_is_no_number_of_a_manifest(tmp_path: Path) -> None:
    packed(tmp_path)
    raw = (tmp_path / "coalmine.json").read_bytes().replace(b"1e-06", b"NaN")

    with pytest.raises(Refused, match="NaN is not a number"):
        decode(raw, "here")
