"""Sums of a bounded loss: all that the tests of a mean, a rate or an accuracy need. A sketch.

A loss lies in 0..1 after division by its range, and is kept in whole 65,536ths of it. Whole numbers make the sums
exact: they do not depend on order or partition, differences of cumulative sums lose nothing, and squares cannot
cancel, whatever the offset of the raw values. An event is a loss of 0 or 1 and suffers no rounding at all; any other
loss is rounded by 8e-6 of its range at most, in both variants alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import add, sub
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["KEY_BUCKETS", "LOSS_UNIT", "NO_BUCKETS", "Losses"]

KEY_BUCKETS = 64
"""Groups of keys, by a hash of their own, between which the variance of keyed traffic is measured."""

LOSS_UNIT = 1 << 16
"""Units of a loss in its range: sums of squares of two thousand million rows still fit 64 bits."""


NO_BUCKETS = (0,) * KEY_BUCKETS
"""The counts per key bucket of no rows."""


@dataclass(frozen=True, slots=True)
class Losses:
    """`n` units, the sum of their losses in 1/65,536 and of their squares in 1/65,536^2; both again by key bucket.

    `bucket_n` and `bucket_total` are all zero where nothing is known of keys. `a + b` has `Losses()` as identity;
    `a - b`, for cumulative sums with b earlier than a, is what came between.

    >>> half = Losses.of([0.5, 0.0], [3, 3])
    >>> half.mean, (half + half).n, half.bucket_n[3]
    (0.25, 4, 2)
    """

    n: int = 0
    total: int = 0
    squares: int = 0
    bucket_n: tuple[int, ...] = NO_BUCKETS
    bucket_total: tuple[int, ...] = NO_BUCKETS

    @classmethod
    def of(cls, losses: ArrayLike, buckets: ArrayLike) -> "Losses":
        """Return the sums of `losses` (float, each 0..1) of rows in these key `buckets` (int, 0..63).

        Raises ValueError for a loss that is not a number in 0..1.
        """
        values: NDArray[np.float64] = np.asarray(losses, dtype=np.float64)
        if not np.all((values >= 0.0) & (values <= 1.0)):
            raise ValueError(
                f"a loss of {values[~((values >= 0.0) & (values <= 1.0))][0]} is outside of its range 0..1"
            )
        units = np.rint(values * LOSS_UNIT).astype(np.int64)
        places = np.asarray(buckets, dtype=np.int64)
        totals = np.bincount(places, weights=units, minlength=KEY_BUCKETS)
        return cls(
            n=len(units),
            total=int(units.sum()),
            squares=int(np.square(units).sum()),
            bucket_n=tuple(np.bincount(places, minlength=KEY_BUCKETS).tolist()),
            bucket_total=tuple(int(total) for total in totals.tolist()),
        )

    @classmethod
    def of_events(
        cls, n: int, events: int, bucket_n: Sequence[int] | None = None, bucket_events: Sequence[int] | None = None
    ) -> "Losses":
        """Return the sums of `n` units of which `events` have loss 1 and the others 0."""
        return cls(
            n=n,
            total=events * LOSS_UNIT,
            squares=events * LOSS_UNIT**2,
            bucket_n=tuple(bucket_n) if bucket_n is not None else NO_BUCKETS,
            bucket_total=tuple(map(LOSS_UNIT.__mul__, bucket_events)) if bucket_events is not None else NO_BUCKETS,
        )

    @property
    def loss(self) -> float:
        """The sum of the losses, in their range; of events: their number."""
        return self.total / LOSS_UNIT

    @property
    def square(self) -> float:
        """The sum of the squared losses, in their range; of events: their number."""
        return self.squares / LOSS_UNIT**2

    @property
    def mean(self) -> float:
        """The mean loss; nan without units."""
        return self.loss / self.n if self.n else float("nan")

    def __add__(self, other: "Losses") -> "Losses":
        return combined(self, other, 1)

    def __sub__(self, other: "Losses") -> "Losses":
        return combined(self, other, -1)

    def to_json(self) -> dict[str, Any]:
        """Return a compact JSON object; buckets that hold nothing are left out."""
        value: dict[str, Any] = {"n": self.n, "total": self.total, "squares": self.squares}
        if any(self.bucket_n):
            value |= {"bucket_n": list(self.bucket_n), "bucket_total": list(self.bucket_total)}
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Losses":
        """Return the sums that `to_json` wrote."""
        return cls(
            value["n"],
            value["total"],
            value["squares"],
            tuple(value.get("bucket_n", NO_BUCKETS)),
            tuple(value.get("bucket_total", NO_BUCKETS)),
        )


def combined(a: Losses, b: Losses, sign: int) -> Losses:
    """Return a + sign * b."""
    step = add if sign > 0 else sub
    return Losses(
        a.n + sign * b.n,
        a.total + sign * b.total,
        a.squares + sign * b.squares,
        added(a.bucket_n, b.bucket_n, step),
        added(a.bucket_total, b.bucket_total, step),
    )


def added(a: tuple[int, ...], b: tuple[int, ...], step: Callable[[int, int], int]) -> tuple[int, ...]:
    """Return `step` of each pair; nothing to add costs nothing, which is what most losses without keys have."""
    return a if b is NO_BUCKETS else tuple(map(step, a, b))
