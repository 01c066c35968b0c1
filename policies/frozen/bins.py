"""The bins in which predictions are compared: frozen from stable's history before step 1, the same for both variants.

A numeric prediction has the deciles of stable's, a text the classes that stable predicts; everything else, also a row
that got no answer of its variant, is in one last bin. So every row has a bin, and the distance says nothing but how
much likelier some bins have become.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..stats.predictions import PredictionCounts, cell_edge
from ..wording import amount

__all__ = ["PredictionBins", "bins_of"]

MOST_CLASSES = 20
"""Classes that are compared by themselves: each makes small shifts a little harder to see."""

NUMERIC_BINS = 10
"""Bins of numeric predictions, with about equally many of stable's in each; fewer where many are equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionBins:
    """`classes` by falling count, the cells at whose upper edges the bins of numbers end, and one bin for the rest.

    With edges e1 < .. < ek there are k + 1 bins of numbers, the last one for those above; without edges numbers belong
    to the rest. `rows` are the predictions of stable they were taken from.
    """

    rows: int
    classes: tuple[str, ...] = ()
    edges: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.rows < 0 or list(self.edges) != sorted(set(self.edges)) or len(set(self.classes)) < len(self.classes):
            raise ValueError("bins of predictions have different classes and rising edges")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "PredictionBins":
        """Return the bins that were written by `asdict`."""
        return cls(rows=value["rows"], classes=tuple(value["classes"]), edges=tuple(value["edges"]))

    @property
    def names(self) -> tuple[str, ...]:
        """The bins in words, in the order of `count`."""
        ends = [amount(cell_edge(edge)) for edge in self.edges]
        between = [f"{low} to {high}" for low, high in pairwise(ends)]
        numbers = [f"at most {ends[0]}", *between, f"above {ends[-1]}"] if ends else []
        return *(f"'{name}'" for name in self.classes), *numbers, "other or no answer"

    def count(self, predicted: PredictionCounts) -> NDArray[np.float64]:
        """Return predictions by bin."""
        by_class = [float(predicted.classes.get(name, 0)) for name in self.classes]
        numbers = np.zeros(len(self.edges) + 1 if self.edges else 0)
        if self.edges and predicted.cells:
            bins = np.searchsorted(self.edges, list(predicted.cells), side="left")
            np.add.at(numbers, bins, list(predicted.cells.values()))
        named = sum(by_class) + float(numbers.sum())
        return np.array([*by_class, *numbers, predicted.n - named])


def bins_of(stable: PredictionCounts) -> PredictionBins:
    """Return the bins for what stable has predicted so far."""
    classes = sorted(stable.classes, key=lambda name: (-stable.classes[name], name))[:MOST_CLASSES]
    return PredictionBins(rows=stable.n, classes=tuple(classes), edges=deciles(stable.cells))


def deciles(cells: Mapping[int, int]) -> tuple[int, ...]:
    """Return the cells in which the deciles lie, each once: equal numbers share a cell, and may be many.

    >>> deciles({7: 60, 8: 20, 9: 20}), deciles({})
    ((7, 8, 9), ())
    """
    total, seen = sum(cells.values()), 0
    edges: list[int] = []
    for cell in sorted(cells):
        before, seen = seen, seen + cells[cell]
        if seen * NUMERIC_BINS // total > before * NUMERIC_BINS // total and len(edges) < NUMERIC_BINS - 1:
            edges.append(cell)
    return tuple(edges)
