"""How a feature was distributed in the rows a model was trained on: bins that new values are counted into. Values only.

Every value has a bin: numbers beyond the ends fall into the outer bins, categories that were not listed into one of
their own, and so do missing values.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_BINS", "Reference", "fitting"]

MOST_BINS = 1_000
"""Bins of all references of a rollout: their counts travel with batches and looks. 90 numbers in tenths fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Reference rows of one feature, by bin.

    Of a number `counts[i]` rows lie above `edges[i - 1]` and not above `edges[i]`, the ends open. With `categories`
    the feature is a text or a truth value (`false`, `true`): `counts[i]` rows had `categories[i]`, `other` rows one
    that is not listed. `missing` rows had no value.
    """

    name: str
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    other: int = 0
    missing: int = 0

    def __post_init__(self) -> None:
        bins = len(self.categories) or len(self.edges) + 1
        if len(self.counts) != bins or (self.edges and self.categories):
            raise ValueError(f"reference of {self.name}: {len(self.counts)} counts for {bins} bins")
        if not all(map(math.isfinite, self.edges)) or not all(low < high for low, high in pairwise(self.edges)):
            raise ValueError(f"reference of {self.name}: the edges do not rise")
        if len(set(self.categories)) < len(self.categories):
            raise ValueError(f"reference of {self.name}: a category is listed twice")
        if self.other and not self.categories:
            raise ValueError(f"reference of {self.name}: every number has a bin, there are no other rows")
        if min(*self.counts, self.other, self.missing) < 0 or sum(self.counts) + self.other + self.missing == 0:
            raise ValueError(f"reference of {self.name}: its counts are of no rows, or below 0")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Reference":
        """Return the reference that was written by `asdict`."""
        lists = {name: tuple(value[name]) for name in ("counts", "edges", "categories")}
        return cls(**{**value, **lists})

    @property
    def rows(self) -> NDArray[np.float64]:
        """The reference rows by bin: numbers and missing, or categories, not listed and missing."""
        return np.array([*self.counts, *([self.other] if self.categories else []), self.missing], dtype=np.float64)

    def count(self, values: Sequence[object]) -> list[int]:
        """Return how many of the values of requests fall into each bin of `rows`, whatever they are.

        None and nan are missing; what is no number is missing among numbers and not listed among categories.
        """
        bins = self._categories(values) if self.categories else self._numbers(values)
        counts: list[int] = np.bincount(bins, minlength=len(self.rows)).tolist()
        return counts

    def _categories(self, values: Sequence[object]) -> NDArray[np.intp]:
        places: dict[str | None, int] = {name: place for place, name in enumerate(self.categories)}
        unlisted, missing = len(places), len(places) + 1
        return np.array([missing if value is None else places.get(word(value), unlisted) for value in values], np.intp)

    def _numbers(self, values: Sequence[object]) -> NDArray[np.intp]:
        try:
            numbers = np.frombuffer(array("d", values))  # type: ignore[type-var] # it refuses what is no number
        except (TypeError, OverflowError):
            numbers = np.array([number(value) for value in values])
        bins = np.searchsorted(self.edges, numbers)
        bins[np.isnan(numbers)] = len(self.counts)
        return bins


def fitting(references: Sequence[Reference]) -> tuple[Reference, ...]:
    """Return the references up to the first with which they have more than `MOST_BINS` bins together."""
    ends = np.cumsum([len(reference.rows) for reference in references])
    return tuple(references[: int(np.searchsorted(ends, MOST_BINS, side="right"))])


def word(value: object) -> str | None:
    """Return a category as a reference names it, None for what is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


def number(value: object) -> float:
    """Return a number as a float, nan for what is none."""
    if not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
