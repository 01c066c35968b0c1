"""Writing a model package: the model's file, then the manifest that names it, with golden rows answered here."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from . import linear
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
    Row,
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
    flavor, file_name, content, wrap = _parts(estimator)
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
    manifest = replace(draft, golden=_answered(draft.golden, wrap(draft, "", estimator)))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / file_name).write_bytes(content)
    (directory / MANIFEST_NAME).write_bytes(encode(manifest))
    return load(str(directory.absolute()))


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
