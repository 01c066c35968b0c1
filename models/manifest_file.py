"""The JSON form of a manifest, `coalmine.json`: read with errors that name the field, written for people.

Unknown and missing keys are refused, never defaulted: a package says one thing to every reader.
"""

import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NoReturn, TypeVar

from coalmine.errors import Refused

from .cell import Cell, FeatureType
from .histogram import Histogram
from .manifest import (
    Feature,
    Flavor,
    Golden,
    GoldenRow,
    Manifest,
    Matrix,
    OutputKind,
    PackageFile,
)

__all__ = ["MANIFEST_NAME", "decode", "encode"]

MANIFEST_NAME = "coalmine.json"
"""The file that makes a directory a model package."""

FORMAT = 1
"""Version of the JSON form; a reader refuses another one."""

_E = TypeVar("_E", bound=Enum)
_T = TypeVar("_T")

_KEYS = {
    "": ({"format", "name", "version", "flavor", "features", "output", "files", "golden"}, {"matrix"}),
    "feature": ({"name", "type"}, {"nullable", "categories", "min", "max", "histogram"}),
    "histogram of numbers": ({"edges", "counts"}, {"missing"}),
    "histogram of categories": ({"categories", "counts"}, {"other", "missing"}),
    "output": ({"kind"}, set[str]()),
    "file": ({"name", "size", "sha256"}, set[str]()),
    "golden": ({"rows", "tolerance"}, set[str]()),
    "row": ({"features", "expected"}, set[str]()),
}
"""Needed and optional keys of each kind of object."""


class _Wrong(Exception):
    """Raised inside this module when a field is not as it must be: its path and what is expected."""


def decode(raw: bytes, source: str) -> Manifest:
    """Return the manifest written in `raw`; `source` names the file in messages.

    Raises
    ------
    Refused
        When `raw` is not a manifest of this format; the message names `source` and the field.
    """
    try:
        return _manifest(json.loads(raw, parse_constant=_no_constant))
    except (_Wrong, ValueError, RecursionError) as error:
        message = str(error) if isinstance(error, _Wrong | ValueError) else "nested too deeply"
        raise Refused(f"{source}: {message}. Pack the model again with a matching coalmine version.") from error


def encode(manifest: Manifest) -> bytes:
    """Return `manifest` as the bytes of a `coalmine.json`; `decode` gives back an equal value."""
    document = {
        "format": FORMAT,
        "name": manifest.name,
        "version": manifest.version,
        "flavor": manifest.flavor.value,
        "matrix": manifest.matrix.value,
        "features": [_feature_document(feature) for feature in manifest.features],
        "output": {"kind": manifest.output.value},
        "files": [{"name": f.name, "size": f.size, "sha256": f.sha256} for f in manifest.files],
        "golden": {
            "tolerance": manifest.golden.tolerance,
            "rows": [{"features": list(r.features), "expected": r.expected} for r in manifest.golden.rows],
        },
    }
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def _feature_document(feature: Feature) -> dict[str, Any]:
    optional = {
        "nullable": feature.nullable or None,
        "categories": list(feature.categories) or None,
        "min": feature.minimum,
        "max": feature.maximum,
        "histogram": _histogram_document(feature.histogram) if feature.histogram else None,
    }
    given = {key: value for key, value in optional.items() if value is not None}
    return {"name": feature.name, "type": feature.type.value, **given}


def _histogram_document(histogram: Histogram) -> dict[str, Any]:
    bins: dict[str, Any] = {"edges": histogram.edges}
    if histogram.categories:
        bins = {"categories": histogram.categories, "other": histogram.other}
    return {**bins, "counts": histogram.counts, "missing": histogram.missing}


