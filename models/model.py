"""What everything else sees of a model: its manifest, its digest, and one call."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .cell import Row
from .manifest import Manifest

__all__ = ["Model"]


class Model(Protocol):
    """A loaded model that passed its golden rows."""

    @property
    def manifest(self) -> Manifest:
        """What the package says of itself."""
        ...

    @property
    def digest(self) -> str:
        """`sha256:<64 hex>` over the manifest's bytes, and through its list of files over the whole package."""
        ...

    def predict(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Return one number a row, shape (len(rows),).

        The probability of class 1 or the value, by `manifest.output`. Deterministic; not thread safe.

        Raises
        ------
        Misfit
            When rows do not fit the manifest; any other exception is a fault of the model.
        """
        ...
