"""The sums of one partition of `outcomes`, together with the offsets they include. Pure: no Kafka, no clock.

The record of a partition is the truth about it: the next offset to read, the highest request offset counted per
source, and the sums of the open revisions, all in one value. Whoever takes up that value and reads on from its offset
ends with the sums of all outcomes, each counted once, whatever was killed in between.

Revisions come and go; the record must stay small. So a revision that is neither among the newest nor has changed
since it was last in a confirmed record moves to a record of its own, which the main record names from then on. A
late outcome opens it again from there. A record of its own is never written twice under the same name, so that a
process that lost its partition and does not know it yet cannot spoil the sums of its heir.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec

from coalmine.policies import KEY_BUCKETS, NOTHING_MORE, Clock, Counting, Sums, Tally

from ..wire.messages import Call, Evidence, FeatureCounts

__all__ = ["OPEN_REVISIONS", "Consumed", "PartitionTally", "closed_key", "main_key", "parsed"]

OPEN_REVISIONS = 4
"""The newest revisions stay in the main record: stragglers of a step are normal, those of four steps ago are not."""

EVENT_PUBLISH_MS = 1_000
"""With the events' clock sums are also published once a second of real time, or slow topics would show nothing."""

UNSEEN = -1
"""Below every offset."""

FAR_BACK = 100_000
"""A repetition this far below the highest offset is none of a restart, which repeats a second or two of traffic."""

MAX_OFFSET = 2**63 - 1
"""Kafka's offsets have 64 bits; a number beyond could not be kept in the record."""

MAX_TIME_MS = 253_402_300_799_999
"""The end of the year 9999: later than every time there is a date for."""


class Consumed(Protocol):
    """What is read of a consumed record; `intake.Record` is one."""

    @property
    def offset(self) -> int:
        """Where the record stands."""
        ...

    @property
    def value(self) -> bytes | None:
        """Its bytes."""
        ...


class Records(Protocol):
    """The records of before, by key; a dict is one."""

    def get(self, key: str, /) -> bytes | None:
        """Return the value at `key`, None without one."""


class LeanOutcome(msgspec.Struct, gc=False):
    """The fields of `messages.Outcome` that are counted; decoding the rest would cost four times as much.

    What could not be counted has no place in these types: one such record would stop every tally that reads it, the
    next one as well. A pattern for `key_hash` would double the cost of rows with a fault; `checked_source` sees to it.
    """

    src: str
    variant: Literal["stable", "canary", "shadow"]
    mode: Literal["live", "shadow"]
    ok: bool
    latency_ms: float
    ts: Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]
    revision: Annotated[int, msgspec.Meta(ge=0, le=MAX_OFFSET)]
    bucket: Annotated[int, msgspec.Meta(ge=0, lt=KEY_BUCKETS)]
    prediction: float | str | list[float] | None = None
    error_code: str | None = None
    cohort: Literal["pinned", "out_of_scope"] | None = None
    evidence: bool = True
    by_call: bool = False
    call: Call | None = None
    key_hash: Annotated[str, msgspec.Meta(max_length=16)] | None = None
    segment: dict[str, str] | None = None
    features: FeatureCounts | None = None
    v: Literal[1] = 1


def checked_source(outcome: LeanOutcome) -> tuple[str, int]:
    """Return topic/partition and offset of the request; raise ValueError if they, or the hash of its key, are none."""
    source, _, offset_text = outcome.src.rpartition("@")
    offset = int(offset_text)
    if not 0 <= offset <= MAX_OFFSET or (outcome.key_hash is not None and int(outcome.key_hash, 16) < 0):
        raise ValueError("a number beyond its bounds")
    return source, offset


class MainRecord(msgspec.Struct, omit_defaults=True):
    """The record of a partition.

    `o` is the next offset, `ts` the highest event time (ms), `src` {mode: {topic/partition: highest offset}}, `sums`
    {revision: {variant: sums}} of the open revisions, `closed` {revision: offset in the key of its own record}.
    """

    o: int
    ts: int = 0
    src: dict[str, dict[str, int]] = {}
    sums: dict[int, dict[str, dict[str, Any]]] = {}
    closed: dict[int, int] = {}