def _manifest(document: Any) -> Manifest:
    fields = _object(document, "", "")
    if fields["format"] != FORMAT:
        raise _Wrong(f"format: this version reads format {FORMAT}")
    golden = _object(fields["golden"], "golden", "golden")
    return Manifest(
        name=_text(fields["name"], "name"),
        version=_text(fields["version"], "version"),
        flavor=_member(Flavor, fields["flavor"], "flavor"),
        matrix=_member(Matrix, fields.get("matrix", Matrix.NUMBERS.value), "matrix"),
        features=_each(fields["features"], "features", _feature),
        output=_member(OutputKind, _object(fields["output"], "output", "output")["kind"], "output.kind"),
        files=_each(fields["files"], "files", _file),
        golden=Golden(
            rows=_each(golden["rows"], "golden.rows", _golden_row),
            tolerance=_number(golden["tolerance"], "golden.tolerance"),
        ),
    )


def _feature(value: Any, path: str) -> Feature:
    fields = _object(value, path, "feature")
    kind = _member(FeatureType, fields["type"], f"{path}.type")
    return Feature(
        name=_text(fields["name"], f"{path}.name"),
        type=kind,
        nullable=_boolean(fields.get("nullable", False), f"{path}.nullable"),
        categories=_each(fields.get("categories", []), f"{path}.categories", _text),
        minimum=_number(fields["min"], f"{path}.min") if "min" in fields else None,
        maximum=_number(fields["max"], f"{path}.max") if "max" in fields else None,
        histogram=_histogram(fields["histogram"], f"{path}.histogram", kind) if "histogram" in fields else None,
    )


def _histogram(value: Any, path: str, kind: FeatureType) -> Histogram:
    bins = "numbers" if kind is FeatureType.NUMBER else "categories"
    fields = _object(value, path, f"histogram of {bins}")
    counts = _each(fields["counts"], f"{path}.counts", _integer)
    edges = _each(fields.get("edges", []), f"{path}.edges", _number)
    categories = _each(fields.get("categories", []), f"{path}.categories", _text)
    other, missing = (_integer(fields.get(key, 0), f"{path}.{key}") for key in ("other", "missing"))
    try:
        return Histogram(counts=counts, edges=edges, categories=categories, other=other, missing=missing)
    except ValueError as error:
        raise _Wrong(f"{path}: {error}") from error


def _file(value: Any, path: str) -> PackageFile:
    fields = _object(value, path, "file")
    return PackageFile(
        name=_text(fields["name"], f"{path}.name"),
        size=_integer(fields["size"], f"{path}.size"),
        sha256=_text(fields["sha256"], f"{path}.sha256"),
    )


def _golden_row(value: Any, path: str) -> GoldenRow:
    fields = _object(value, path, "row")
    return GoldenRow(
        features=_each(fields["features"], f"{path}.features", _cell),
        expected=_number(fields["expected"], f"{path}.expected"),
    )


def _object(value: Any, path: str, kind: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong(f"{path or 'manifest'}: an object is expected")
    needed, optional = _KEYS[kind]
    prefix = f"{path}." if path else ""
    for key in sorted(needed - value.keys()):
        raise _Wrong(f"{prefix}{key} is missing")
    for key in sorted(value.keys() - needed - optional):
        raise _Wrong(f"{prefix}{key} is not known here; known are {', '.join(sorted(needed | optional))}")
    return value


def _each(value: Any, path: str, read: Callable[[Any, str], _T]) -> tuple[_T, ...]:
    if not isinstance(value, list):
        raise _Wrong(f"{path}: a list is expected")
    return tuple(read(item, f"{path}[{index}]") for index, item in enumerate(value))


def _member(kind: type[_E], value: Any, path: str) -> _E:
    allowed = [member.value for member in kind]
    if value not in allowed:
        raise _Wrong(f"{path}: {value!r} is not one of {', '.join(allowed)}")
    return kind(value)


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"{path}: a string is expected")
    return value


def _boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"{path}: true or false is expected")
    return value


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong(f"{path}: a number is expected")
    try:
        return float(value)
    except OverflowError as error:
        raise _Wrong(f"{path}: the number is beyond float64") from error


def _integer(value: Any, path: str) -> int:
    if type(value) is not int:
        raise _Wrong(f"{path}: an integer is expected")
    return value


def _cell(value: Any, path: str) -> Cell:
    if value is None or isinstance(value, str | bool):
        return value
    return _number(value, path)


def _no_constant(name: str) -> NoReturn:
    raise _Wrong(f"{name} is not a number of JSON")
