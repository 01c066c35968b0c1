"""What a variant predicted: counts of classes, and of numbers in cells whose edges grow by 5 %. A sketch.

Cells are found by a search in a table and no logarithm, so the answer is the same on every machine; zero has a cell of
its own. What has no room is counted as `other`: a record of evidence must stay below 64 kB, and a field of ids must not
fill the memory. Only the writer of a sketch knows its room; adding two of them needs none.
"""

import base64
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["CELLS", "NO_PREDICTIONS", "PredictionCounts", "Vocabulary", "cell_edge", "cells_of"]

GAMMA = 1.05
"""Ratio of neighbouring edges: a number is known to 2.5 % either way, and 160 cells span three and a half decades."""

SMALLEST, LARGEST = 1e-6, 1e12
"""Absolute values up to the first fall into the cell of zero, those above the second into the last ones."""

MAGNITUDES = np.power(GAMMA, np.arange(np.ceil(np.log(SMALLEST) / np.log(GAMMA)), np.log(LARGEST) / np.log(GAMMA)))
EDGES = np.concatenate([-MAGNITUDES[::-1], MAGNITUDES])
"""Upper edges; one power of GAMMA is exactly 1, so a probability of 1 is in the cell that ends there."""

CELLS = len(EDGES) + 1

ROOM = 960
"""Bytes of a record that the kinds of predictions of one variant may take: 160 cells, or some 30 classes."""

CELL_BYTES = 6
"""A cell and its count up to a hundred million, packed."""

CLASS_BYTES = 15
"""What a class takes beside its name: quotes, colon, comma and its count."""

K = TypeVar("K", str, int)


def cells_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the cell of each number (finite): cell i holds edge[i-1] < x <= edge[i]."""
    return np.searchsorted(EDGES, values, side="left").astype(np.int64)


def cell_edge(cell: int) -> float:
    """Return the upper edge of a cell, infinite for the last one."""
    return float(EDGES[cell]) if cell < len(EDGES) else float("inf")


@dataclass(frozen=True, slots=True)
class PredictionCounts:
    """Predictions by class, by cell, and all others: no answer, no single value, or no room.

    `a + b` has `PredictionCounts()` as identity; `a - b`, for cumulative counts with b earlier than a, is what came
    between. Counts of zero are left out of the mappings.

    >>> some = PredictionCounts({"late": 2}, {}, 1)
    >>> (some + some).n, (some + some) - some == some
    (6, True)
    """

    classes: Mapping[str, int] = field(default_factory=dict)
    cells: Mapping[int, int] = field(default_factory=dict)
    other: int = 0

    @property
    def n(self) -> int:
        """All predictions that were counted."""
        return sum(self.classes.values()) + sum(self.cells.values()) + self.other

    @property
    def goes_back(self) -> bool:
        """Whether a count is below zero."""
        return min((self.other, *self.classes.values(), *self.cells.values())) < 0

    def __add__(self, other: "PredictionCounts") -> "PredictionCounts":
        return self._with(other, 1)

    def __sub__(self, other: "PredictionCounts") -> "PredictionCounts":
        return self._with(other, -1)

    def _with(self, other: "PredictionCounts", sign: int) -> "PredictionCounts":
        if other is NO_PREDICTIONS:
            return self
        if self is NO_PREDICTIONS and sign > 0:
            return other
        return PredictionCounts(
            merged(self.classes, other.classes, sign), merged(self.cells, other.cells, sign),
            self.other + sign * other.other,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return a compact JSON object; what is empty is left out. Counts must not be below 0."""
        shown = {"classes": dict(self.classes), "cells": packed(self.cells), "other": self.other}
        return {name: value for name, value in shown.items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "PredictionCounts":
        """Return the counts that `to_json` wrote; raises ValueError for cells that it cannot have written."""
        return cls(value.get("classes", {}), unpacked(value.get("cells", "")), value.get("other", 0))


NO_PREDICTIONS = PredictionCounts()


class Vocabulary:
    """The classes and cells that one writer counts by themselves: those that came first, while there is room.

    All variants of a writer must share one: else the same class would be counted by its name here and as `other`
    there, and look like a difference.
    """

    def __init__(self, seen: Iterable[PredictionCounts] = ()) -> None:
        self.room = ROOM
        self.known: set[str | int] = set()
        for counts in seen:
            for kind in itertools.chain[str | int](counts.classes, counts.cells):
                self.admits(kind)

    def admits(self, kind: str | int) -> bool:
        """Tell whether a class or cell is counted by itself, from now on if there is room."""
        if kind in self.known:
            return True
        size = len(kind.encode(errors="replace")) + CLASS_BYTES if isinstance(kind, str) else CELL_BYTES
        if size > self.room:
            return False
        self.room -= size
        self.known.add(kind)
        return True

    def counts(self, classes: Mapping[str, int], cells: Mapping[int, int], other: int) -> PredictionCounts:
        """Return the counts with everything for which there is no room among `other`."""
        named = {name: count for name, count in classes.items() if self.admits(name)}
        placed = {cell: count for cell, count in cells.items() if self.admits(cell)}
        left = sum(classes.values()) + sum(cells.values()) - sum(named.values()) - sum(placed.values())
        return PredictionCounts(named, placed, other + left)


def merged(a: Mapping[K, int], b: Mapping[K, int], sign: int) -> dict[K, int]:
    """Return a + sign * b per name, without the zeros."""
    total = {name: a.get(name, 0) + sign * b.get(name, 0) for name in {**a, **b}}
    return {name: count for name, count in total.items() if count}


def packed(cells: Mapping[int, int]) -> str:
    """Return cells in rising order, each as its distance to the one before and its count, as base64 of varints."""
    written = bytearray()
    before = 0
    for cell in sorted(cells):
        written += bytes(varint(cell - before)) + bytes(varint(cells[cell]))
        before = cell
    return base64.b64encode(written).decode()


def unpacked(text: str) -> dict[int, int]:
    """Return the cells that `packed` wrote; raises ValueError for anything else."""
    numbers = list(varints(base64.b64decode(text, validate=True)))
    if len(numbers) % 2:
        raise ValueError("cells of predictions come in pairs")
    cells = np.cumsum(numbers[::2], dtype=object).tolist()
    if cells and cells[-1] >= CELLS:
        raise ValueError(f"there is no cell {cells[-1]} of predictions")
    return dict(zip(cells, numbers[1::2], strict=True))


def varint(number: int) -> Iterator[int]:
    """Yield the bytes of a number from 0 up, seven bits each, the lowest first (LEB128)."""
    while number >= 0x80:
        yield number & 0x7F | 0x80
        number >>= 7
    yield number


def varints(written: Sequence[int]) -> Iterator[int]:
    """Yield the numbers that stand in bytes; raises ValueError where the last one has no end or one has 64 bits."""
    number = shift = 0
    for byte in written:
        number |= (byte & 0x7F) << shift
        shift += 7
        if shift > 63:
            raise ValueError("a count of predictions is too large")
        if byte < 0x80:
            yield number
            number = shift = 0
    if shift:
        raise ValueError("the cells of predictions are cut off")
