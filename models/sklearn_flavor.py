"""The flavor `sklearn`: an estimator in one skops file. The only module that imports scikit-learn and skops.

skops rebuilds objects from a description instead of running what a file says, as pickle does; `allowed` holds the
description against our own list before skops sees it.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from numpy.typing import NDArray

from . import allowed
from .cell import Row
from .features import Encoder
from .manifest import Manifest, OutputKind
from .model import Model
from .store import Package

__all__ = ["SKLEARN_FILE", "encode", "load", "wrap"]

SKLEARN_FILE = "model.skops"
"""The only file of a scikit-learn package."""


def encode(estimator: Any) -> bytes:
    """Return `estimator` as the bytes of a skops file; the same estimator gives the same bytes, so the same digest.

    skops names objects and members by their address in memory and stamps them with the time; both are replaced.
    """
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as source,
        zipfile.ZipFile(written, "w") as target,
    ):
        schema = json.loads(source.read("schema.json"))
        members = _number(schema)
        _write(target, "schema.json", json.dumps(schema).encode())
        for old, new in members.items():
            _write(target, new, source.read(old))
    return written.getvalue()


def _number(schema: Any) -> dict[str, str]:
    """Number ids and member files of `schema`, in place, by first appearance; return the new name of each file."""
    ids: dict[int, int] = {}
    members: dict[str, str] = {}
    waiting = [schema]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "__id__" in item:
                item["__id__"] = ids.setdefault(item["__id__"], len(ids) + 1)
            if isinstance(item.get("file"), str) and "__loader__" in item:
                suffix = Path(item["file"]).suffix
                item["file"] = members.setdefault(item["file"], f"{len(members)}{suffix}")
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return members


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name)  # its date is 1980-01-01
    archive.writestr(member, content, compress_type=zipfile.ZIP_DEFLATED)


def load(package: Package) -> Model:
    """Return the model of a verified package.

    Raises
    ------
    Refused
        When the file contains a type that is not allowed.
    Exception
        Whatever skops raises for a broken file; the caller refuses the package.
    """
    content = package.files[SKLEARN_FILE]
    allowed.check(content, package.source)
    estimator = skops.io.loads(content, trusted=allowed.names())
    return wrap(package.manifest, package.digest, estimator)


def wrap(manifest: Manifest, digest: str, estimator: Any) -> Model:
    """Return `estimator` as a model; raises ValueError or AttributeError when it cannot give such an output."""
    if manifest.output is OutputKind.PROBABILITY:
        return _Classifier(manifest, digest, estimator)
    return _Regressor(manifest, digest, estimator)


class _Regressor:
    """Answers with `predict`."""

    def __init__(self, manifest: Manifest, digest: str, estimator: Any) -> None:
        self.manifest = manifest
        self.digest = digest
        self._encoder = Encoder(manifest)
        self._predict = estimator.predict

    def predict(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Return one number a row, shape (len(rows),)."""
        return np.asarray(self._predict(self._encoder.matrix(rows)))


class _Classifier:
    """Answers with the probability of the second of two classes."""

    def __init__(self, manifest: Manifest, digest: str, estimator: Any) -> None:
        if len(estimator.classes_) != 2:
            raise ValueError("output probability needs a classifier of exactly two classes")
        self.manifest = manifest
        self.digest = digest
        self._encoder = Encoder(manifest)
        self._predict = estimator.predict_proba

    def predict(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Return one number a row, shape (len(rows),)."""
        return np.asarray(self._predict(self._encoder.matrix(rows)))[:, 1]
