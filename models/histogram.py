"""How a feature was distributed in the rows a model was trained on: rows by bin, as a manifest carries them.

Values only; what live rows are held against it, and when they are too far, is not known here.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import assert_never

import numpy as np

from .cell import Cell, FeatureType

__all__ = ["MOST_CATEGORIES", "Histogram", "histogram_of"]

BINS = 10
"""Tenths of a number make its bins, so that each has the same say; heavy numbers add some."""

MOST_CATEGORIES = 50
"""Categories of a histogram: each one more needs more rows before a shift can be told from chance."""

LEAST_ROWS, LEAST_SHARE = 10, 0.001
"""A category is listed only with so many rows, and so many of all: names in a package are read by many, and one that
few rows have may be somebody's own."""

LONGEST_CATEGORY = 100
"""Characters of a category that is listed: its name travels with every start."""

HEAVY = 0.05
"""Share of the rows above which one number has a bin of its own: a flag that falls from 1 to 0 must not stay in it."""

MOST_ROWS = 1 << 53
"""Rows of a histogram: up to here a count is exact as float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Rows of one feature by bin, and `missing` rows that had no value.

    Of a number `counts[i]` rows lie above `edges[i - 1]` and not above `edges[i]`, the ends open; `edges` are finite
    and rise. With `categories` it is of a string or a boolean (`false`, `true`), and `counts[i]` rows had
    `categories[i]`; `other` rows had a category that is not listed.
    """

    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    other: int = 0
    missing: int = 0

    def __post_init__(self) -> None:
        self._check_bins()
        bins = len(self.categories) or len(self.edges) + 1
        if len(self.counts) != bins:
            raise ValueError(f"a histogram of {bins} bins needs as many counts, not {len(self.counts)}")
        if self.other and not self.categories:
            raise ValueError("a histogram of numbers has no other rows: each has a bin")
        if min(*self.counts, self.other, self.missing) < 0:
            raise ValueError("a histogram has a count below 0")
        if not 0 < sum(self.counts) + self.other + self.missing <= MOST_ROWS:
            raise ValueError(f"a histogram is of no rows, or of more than {MOST_ROWS}")

    def _check_bins(self) -> None:
        if self.edges and self.categories:
            raise ValueError("a histogram has edges or categories, not both")
        if not all(map(math.isfinite, self.edges)) or not all(low < high for low, high in pairwise(self.edges)):
            raise ValueError("the edges of a histogram must be finite and rise")
        if len(set(self.categories)) != len(self.categories):
            raise ValueError("a histogram lists a category twice")
        if any(len(name) > LONGEST_CATEGORY for name in self.categories):
            raise ValueError(f"a histogram lists a category of more than {LONGEST_CATEGORY} characters")
        if len(self.categories) > MOST_CATEGORIES:
            raise ValueError(f"a histogram lists {len(self.categories)} categories, more than {MOST_CATEGORIES}")


def histogram_of(values: Sequence[Cell], kind: FeatureType) -> Histogram:
    """Return the histogram of the cells of one feature; None and nan are missing.

    Numbers are binned at their tenths (Hyndman and Fan 1996, definition 1), a number that `HEAVY` of the rows have in
    a bin of its own. Strings are listed by falling count, then by name, `MOST_CATEGORIES` at most and none that few
    rows have; the rows of the others count together. Of booleans both are listed. Costs some 1 us a cell.

    Raises
    ------
    ValueError
        When there are no values, or one is of another type than `kind`; its row is named, never its value.
    """
    present = [(row, cell) for row, cell in enumerate(values) if not _is_missing(cell)]
    for row, cell in present:
        if not _is_of(cell, kind):
            raise ValueError(f"row {row}: a value of type {type(cell).__name__} is no {kind.value}")
    cells = [cell for _, cell in present]
    missing = len(values) - len(cells)
    match kind:
        case FeatureType.NUMBER:
            return _of_numbers(cells, missing)
        case FeatureType.STRING:
            rows = Counter(map(str, cells))
            # Without any category it would pass for the histogram of a number.
            return _of_categories(_listed(rows) or [""], rows, missing)
        case FeatureType.BOOLEAN:
            return _of_categories(["false", "true"], Counter("true" if cell else "false" for cell in cells), missing)
        case _:
            assert_never(kind)


def _is_missing(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _is_of(cell: Cell, kind: FeatureType) -> bool:
    match kind:
        case FeatureType.NUMBER:
            return isinstance(cell, int | float) and not isinstance(cell, bool)
        case FeatureType.STRING:
            return isinstance(cell, str)
        case FeatureType.BOOLEAN:
            return isinstance(cell, bool)
        case _:
            assert_never(kind)


def _listed(rows: Counter[str]) -> list[str]:
    least = max(LEAST_ROWS, LEAST_SHARE * rows.total())
    names = [name for name in rows if rows[name] >= least and len(name) <= LONGEST_CATEGORY]
    return sorted(names, key=lambda name: (-rows[name], name))[:MOST_CATEGORIES]


def _of_numbers(cells: Sequence[Cell], missing: int) -> Histogram:
    try:
        numbers = np.array(cells, dtype=np.float64)
    except OverflowError as error:
        raise ValueError("an integer is beyond float64") from error
    if not len(numbers):
        return Histogram(counts=(0,), missing=missing)
    tenths = np.quantile(numbers, np.arange(1, BINS) / BINS, method="inverted_cdf")
    values, rows = np.unique(numbers, return_counts=True)
    heavy = values[rows >= HEAVY * len(numbers)]
    with np.errstate(over="ignore"):  # below the least number is -inf, which is no edge
        edges = np.unique(np.concatenate([tenths, heavy, np.nextafter(heavy, -np.inf)]))
    edges = edges[np.isfinite(edges)]
    counts = np.bincount(np.searchsorted(edges, numbers), minlength=len(edges) + 1)
    return Histogram(counts=tuple(counts.tolist()), edges=tuple(edges.tolist()), missing=missing)


def _of_categories(listed: Sequence[str], rows: Counter[str], missing: int) -> Histogram:
    counts = tuple(rows[name] for name in listed)
    other = rows.total() - sum(counts)
    return Histogram(counts=counts, categories=tuple(listed), other=other, missing=missing)
