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

__all__ = ["MOST_BINS", "MOST_BINS_EACH", "MOST_FEATURES", "Reference", "fitting"]

MOST_FEATURES, MOST_BINS = 100, 1_000
"""Features and bins of all references of a rollout: their counts travel with batches and looks."""

MOST_BINS_EACH = 64
"""Bins of one reference: the tests keep as many for every feature."""

LONGEST_NAME = 200
"""Characters of the name of a feature or a category."""

MOST_ROWS = 1 << 53
"""Rows of a reference: up to here a count is exact as a float."""


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
        if not all(len(name) <= LONGEST_NAME for name in (self.name, *self.categories)) or not self.name:
            raise ValueError(f"a reference has a name, and no name has more than {LONGEST_NAME} characters")
        if len(self.counts) != bins or (self.edges and self.categories) or self.bins > MOST_BINS_EACH:
            raise ValueError(
                f"reference of {self.name}: {len(self.counts)} counts for {bins} bins, at most {MOST_BINS_EACH - 2}"
            )
        if not all(map(math.isfinite, self.edges)) or not all(low < high for low, high in pairwise(self.edges)):
            raise ValueError(f"reference of {self.name}: the edges do not rise")
        if len(set(self.categories)) < len(self.categories):
            raise ValueError(f"reference of {self.name}: a category is listed twice")
        if self.other and not self.categories:
            raise ValueError(f"reference of {self.name}: every number has a bin, there are no other rows")
        if min(*self.counts, self.other, self.missing) < 0:
            raise ValueError(f"reference of {self.name}: a count is below 0")
        if not 0 < sum(self.counts) + self.other + self.missing <= MOST_ROWS:
            raise ValueError(f"reference of {self.name}: its counts are of no rows, or of more than {MOST_ROWS}")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Reference":
        """Return the reference that was written by `asdict`."""
        lists = {name: tuple(value[name]) for name in ("counts", "edges", "categories")}
        return cls(**{**value, **lists})

    @property
    def bins(self) -> int:
        """How many bins values are counted into."""
        return len(self.counts) + (2 if self.categories else 1)

    @property
    def rows(self) -> NDArray[np.float64]:
        """The reference rows by bin: numbers and missing, or categories, not listed and missing."""
        return np.array([*self.counts, *([self.other] if self.categories else []), self.missing], dtype=np.float64)

    def count(self, values: Sequence[object]) -> list[int]:
        """Return how many of the values of requests fall into each bin of `rows`, whatever they are.

        None and nan are missing; what is no number is missing among numbers and not listed among categories.
        """
        bins = self._categories(values) if self.categories else self._numbers(values)
        counts: list[int] = np.bincount(bins, minlength=self.bins).tolist()
        return counts

    def _categories(self, values: Sequence[object]) -> NDArray[np.intp]:
        places: dict[str | None, int] = {name: place for place, name in enumerate(self.categories)}
        unlisted, missing = len(places), len(places) + 1
        return np.array([missing if value is None else places.get(word(value), unlisted) for value in values], np.intp)

    def _numbers(self, values: Sequence[object]) -> NDArray[np.intp]:
        try:
            numbers = np.array(array("d", values))  # type: ignore[type-var] # it refuses what is no number
        except (TypeError, OverflowError):
            numbers = np.array([number(value) for value in values])
        bins = np.searchsorted(self.edges, numbers)
        bins[np.isnan(numbers)] = len(self.counts)
        return bins


def fitting(references: Sequence[Reference]) -> tuple[Reference, ...]:
    """Return the first `MOST_FEATURES` references, up to the first with which they have more than `MOST_BINS` bins.

    Of two with one name the second is taken.
    """
    ends = np.cumsum([reference.bins for reference in references[:MOST_FEATURES]])
    held = references[: int(np.searchsorted(ends, MOST_BINS, side="right"))]
    return tuple({reference.name: reference for reference in held}.values())


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
