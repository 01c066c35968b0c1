"""The sums of one variant under one revision: all that a decision may rest on, and a little for the screen.

What decides is counted in whole numbers, so `a + b` is exact, does not depend on the order, and equals having seen
all outcomes at once, on whatever partition they came. Only the moments of the predictions, which decide nothing, are
floating point. Knows nothing of topics, revisions or plans.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from operator import add, sub
from typing import Any, TypeVar

import numpy as np

from ..stats.durations import count_above
from ..stats.losses import NO_BUCKETS, Losses
from ..stats.moments import Moments
from ..stats.predictions import NO_PREDICTIONS, PredictionCounts

__all__ = ["KEY_CAP", "OTHER", "Sums", "binned", "segment_name", "smallest_keys"]

KEY_CAP = 2_048
"""Erring keys remembered per sums: 22 kB in base64, so that two variants stay below 64 kB a record."""

ALL_KEYS = 1 << 64
"""The bound of a set of key hashes from which none was dropped: above every hash."""

OTHER = "other"
"""The segment of all values that are not compared by themselves, and of rows without one."""

K = TypeVar("K", str, int)


def segment_name(check: str, value: str) -> str:
    """Return the name under which the losses of a check within one segment are kept."""
    return f"{check}/{value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What one variant did under one revision.

    Evidence (randomised rows of batches that count, and their calls):

    - `rows`; `row_faults`: rows that failed by themselves, by code; `call_fault_rows`: rows lost with their whole
      call, which the call counts, not they;
    - `calls`; `call_faults`: calls that failed whole, by code; `call_ms`: calls per duration bucket;
    - `bucket_rows`, `bucket_faults`: rows and row faults per key bucket, 64 each;
    - `predicted`: rows by what was predicted, where a check asks for it;
    - `features`: rows by feature and bin of its reference, where a check asks for it, of a sample of the rows;
    - `losses`: what checks on labels, fields and segments sum up, by the name of their measure;
    - `fault_keys`: hashes of the keys with a row fault, the `KEY_CAP` smallest; it is complete below `key_bound`
      (exclusive). A bottom-k sketch (Cohen & Kaplan, 2007), so merging keeps it exact.

    Shown only: `other_rows`, rows that are no evidence by reason (`pinned`, `out_of_scope`, `excluded`); `row_ms`,
    rows per latency bucket; `predictions`.

    `a + b` has `Sums()` as identity; `a - b`, for cumulative sums with b earlier than a, is what came between, so
    that `b + (a - b) == a` (its `key_bound` is that of a). Counts of zero are left out of the mappings.
    """

    rows: int = 0
    row_faults: Mapping[str, int] = field(default_factory=dict)
    call_fault_rows: int = 0
    calls: int = 0
    call_faults: Mapping[str, int] = field(default_factory=dict)
    call_ms: Mapping[int, int] = field(default_factory=dict)
    bucket_rows: tuple[int, ...] = NO_BUCKETS
    bucket_faults: tuple[int, ...] = NO_BUCKETS
    fault_keys: frozenset[int] = frozenset()
    key_bound: int = ALL_KEYS
    losses: Mapping[str, Losses] = field(default_factory=dict)
    predicted: PredictionCounts = NO_PREDICTIONS
    features: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    other_rows: Mapping[str, int] = field(default_factory=dict)
    row_ms: Mapping[int, int] = field(default_factory=dict)
    predictions: Moments = field(default_factory=Moments)

    @property
    def row_fault_count(self) -> int:
        """Rows that failed by themselves."""
        return sum(self.row_faults.values())

    @property
    def call_fault_count(self) -> int:
        """Calls that failed whole."""
        return sum(self.call_faults.values())

    @property
    def error_rate(self) -> float:
        """Share of rows without an answer of their variant, for whatever reason; nan without rows."""
        return (self.row_fault_count + self.call_fault_rows) / self.rows if self.rows else math.nan

    @property
    def goes_back(self) -> bool:
        """Whether a count is below zero: as a difference, the later sums have lost something."""
        counts = (self.rows, self.calls, self.call_fault_rows, *self.bucket_rows, *self.bucket_faults,
                  *self.row_faults.values(), *self.call_faults.values(), *self.call_ms.values(),
                  *(losses.n for losses in self.losses.values()),
                  *(count for bins in self.features.values() for count in bins))  # fmt: skip
        return min(counts) < 0 or self.predicted.goes_back

    def calls_slower_than(self, ms: float) -> int:
        """Return the calls above the bucket of `ms`: slower than `ms`, or than up to 2 % more."""
        return count_above(self.call_ms, ms)

    def evidence(self) -> "Sums":
        """Return the sums without what is only shown."""
        return Sums(
            rows=self.rows, row_faults=self.row_faults, call_fault_rows=self.call_fault_rows, calls=self.calls,
            call_faults=self.call_faults, call_ms=self.call_ms, bucket_rows=self.bucket_rows,
            bucket_faults=self.bucket_faults, fault_keys=self.fault_keys, key_bound=self.key_bound,
            losses=self.losses, predicted=self.predicted, features=self.features,
        )  # fmt: skip

    def __add__(self, other: "Sums") -> "Sums":
        keys, bound = smallest_keys(self.fault_keys | other.fault_keys, min(self.key_bound, other.key_bound))
        return combine(self, other, 1, keys, bound, self.predictions + other.predictions)

    def __sub__(self, other: "Sums") -> "Sums":
        keys = self.fault_keys - other.fault_keys
        return combine(self, other, -1, keys, self.key_bound, self.predictions - other.predictions)

    def to_json(self) -> dict[str, Any]:
        """Return a compact JSON object; what is empty is left out.

        At most 32 kB with every erring key that is remembered and durations over three decades.
        """
        shown = {
            "rows": self.rows, "row_faults": dict(self.row_faults), "call_fault_rows": self.call_fault_rows,
            "calls": self.calls, "call_faults": dict(self.call_faults), "call_ms": flat(self.call_ms),
            "bucket_rows": list(self.bucket_rows) if any(self.bucket_rows) else [],
            "bucket_faults": list(self.bucket_faults) if any(self.bucket_faults) else [],
            "fault_keys": packed(self.fault_keys),
            "key_bound": f"{self.key_bound:x}" if self.key_bound != ALL_KEYS else "",
            "losses": {name: losses.to_json() for name, losses in self.losses.items()},
            "predicted": self.predicted.to_json(),
            "features": {name: list(bins) for name, bins in self.features.items()},
            "other_rows": dict(self.other_rows), "row_ms": flat(self.row_ms),
            "predictions": [self.predictions.n, self.predictions.mean, self.predictions.m2]
            if self.predictions.n else [],
        }  # fmt: skip
        return {name: value for name, value in shown.items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Sums":
        """Return the sums that `to_json` wrote; unknown names are ignored."""
        return cls(
            rows=value.get("rows", 0),
            row_faults=value.get("row_faults", {}),
            call_fault_rows=value.get("call_fault_rows", 0),
            calls=value.get("calls", 0),
            call_faults=value.get("call_faults", {}),
            call_ms=paired(value.get("call_ms", [])),
            bucket_rows=tuple(value.get("bucket_rows", NO_BUCKETS)),
            bucket_faults=tuple(value.get("bucket_faults", NO_BUCKETS)),
            fault_keys=unpacked(value.get("fault_keys", "")),
            key_bound=int(value["key_bound"], 16) if "key_bound" in value else ALL_KEYS,
            losses={name: Losses.from_json(losses) for name, losses in value.get("losses", {}).items()},
            predicted=PredictionCounts.from_json(value["predicted"]) if "predicted" in value else NO_PREDICTIONS,
            features={name: tuple(bins) for name, bins in value.get("features", {}).items()},
            other_rows=value.get("other_rows", {}),
            row_ms=paired(value.get("row_ms", [])),
            predictions=Moments(*value.get("predictions", ())),
        )


def combine(a: Sums, b: Sums, sign: int, keys: frozenset[int], bound: int, predictions: Moments) -> Sums:
    """Return a + sign * b in every count."""
    step = add if sign > 0 else sub
    return Sums(
        rows=a.rows + sign * b.rows,
        row_faults=counted(a.row_faults, b.row_faults, sign),
        call_fault_rows=a.call_fault_rows + sign * b.call_fault_rows,
        calls=a.calls + sign * b.calls,
        call_faults=counted(a.call_faults, b.call_faults, sign),
        call_ms=counted(a.call_ms, b.call_ms, sign),
        bucket_rows=tuple(map(step, a.bucket_rows, b.bucket_rows)),
        bucket_faults=tuple(map(step, a.bucket_faults, b.bucket_faults)),
        fault_keys=keys,
        key_bound=bound,
        losses=merged(a.losses, b.losses, sign),
        predicted=step(a.predicted, b.predicted),
        features=binned(a.features, b.features, sign),
        other_rows=counted(a.other_rows, b.other_rows, sign),
        row_ms=counted(a.row_ms, b.row_ms, sign),
        predictions=predictions,
    )


def counted(a: Mapping[K, int], b: Mapping[K, int], sign: int) -> dict[K, int]:
    """Return a + sign * b per name, without the zeros."""
    if not a and not b:
        return {}
    total = {name: a.get(name, 0) + sign * b.get(name, 0) for name in {**a, **b}}
    return {name: count for name, count in total.items() if count}


def binned(a: Mapping[str, tuple[int, ...]], b: Mapping[str, tuple[int, ...]], sign: int) -> dict[str, tuple[int, ...]]:
    """Return a + sign * b per feature and bin, without the features of no rows; bins beyond the end are empty."""
    if not a and not b:
        return {}
    step = add if sign > 0 else sub
    total = {
        name: tuple(step(x, y) for x, y in zip_longest(a.get(name, ()), b.get(name, ()), fillvalue=0))
        for name in {**a, **b}
    }
    return {name: bins for name, bins in total.items() if any(bins)}


def merged(a: Mapping[str, Losses], b: Mapping[str, Losses], sign: int) -> dict[str, Losses]:
    """Return a + sign * b per name, without those of no units."""
    if not a and not b:
        return {}
    nothing = Losses()
    step = add if sign > 0 else sub
    total = {name: step(a.get(name, nothing), b.get(name, nothing)) for name in {**a, **b}}
    return {name: losses for name, losses in total.items() if losses.n}


def smallest_keys(keys: frozenset[int] | set[int], bound: int) -> tuple[frozenset[int], int]:
    """Return the `KEY_CAP` smallest of the hashes below `bound`, and the bound below which they are all."""
    known = frozenset(keys) if bound == ALL_KEYS else frozenset(key for key in keys if key < bound)
    if len(known) <= KEY_CAP:
        return known, bound
    kept = sorted(known)[:KEY_CAP]
    return frozenset(kept), kept[-1] + 1


def flat(counts: Mapping[int, int]) -> list[int]:
    """Return bucket, count, bucket, count and so on, in rising order: shorter than an object."""
    return [number for bucket in sorted(counts) for number in (bucket, counts[bucket])]


def paired(numbers: Sequence[int]) -> dict[int, int]:
    """Return the counts that `flat` wrote."""
    return dict(zip(numbers[::2], numbers[1::2], strict=True))


def packed(keys: frozenset[int]) -> str:
    """Return hashes in rising order, 8 bytes each, as base64."""
    return base64.b64encode(np.array(sorted(keys), dtype="<u8").tobytes()).decode()


def unpacked(text: str) -> frozenset[int]:
    """Return the hashes that `packed` wrote."""
    return frozenset(np.frombuffer(base64.b64decode(text), dtype="<u8").tolist())