decode_outcome = msgspec.json.Decoder(LeanOutcome).decode
decode_main = msgspec.json.Decoder(MainRecord).decode
decode_closed = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode
encode = msgspec.json.Encoder().encode


def main_key(partition: int) -> str:
    """Return the key of a partition's record in the table."""
    return str(partition)


def closed_key(partition: int, revision: int, offset: int) -> str:
    """Return the key of the record of a closed revision, as of `offset`."""
    return f"{partition}/{revision}/{offset}"


class PartitionTally:
    """Folds the outcomes of one partition. `table` is only read: the records of before.

    Attributes: `next_offset`, the next offset to read; `ts`, the highest event time (ms) folded; `unreadable`, how
    many records were no outcomes since the start; `far_back`, the sources whose requests came again from far below
    the highest offset, each with the first such offset: someone reads them again, or the topic was made anew.
    """

    def __init__(self, partition: int, table: Records, beginning: int = 0) -> None:
        """Go on from the table's record; without one, start at `beginning` with nothing."""
        self.partition = partition
        self.unreadable = 0
        self.far_back: dict[str, int] = {}
        self._table = table
        stored = table.get(main_key(partition))
        record = decode_main(stored) if stored else MainRecord(o=beginning)
        self.next_offset = record.o
        self.ts = record.ts
        self._highest = record.src
        self._closed = record.closed
        sums = {revision: parsed(variants) for revision, variants in record.sums.items()}
        self._tally = Tally.of(sums)
        self._open = set(sums)
        self._recorded = set(sums)
        self._recording: set[int] = set()
        self._unpublished = set(sums)
        self._publishing: set[int] = set()
        self._written_offset = self.next_offset
        self._published_offset = UNSEEN
        self._published_at_ms = -math.inf
        self._published_ts = 0

    def fold(self, records: Sequence[Consumed], counting: Counting = NOTHING_MORE) -> None:
        """Count the outcomes of records in offset order; what was read before or is a repetition is left out.

        `counting` is that of `Tally.fold`. A record that is no outcome is passed over and counted in `unreadable`.
        """
        if records[0].offset < self.next_offset:
            records = [record for record in records if record.offset >= self.next_offset]
            if not records:
                return
        new = self._first_of_each(self._readable(records))
        self.next_offset = records[-1].offset + 1
        if not new:
            return
        revisions = {outcome.revision for outcome in new}
        for revision in revisions - self._open:
            self._reopen(revision)
        self._tally.fold(new, counting)
        self.ts = max(self.ts, max(outcome.ts for outcome in new))
        self._recorded -= revisions
        self._recording -= revisions
        self._unpublished |= revisions

    def _readable(self, records: Iterable[Consumed]) -> Iterable[LeanOutcome]:
        outcomes = []
        for record in records:
            try:
                outcomes.append(decode_outcome(record.value or b""))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.unreadable += 1
        return outcomes

    def _first_of_each(self, outcomes: Iterable[LeanOutcome]) -> list[LeanOutcome]:
        """Leave out repetitions: the outcomes of a request partition come in the order of its offsets."""
        new = []
        for outcome in outcomes:
            try:
                source, offset = checked_source(outcome)
            except ValueError:
                self.unreadable += 1
                continue
            highest = self._highest.get(outcome.mode)
            if highest is None:
                highest = self._highest[outcome.mode] = {}
            if offset > highest.get(source, UNSEEN):
                highest[source] = offset
                new.append(outcome)
            elif offset < highest[source] - FAR_BACK:
                self.far_back.setdefault(source, offset)
        return new

    def _reopen(self, revision: int) -> None:
        self._open.add(revision)
        offset = self._closed.pop(revision, None)
        if offset is None:
            return
        self._tally = Tally.of({**self._tally.sums(), revision: self._closed_sums(revision, offset)})

    def _closed_sums(self, revision: int, offset: int) -> dict[str, Sums]:
        stored = self._table.get(closed_key(self.partition, revision, offset))
        assert stored is not None, "a main record names only records that were confirmed before it was written"
        return parsed(decode_closed(stored))

    @property
    def has_news(self) -> bool:
        """Whether the main record would differ from the last one written."""
        return self.next_offset != self._written_offset

    def main_record(self) -> bytes:
        """Return the value of the partition's record now, to be written; `recorded` says that it was."""
        sums = self._tally.sums()
        self._written_offset = self.next_offset
        self._recording = set(self._open)
        shown = {revision: {name: value.to_json() for name, value in variants.items()}
                 for revision, variants in sums.items()}  # fmt: skip
        return encode(MainRecord(self.next_offset, self.ts, self._highest, shown, self._closed))

    def recorded(self) -> None:
        """Note that the last main record is in the changelog."""
        self._recorded = self._recording & self._open

    def closable(self) -> list[int]:
        """Return the revisions that may move out: old, published, and unchanged since the last confirmed record."""
        newest = sorted(self._open)[-OPEN_REVISIONS:]
        return sorted(self._recorded - set(newest) - self._unpublished - self._publishing)

    def closed_record(self, revision: int) -> tuple[str, bytes]:
        """Return key and value of the record of a revision that moves out, as of now."""
        variants = self._tally.sums()[revision]
        value = encode({name: sums.to_json() for name, sums in variants.items()})
        return closed_key(self.partition, revision, self.next_offset), value

    def close(self, revision: int, key: str) -> None:
        """Forget a revision whose own record `key` is in the changelog; not if it changed in between."""
        if revision not in self.closable():
            return
        self._closed[revision] = int(key.rpartition("/")[2])
        self._open.discard(revision)
        self._recorded.discard(revision)
        self._tally.drop(revision)
        self._written_offset = UNSEEN

    def is_due(self, now_ms: int, every_ms: int, clock: Clock) -> bool:
        """Tell whether the sums are to be published: they changed, and a look's interval has passed since.

        `now_ms` is that of `publication`, of a clock that never goes back; where it begins does not matter.
        """
        if self.next_offset == self._published_offset or not self._open:
            return False
        waited = now_ms - self._published_at_ms
        if clock is Clock.WALL:
            return waited >= every_ms
        return self.ts - self._published_ts >= every_ms or waited >= EVENT_PUBLISH_MS

    def publication(self, rollout: str, now_ms: int, end_offset: int) -> list[Evidence]:
        """Return the records of the revisions that changed, one group; of the newest revision if only the offset did.

        `end_offset` is that of the partition of `outcomes`.
        """
        revisions = sorted(self._unpublished) or [max(self._open)]
        sums = self._tally.sums()
        lag = max(0, end_offset - self.next_offset)
        self._publishing = set(revisions)
        self._unpublished.clear()
        self._published_offset, self._published_at_ms, self._published_ts = self.next_offset, now_ms, self.ts
        return [
            Evidence(
                rollout=rollout, revision=revision, partition=self.partition, offset=self.next_offset, ts=self.ts,
                sums={name: value.to_json() for name, value in sums[revision].items()}, lag=lag, of=len(revisions),
            )
            for revision in revisions
        ]  # fmt: skip

    def published(self) -> None:
        """Note that the last publication was delivered."""
        self._publishing.clear()

    def sums(self) -> dict[int, dict[str, Sums]]:
        """Return the sums of all revisions, closed ones included, {revision: {variant: sums}}."""
        closed = {revision: self._closed_sums(revision, offset) for revision, offset in self._closed.items()}
        return {**closed, **self._tally.sums()}


def parsed(variants: Mapping[str, Mapping[str, Any]]) -> dict[str, Sums]:
    """Return the sums of a revision from their JSON form."""
    return {name: Sums.from_json(value) for name, value in variants.items()}
