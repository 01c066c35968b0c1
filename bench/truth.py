"""The sums that an analyzer should have, recounted from the outcomes topic by other code than the analyzer's.

An outcome counts once, however often it was written: the first one of a request and mode on its partition. Only the
JSON form of published sums is read by the product's own function: the wire is not what is doubted here.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from coalmine.policies import KEY_BUCKETS, Sums

from .columns import place_of

__all__ = ["Book", "Group", "differences", "published"]

Group = tuple[int, int, str]
"""Revision, partition of the outcomes topic, variant."""


class Call(msgspec.Struct):
    """One model call as its first row tells it."""

    rows: int
    ms: float
    fault: str | None = None


class Row(msgspec.Struct):
    """What of an outcome is counted."""

    src: str
    variant: str
    mode: str
    ok: bool
    revision: int
    bucket: int
    prediction: float | None = None
    error_code: str | None = None
    cohort: str | None = None
    evidence: bool = True
    by_call: bool = False
    call: Call | None = None


@dataclass
class Count:
    """Counts of one group, as plain as they can be."""

    rows: int = 0
    row_faults: Counter[str] = field(default_factory=Counter)
    call_fault_rows: int = 0
    calls: int = 0
    call_faults: Counter[str] = field(default_factory=Counter)
    bucket_rows: Counter[int] = field(default_factory=Counter)
    bucket_faults: Counter[int] = field(default_factory=Counter)
    other_rows: Counter[str] = field(default_factory=Counter)
    predictions: list[float] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Count one outcome."""
        if row.cohort is not None or not row.evidence:
            self.other_rows[row.cohort or "excluded"] += 1
            return
        self.rows += 1
        self.bucket_rows[row.bucket] += 1
        if row.prediction is not None:
            self.predictions.append(row.prediction)
        if row.call is not None:
            self.calls += 1
            self.call_faults.update([row.call.fault] if row.call.fault else [])
        if not row.ok and row.by_call:
            self.call_fault_rows += 1
        elif not row.ok:
            self.row_faults[row.error_code or ""] += 1
            self.bucket_faults[row.bucket] += 1


class Book:
    """Outcomes of a topic, each counted once."""

    def __init__(self) -> None:
        self.counts: dict[Group, Count] = {}
        self.repeated = 0
        self._seen: set[tuple[int, str, int]] = set()
        self._decode = msgspec.json.Decoder(Row).decode

    def add(self, partition: int, values: Iterable[bytes]) -> None:
        """Count outcomes of one partition, in offset order."""
        for row in map(self._decode, values):
            once = (partition, row.mode, place_of(row.src))
            if once in self._seen:
                self.repeated += 1
                continue
            self._seen.add(once)
            variant = "shadow" if row.mode == "shadow" else row.variant
            self.counts.setdefault((row.revision, partition, variant), Count()).add(row)


def published(values: Iterable[bytes]) -> tuple[dict[Group, Sums], dict[int, int]]:
    """Return the newest sums on the evidence topic by group, and how far each partition is."""
    newest: dict[tuple[int, int], dict[str, Any]] = {}
    offsets: dict[int, int] = {}
    for value in values:
        record = msgspec.json.decode(value)
        place = (record["revision"], record["partition"])
        if place not in newest or record["offset"] >= newest[place]["offset"]:
            newest[place] = record
        offsets[place[1]] = max(offsets.get(place[1], 0), record["offset"])
    sums = {
        (*place, variant): Sums.from_json(found)
        for place, record in newest.items()
        for variant, found in record["sums"].items()
    }
    return sums, offsets


def differences(truth: Mapping[Group, Count], sums: Mapping[Group, Sums]) -> list[str]:
    """Return, in words, every count that is not as it should be."""
    found = [f"{group}: published, but there are no such outcomes" for group in sums.keys() - truth.keys()]
    for group, count in sorted(truth.items()):
        for name, due, is_there in compared(count, sums.get(group, Sums())):
            if due != is_there:
                found.append(f"{group}: {name} should be {due}, is {is_there}")
    return found


def compared(count: Count, sums: Sums) -> Iterable[tuple[str, Any, Any]]:
    """Yield name, value due and value published of each count of a group."""
    for name in ("rows", "row_faults", "call_fault_rows", "calls", "call_faults", "other_rows"):
        yield name, getattr(count, name), getattr(sums, name)
    yield "bucket_rows", [count.bucket_rows[i] for i in range(KEY_BUCKETS)], list(sums.bucket_rows)
    yield "bucket_faults", [count.bucket_faults[i] for i in range(KEY_BUCKETS)], list(sums.bucket_faults)
    yield "durations", count.calls, sum(sums.call_ms.values())
    n, mean = sums.predictions.n, sums.predictions.mean
    yield "predictions", len(count.predictions), n
    yield "mean prediction is right", True, not n or math.isclose(mean, math.fsum(count.predictions) / n, rel_tol=1e-9)
