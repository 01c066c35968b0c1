"""What the tallies have said of one rollout, merged. Pure: no clock, no topics, no statistics.

Evidence records are cumulative sums of one revision on one partition of `outcomes`. They may come twice, late or
out of order: after a crash a tally goes on at its table's offset and says older sums again. So the record with the
highest offset counts, per revision and partition.

One publication of a partition is a group of records with the same offset, one for each revision that changed. A
group is taken whole or not at all: else a look would name an offset that only some of its sums include. What a
group left open (its tally died, or compaction took a record that was superseded) is taken with the next whole one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Annotated, Literal

import msgspec

from coalmine.errors import DecodeError
from coalmine.policies import KEY_BUCKETS, LOSS_UNIT, Losses, Sums

from ..wire.messages import Evidence, RequestCode

__all__ = ["QUIET_ROUNDS", "EndOffsets", "Gathered", "check", "lagging"]

QUIET_ROUNDS = 3
"""A partition that said nothing while another one published this often has no traffic and holds up no time."""

LAG_LOOKS = 3
"""Outcomes that were there this many looks ago and are still not in the sums make their partition late."""

LEAST_PAUSE_MS = 1_000
"""Looks nearer to each other than this count as one for lateness: sums need a moment from the tally to the judge."""

HIGHEST = 2**62
"""Above every offset, time, revision and count there is; what the checks of integers can bear."""

Count = Annotated[int, msgspec.Meta(ge=0, le=HIGHEST)]
PerBucket = Annotated[list[Count], msgspec.Meta(min_length=KEY_BUCKETS, max_length=KEY_BUCKETS)]


class LossesShape(msgspec.Struct):
    """The JSON form of `policies.Losses`."""

    n: Count
    total: Count
    squares: Count
    bucket_n: PerBucket | None = None
    bucket_total: PerBucket | None = None


class PredictedShape(msgspec.Struct):
    """The JSON form of `policies.PredictionCounts`."""

    classes: dict[str, Count] = {}
    cells: str = ""
    other: Count = 0


class SumsShape(msgspec.Struct):
    """The JSON form of `policies.Sums`, for checking; what is empty is absent."""

    rows: Count = 0
    row_faults: dict[str, Count] = {}
    call_fault_rows: Count = 0
    calls: Count = 0
    call_faults: dict[str, Count] = {}
    call_ms: list[Count] = []
    bucket_rows: PerBucket | None = None
    bucket_faults: PerBucket | None = None
    fault_keys: str | None = None
    key_bound: Annotated[str, msgspec.Meta(max_length=17)] | None = None
    losses: dict[str, LossesShape] = {}
    predicted: PredictedShape | None = None
    features: dict[str, list[Count]] = {}
    other_rows: dict[str, Count] = {}
    row_ms: list[Count] = []
    predictions: Annotated[list[float], msgspec.Meta(min_length=3, max_length=3)] | None = None


Variants = dict[Literal["stable", "canary", "shadow"], SumsShape]


def check(record: Evidence) -> None:
    """Raise DecodeError for a record that a judge could not count with: no tally has written it."""
    numbers = (record.revision, record.partition, record.offset, record.ts, record.lag, record.of)
    if not all(0 <= number <= HIGHEST for number in numbers):
        raise DecodeError(RequestCode.OUT_OF_RANGE.value, "a number is out of its range")
    try:
        msgspec.convert(record.sums, Variants)
        sums = [Sums.from_json(value) for value in record.sums.values()]
    except (msgspec.ValidationError, ValueError) as error:
        raise DecodeError(RequestCode.BAD_TYPE.value, f"these are no sums: {error}") from error
    if not all(map(adds_up, sums)):
        raise DecodeError(RequestCode.OUT_OF_RANGE.value, "more failed than there was")


def adds_up(sums: Sums) -> bool:
    """Tell whether no part is larger than its whole."""
    timed = sum(sums.call_ms.values())
    counted = sums.row_fault_count + sums.call_fault_rows <= sums.rows and sums.predicted.n <= sums.rows
    return counted and max(sums.call_fault_count, timed) <= sums.calls and all(map(are_bounded, sums.losses.values()))


def are_bounded(losses: Losses) -> bool:
    """Tell whether no loss is beyond its range, which bounds their squares too."""
    return losses.total <= losses.n * LOSS_UNIT and losses.squares <= losses.total * LOSS_UNIT


PLACE: Callable[[tuple[tuple[int, int], Evidence]], tuple[int, int]] = itemgetter(0)
"""The revision and partition of an item of `newest`."""


@dataclass(slots=True)
class Progress:
    """How far one partition is: next offset, highest event time (ms), unread records, publications so far.

    `heard` is how often each other partition had published when this one last did.
    """

    offset: int = 0
    ts: int = 0
    lag: int = 0
    published: int = 0
    heard: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Gathered:
    """The evidence of one rollout, newest sums per revision and partition."""

    newest: dict[tuple[int, int], Evidence] = field(default_factory=dict)
    open_groups: dict[int, dict[int, dict[int, Evidence]]] = field(default_factory=dict)
    progress: dict[int, Progress] = field(default_factory=dict)

    def add(self, record: Evidence) -> bool:
        """Take one record; tell whether it completed a group, that is, whether anything may have changed."""
        groups = self.open_groups.setdefault(record.partition, {})
        group = groups.setdefault(record.offset, {})
        group[record.revision] = record
        if len(group) < max(member.of for member in group.values()):
            return False
        for offset in sorted(offset for offset in groups if offset <= record.offset):
            for member in groups.pop(offset).values():
                self._take(member)
        self._note_publication(record)
        return True

    def _take(self, record: Evidence) -> None:
        place = (record.revision, record.partition)
        known = self.newest.get(place)
        if known is None or record.offset > known.offset:
            self.newest[place] = record

    def _note_publication(self, record: Evidence) -> None:
        at = self.progress.setdefault(record.partition, Progress())
        if at.published and record.offset <= at.offset:
            return
        at.offset, at.lag = record.offset, record.lag
        at.ts = max(at.ts, record.ts)
        at.published += 1
        at.heard = {partition: other.published for partition, other in self.progress.items()}

    def offsets(self) -> dict[int, int]:
        """Return the next offset of each partition whose outcomes are in the sums."""
        return {partition: at.offset for partition, at in sorted(self.progress.items())}

    def event_time(self) -> int | None:
        """Return the lowest, over partitions with traffic, of the highest event time (ms); None without evidence."""
        busy = [at.ts for partition, at in self.progress.items() if not self._is_quiet(partition, at)]
        return min(busy, default=None)

    def latest_time(self) -> int | None:
        """Return the highest event time (ms) of all partitions; None without evidence."""
        return max((at.ts for at in self.progress.values()), default=None)

    def _is_quiet(self, partition: int, at: Progress) -> bool:
        if at.lag > 0:
            return False
        return any(
            other.published - at.heard.get(neighbour, 0) >= QUIET_ROUNDS
            for neighbour, other in self.progress.items()
            if neighbour != partition
        )

    def of_revisions(self, first: int, last: int) -> list[Evidence]:
        """Return the newest records of the revisions from `first` to `last`, by revision and partition."""
        return [record for (revision, _), record in sorted(self.newest.items(), key=PLACE) if first <= revision <= last]

    def forget_before(self, revision: int) -> None:
        """Drop the sums of older revisions; what their records said about the progress of partitions stays."""
        for place in [place for place in self.newest if place[0] < revision]:
            del self.newest[place]


@dataclass(frozen=True, slots=True)
class EndOffsets:
    """Where each partition of `outcomes` ended at the times of the last looks, oldest first: (time in ms, ends)."""

    seen: tuple[tuple[int, Mapping[int, int]], ...] = ()

    def after(self, wall_ms: int, ends: Mapping[int, int]) -> "EndOffsets":
        """Return the memory with the end offsets at a look; of looks in quick succession one a second counts.

        A clock that was set back has not made a look a quick successor of one that seems to lie ahead.
        """
        if self.seen and 0 <= wall_ms - self.seen[-1][0] < LEAST_PAUSE_MS:
            return self
        return EndOffsets((*self.seen, (wall_ms, ends))[-(LAG_LOOKS + 1) :])


def lagging(included: Mapping[int, int], ends: EndOffsets) -> frozenset[int]:
    """Return the partitions whose sums miss outcomes that were already there three looks ago.

    `included` is the next offset of each partition at this look, the last one `ends` remembers. A partition at
    offset 0 with nothing in it is not late.
    """
    if len(ends.seen) <= LAG_LOOKS:
        return frozenset()
    _, then = ends.seen[0]
    return frozenset(partition for partition, end in then.items() if included.get(partition, 0) < end)
