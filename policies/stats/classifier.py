"""What is usually shown of a classifier: precision, recall, F1 and the area under its curve. For the screen alone.

They are ratios of sums over rows, so no row has a loss of its own, and no test here decides on them. Computed from
counts that merge by addition; undefined is nan.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Confusion", "area_of_counts", "area_under_curve"]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rows by predicted class and label: hits (1, 1), false alarms (1, 0), misses (0, 1) and rejections (0, 0).

    `a + b` has `Confusion()` as identity.

    >>> seen = Confusion.of([True, True, False, False], [1, 0, 1, 0])
    >>> seen.precision, seen.recall, seen.f1
    (0.5, 0.5, 0.5)
    """

    hits: int = 0
    false_alarms: int = 0
    misses: int = 0
    rejections: int = 0

    @classmethod
    def of(cls, predicted: ArrayLike, labels: ArrayLike) -> "Confusion":
        """Return the counts of rows, one predicted class and one label each (bool, or 0 and 1)."""
        p, y = np.asarray(predicted, dtype=bool), np.asarray(labels, dtype=bool)
        pairs = (p & y, p & ~y, ~p & y, ~p & ~y)
        return cls(*(int(np.count_nonzero(pair)) for pair in pairs))

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(
            self.hits + other.hits,
            self.false_alarms + other.false_alarms,
            self.misses + other.misses,
            self.rejections + other.rejections,
        )

    @property
    def precision(self) -> float:
        """Hits among the rows called 1; nan where none was."""
        return ratio(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> float:
        """Hits among the rows with label 1; nan where none has it."""
        return ratio(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; nan where no row is 1 in either way."""
        return ratio(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)


def ratio(part: int, whole: int) -> float:
    """Return the quotient, nan of nothing."""
    return part / whole if whole else math.nan


def area_under_curve(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the area under the ROC curve of rows with label 0 or 1; nan where a label is missing.

    >>> area_under_curve([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1])
    0.875
    """
    y = np.asarray(labels, dtype=bool)
    _, places = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    return area_of_counts(np.bincount(places, weights=y), np.bincount(places, weights=~y))


def area_of_counts(positives: ArrayLike, negatives: ArrayLike) -> float:
    """Return the area under the ROC curve from rows with label 1 and 0 by score, or bucket of scores, in rising order.

    The share of pairs in which the row with label 1 has the higher score, ties counted half (Hanley & McNeil, 1982).
    Exact for distinct scores; buckets make ties of what shares one.
    """
    x, y = np.asarray(positives, dtype=np.float64), np.asarray(negatives, dtype=np.float64)
    pairs = float(x.sum() * y.sum())
    below = np.cumsum(y) - y
    return float((x * (below + 0.5 * y)).sum()) / pairs if pairs else math.nan
