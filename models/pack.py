"""Writing a model package: the model's file, then the manifest that names it, with golden rows answered here."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from . import linear
from .cell import Cell, Row
from .histogram import histogram_of
from .load import load
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
from .manifest_file import MANIFEST_NAME, encode
from .model import Model

__all__ = ["pack"]


def pack(
    estimator: Any,
    directory: Path,
    *,
    name: str,
    version: str,
    features: Sequence[Feature],
    output: OutputKind,
    golden: Sequence[Row],
    tolerance: float = 1e-6,
    matrix: Matrix = Matrix.NUMBERS,
    reference: Sequence[Row] = (),
) -> Model:
    """Write `estimator` (a `Linear` or a fitted scikit-learn estimator) as a package and return it as loaded.

    `golden` are rows in the order of `features`; what the model answers to them here is what it must answer
    (within `tolerance`, absolute) wherever it is loaded. `directory` is made if needed; files are replaced.
    `reference` are rows the model was trained on, or a sample of them, in the order of `features`: their histograms go
    into the manifest (10,000 rows and more: what chance may have done to few rows is allowed to requests, too). Without
    them, and in a column that is None in every row, the features stay as they are.

    Raises
    ------
    ValueError
        When features, golden rows, reference and model do not fit together.
    Refused
        When the written package does not load: a type that is not allowed, or answers that change on the way.
    """
    flavor, file_name, content, wrap = _parts(estimator)
    draft = Manifest(
        name=name,
        version=version,
        flavor=flavor,
        features=_with_histograms(features, reference),
        output=output,
        matrix=matrix,
        files=(PackageFile(name=file_name, size=len(content), sha256=hashlib.sha256(content).hexdigest()),),
        golden=Golden(tuple(GoldenRow(row, 0.0) for row in golden), tolerance),
    )
    manifest = replace(draft, golden=_answered(draft.golden, wrap(draft, "", estimator)))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / file_name).write_bytes(content)
    (directory / MANIFEST_NAME).write_bytes(encode(manifest))
    return load(str(directory.absolute()))


def _with_histograms(features: Sequence[Feature], reference: Sequence[Row]) -> tuple[Feature, ...]:
    """Return `features`, each with the histogram of its column of `reference`, or as they are without rows."""
    if not reference:
        return tuple(features)
    if any(len(row) != len(features) for row in reference):
        raise ValueError(f"reference: every row needs exactly {len(features)} features")
    columns = zip(*reference, strict=True)
    return tuple(_with_histogram(*pair) for pair in zip(features, columns, strict=True))


def _with_histogram(feature: Feature, column: Sequence[Cell]) -> Feature:
    if all(cell is None for cell in column):
        return feature
    try:
        return replace(feature, histogram=histogram_of(column, feature.type))
    except ValueError as error:
        raise ValueError(f"reference of feature {feature.name!r}: {error}") from error


_Wrap: TypeAlias = Callable[[Manifest, str, Any], Model]


def _parts(estimator: Any) -> tuple[Flavor, str, bytes, _Wrap]:
    """Return flavor, name and bytes of the model's file, and what makes a model of it in memory."""
    if isinstance(estimator, linear.Linear):
        return Flavor.LINEAR, linear.LINEAR_FILE, linear.encode(estimator), linear.wrap
    from . import sklearn_flavor  # scikit-learn takes a second to import

    content = sklearn_flavor.encode(estimator)
    return Flavor.SKLEARN, sklearn_flavor.SKLEARN_FILE, content, sklearn_flavor.wrap


def _answered(golden: Golden, model: Model) -> Golden:
    """Return the rows of `golden` with the answers of `model`, which never went through a file."""
    rows = [row.features for row in golden.rows]
    answers = model.predict(rows).tolist()
    return Golden(tuple(map(GoldenRow, rows, answers)), golden.tolerance)
