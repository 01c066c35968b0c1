"""References made of values, as a model package has them."""

import numpy as np
from numpy.typing import ArrayLike

from coalmine.policies.frozen.reference import Reference

__all__ = ["tenths"]


def tenths(name: str, values: ArrayLike) -> Reference:
    """Return the reference of numbers (nan: missing) with about as many of them in each bin."""
    numbers = np.asarray(values, dtype=np.float64)
    present = numbers[~np.isnan(numbers)]
    parts = np.arange(1, 10) / 10
    edges = np.unique(np.quantile(present, parts, method="inverted_cdf")) if len(present) else np.empty(0)
    counts = np.bincount(np.searchsorted(edges, present), minlength=len(edges) + 1)
    missing = len(numbers) - len(present)
    return Reference(name=name, counts=tuple(counts.tolist()), edges=tuple(map(float, edges)), missing=missing)
