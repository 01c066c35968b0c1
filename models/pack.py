"""Writing a model package: the model's file, then the manifest that names it, with golden rows answered here."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import linear
from .load import load, parse
from .manifest import (
    Feature,
    Flavor,
    Golden,
    GoldenRow,
    Manifest,
    Matrix,
    OutputKind,
    PackageFile,
    Row,
)
from .manifest_file import MANIFEST_NAME, encode
from .model import Model
from .store import Package

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
) -> Model:
    """Write `estimator` (a `Linear` or a fitted scikit-learn estimator) as a package and return it as loaded.

    `golden` are rows in the order of `features`; what the model answers to them here is what it must answer
    (within `tolerance`, absolute) wherever it is loaded. `directory` is made if needed; files are replaced.

    Raises
    ------
    ValueError
        When features, golden rows and model do not fit together.
    Refused
        When the written package does not load: a type that is not allowed, or answers that change on the way.
    """
    flavor, file_name, content = _content(estimator)
    draft = Manifest(
        name=name,
        version=version,
        flavor=flavor,
        features=tuple(features),
        output=output,
        matrix=matrix,
        files=(PackageFile(name=file_name, size=len(content), sha256=hashlib.sha256(content).hexdigest()),),
        golden=Golden(tuple(GoldenRow(row, 0.0) for row in golden), tolerance),
    )
    manifest = replace(draft, golden=_answered(draft, {file_name: content}))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / file_name).write_bytes(content)
    (directory / MANIFEST_NAME).write_bytes(encode(manifest))
    return load(str(directory.absolute()))


def _content(estimator: Any) -> tuple[Flavor, str, bytes]:
    if isinstance(estimator, linear.Linear):
        return Flavor.LINEAR, linear.LINEAR_FILE, linear.encode(estimator)
    from . import sklearn_flavor  # scikit-learn takes a second to import

    return Flavor.SKLEARN, sklearn_flavor.SKLEARN_FILE, sklearn_flavor.encode(estimator)


def _answered(draft: Manifest, files: dict[str, bytes]) -> Golden:
    """Return the golden rows of `draft` with the answers of the model."""
    model = parse(Package(source=draft.name, digest="", manifest=draft, files=files))
    rows = [row.features for row in draft.golden.rows]
    answers = model.predict(rows)
    return Golden(
        tuple(GoldenRow(row, float(value)) for row, value in zip(rows, answers, strict=True)),
        draft.golden.tolerance,
    )
