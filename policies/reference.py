"""How a feature was distributed before: histograms that new values are counted into. Values only.

Every value has a bin: numbers beyond the ends fall into the outer bins, categories that were never seen into one of
their own, and so do missing values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["CategoryReference", "NumberReference", "Reference"]

BINS = 10
"""Bins of a reference made from values: tenths, so that each has the same say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberReference:
    """Reference rows of a number: `counts[i]` of them above `edges[i - 1]` and not above `edges[i]`, ends open.

    `missing` rows had no value.
    """

    name: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int = 0

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError(f"reference of {self.name}: {len(self.edges)} edges need {len(self.edges) + 1} counts")
        if not all(low < high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"reference of {self.name}: the edges do not rise")
        check_counts(self.name, (*self.counts, self.missing))

    @classmethod
    def of(cls, name: str, values: ArrayLike) -> "NumberReference":
        """Return the reference of these values (nan: missing) in tenths; equal values share a bin.

        >>> NumberReference.of("age", [1.0, 2.0, 3.0, 4.0, np.nan]).missing
        1
        """
        numbers = np.asarray(values, dtype=np.float64)
        present = numbers[~np.isnan(numbers)]
        if not len(present):
            return cls(name=name, edges=(), counts=(0,), missing=len(numbers))
        inner = np.quantile(present, np.arange(1, BINS) / BINS, method="inverted_cdf")
        edges = tuple(np.unique(inner).tolist())
        counts = np.bincount(np.searchsorted(edges, present), minlength=len(edges) + 1)
        return cls(name=name, edges=edges, counts=tuple(counts.tolist()), missing=len(numbers) - len(present))

    @property
    def rows(self) -> NDArray[np.float64]:
        """The reference rows by bin, the missing ones last."""
        return np.array([*self.counts, self.missing], dtype=np.float64)

    def count(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return how many of the values (float, nan: missing) fall into each bin."""
        numbers = np.asarray(values, dtype=np.float64)
        bins = np.searchsorted(self.edges, numbers)
        bins[np.isnan(numbers)] = len(self.counts)
        return np.bincount(bins, minlength=len(self.counts) + 1).astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryReference:
    """Reference rows of a category: `counts[i]` of `categories[i]`, and `missing` without a value."""

    name: str
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    missing: int = 0

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.categories) or len(set(self.categories)) < len(self.categories):
            raise ValueError(f"reference of {self.name}: each category needs one count")
        check_counts(self.name, (*self.counts, self.missing))

    @property
    def rows(self) -> NDArray[np.float64]:
        """The reference rows by bin: the categories, never seen, missing."""
        return np.array([*self.counts, 0, self.missing], dtype=np.float64)

    def count(self, values: Sequence[str | None]) -> NDArray[np.float64]:
        """Return how many of the values (None: missing) fall into each bin."""
        unseen = len(self.categories)
        places = {category: place for place, category in enumerate(self.categories)}
        bins = [unseen + 1 if value is None else places.get(value, unseen) for value in values]
        return np.bincount(np.array(bins, dtype=np.intp), minlength=unseen + 2).astype(np.float64)


Reference: TypeAlias = NumberReference | CategoryReference


def check_counts(name: str, counts: tuple[int, ...]) -> None:
    """Raise ValueError for counts that no rows can have."""
    if min(counts) < 0 or sum(counts) == 0:
        raise ValueError(f"reference of {name}: its counts are of no rows, or below 0")
