"""Records of a run as numpy columns, so that millions of them are checked in seconds.

A request is named by its place: `partition << 40 | offset` of its record, the number form of `src`. Ids and keys
are kept as 64-bit hashes; two different ones agree by chance once in 10**19.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["ERROR", "VARIANTS", "Answer", "Column", "Request", "Requests", "Rows", "Table", "Told", "place",
           "place_of", "src_of"]  # fmt: skip

OFFSET_BITS = 40
"""Bits of the offset in a place; a partition would need 10**12 records to overflow them."""

VARIANTS = {"stable": 0, "canary": 1}
ERROR = 2
"""Code of an answer that is an error record, beside the codes of `VARIANTS`."""

UNKNOWN = -1
"""Code of a variant that is neither."""


class Request(msgspec.Struct):
    """What the checker needs of a request; both fields may be absent there."""

    id: str | None = None
    key: str | None = None


class Answer(msgspec.Struct):
    """What the checker needs of a prediction or an error record; the latter has `error_code`."""

    src: str
    id: str
    variant: str = ""
    revision: int = 0
    prediction: float | None = None
    error_code: str | None = None


class Told(msgspec.Struct):
    """What the checker needs of an outcome."""

    src: str
    id: str
    variant: str
    revision: int
    u: int
    mode: str = "live"
    prediction: float | None = None
    cohort: str | None = None


def place(partition: int, offset: int) -> int:
    """Return the number form of `topic/partition@offset`."""
    return partition << OFFSET_BITS | offset


def place_of(src: str) -> int:
    """Return the place that `src` names. Raises ValueError when it is not `topic/partition@offset`."""
    head, _, offset = src.rpartition("@")
    return place(int(head.rpartition("/")[2]), int(offset))


def src_of(number: int) -> str:
    """Return `partition@offset` of a place, for people."""
    return f"{number >> OFFSET_BITS}@{number & ((1 << OFFSET_BITS) - 1)}"


class Column:
    """A growing array: batches are appended, `whole()` joins them."""

    def __init__(self, dtype: type) -> None:
        self._dtype = dtype
        self._parts: list[NDArray[Any]] = []

    def append(self, values: Sequence[object]) -> None:
        """Append one batch."""
        self._parts.append(np.array(values, dtype=self._dtype))

    def whole(self) -> NDArray[Any]:
        """Return everything appended so far, in order."""
        self._parts = [np.concatenate([np.empty(0, self._dtype), *self._parts])]
        return self._parts[0]


class Requests:
    """The requests of a run."""

    def __init__(self) -> None:
        self._place, self._id, self._key = Column(np.int64), Column(np.int64), Column(np.int64)

    def append(self, topic: str, partition: int, offset: int, batch: Iterable[Request]) -> None:
        """Append consecutive requests, the first at `offset`. The default of an id is `src`, of a key the id."""
        rows = list(batch)
        ids = [r.id or f"{topic}/{partition}@{offset + i}" for i, r in enumerate(rows)]
        self._place.append([place(partition, offset + i) for i in range(len(rows))])
        self._id.append([hash(id_) for id_ in ids])
        self._key.append([hash(r.key or id_) for r, id_ in zip(rows, ids, strict=True)])

    def sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return places, hashes of ids and hashes of keys, by place."""
        order = np.argsort(self._place.whole(), kind="stable")
        return self._place.whole()[order], self._id.whole()[order], self._key.whole()[order]


@dataclass(frozen=True, slots=True)
class Table:
    """Answers or outcomes of known requests: `pos` is the index of the request among those sorted by place."""

    pos: NDArray[np.int64]
    variant: NDArray[np.int8]
    revision: NDArray[np.int64]
    value: NDArray[np.float64]
    u: NDArray[np.int64]
    randomised: NDArray[np.bool_]

    def only(self, mask: NDArray[Any]) -> "Table":
        """Return the rows that `mask` selects (or an order of rows)."""
        return Table(self.pos[mask], self.variant[mask], self.revision[mask], self.value[mask],
                     self.u[mask], self.randomised[mask])  # fmt: skip

    def at(self, mask: NDArray[Any]) -> NDArray[np.int64]:
        """Return the positions of the rows that `mask` selects."""
        return np.asarray(self.pos[mask], np.int64)


class Rows:
    """Answers or outcomes of a run as they came."""

    def __init__(self) -> None:
        self._place, self._id, self._revision = Column(np.int64), Column(np.int64), Column(np.int64)
        self._variant, self._value = Column(np.int8), Column(np.float64)
        self._u, self._randomised = Column(np.int64), Column(np.bool_)

    def answers(self, rows: Sequence[Answer]) -> None:
        """Append predictions and error records."""
        self._append(rows, [ERROR if r.error_code else VARIANTS.get(r.variant, UNKNOWN) for r in rows])
        self._u.append([0] * len(rows))
        self._randomised.append([False] * len(rows))

    def outcomes(self, rows: Sequence[Told]) -> None:
        """Append live outcomes."""
        self._append(rows, [VARIANTS.get(r.variant, UNKNOWN) for r in rows])
        self._u.append([r.u for r in rows])
        self._randomised.append([r.cohort is None for r in rows])

    def _append(self, rows: Sequence[Answer | Told], variants: list[int]) -> None:
        self._place.append([place_of(r.src) for r in rows])
        self._id.append([hash(r.id) for r in rows])
        self._variant.append(variants)
        self._revision.append([r.revision for r in rows])
        self._value.append([np.nan if r.prediction is None else r.prediction for r in rows])

    def locate(self, places: NDArray[np.int64], ids: NDArray[np.int64]) -> tuple[Table, list[str]]:
        """Return the rows of requests that exist under their id, and the places of the others."""
        at = self._place.whole()
        pos = np.minimum(np.searchsorted(places, at), max(len(places) - 1, 0))
        known = np.zeros(len(at), bool) if not len(places) else (places[pos] == at) & (ids[pos] == self._id.whole())
        table = Table(pos, self._variant.whole(), self._revision.whole(), self._value.whole(), self._u.whole(),
                      self._randomised.whole())  # fmt: skip
        return table.only(known), [src_of(int(number)) for number in at[~known]]
