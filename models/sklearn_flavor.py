"""The flavor `sklearn`: an estimator in one skops file. The only module that imports scikit-learn and skops.

skops rebuilds objects from a description instead of running what a file says, as pickle does; `allowed` holds the
description against our own list before skops sees it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import skops.io
from numpy.typing import NDArray

from . import allowed
from .features import Encoder
from .manifest import Manifest, OutputKind, Row
from .model import Model
from .store import Package

__all__ = ["SKLEARN_FILE", "encode", "load"]

SKLEARN_FILE = "model.skops"
"""The only file of a scikit-learn package."""


def encode(estimator: Any) -> bytes:
    """Return `estimator` as the bytes of a skops file."""
    import zipfile

    content: bytes = skops.io.dumps(estimator, compression=zipfile.ZIP_DEFLATED)
    return content


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
    if package.manifest.output is OutputKind.PROBABILITY:
        return _Classifier(package.manifest, package.digest, estimator)
    return _Regressor(package.manifest, package.digest, estimator)


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
