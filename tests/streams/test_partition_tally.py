"""The sums of a partition: every outcome once, whatever is repeated, split, or killed in between."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from coalmine.policies import Clock, Sums, Tally
from coalmine.streams.analysis.evidence import check
from coalmine.streams.analysis.partition_tally import (
    FAR_BACK,
    OPEN_REVISIONS,
    LeanOutcome,
    PartitionTally,
    decode_outcome,
    main_key,
)
from coalmine.streams.wire.codec import encode
from coalmine.streams.wire.messages import Evidence

from .outcome_log import Record, cycle, fresh, log, outcome


def counts(sums: dict[int, dict[str, Sums]]) -> dict[int, dict[str, Sums]]:
    """The whole numbers of the sums; moments are floating point and depend on the order."""
    return {revision: {name: replace(value, predictions=Sums().predictions) for name, value in variants.items()}
            for revision, variants in sums.items()}  # fmt: skip


def truth(records: list[Record]) -> dict[int, dict[str, Sums]]:
    """The sums of the distinct outcomes, computed without PartitionTally."""
    distinct: dict[tuple[str, str], LeanOutcome] = {}
    for record in records:
        item = decode_outcome(record.value or b"")
        distinct.setdefault((item.src, item.mode), item)
    tally = Tally()
    tally.fold(distinct.values())
    return counts(tally.sums())


def test_a_repeated_outcome_counts_once() -> None:
    tally = fresh()

    tally.fold(log(outcome(1), outcome(2), outcome(1), outcome(2), outcome(3)))

    assert tally.sums()[1]["stable"].rows == 3


def test_sources_that_come_again_from_far_below_are_named_with_their_first_offset() -> None:
    tally = fresh()

    tally.fold(log(outcome(FAR_BACK + 9), outcome(9), outcome(FAR_BACK, source=1), outcome(0, source=1)))
    near = dict(tally.far_back)
    tally.fold([Record(4, encode(outcome(3))), Record(5, encode(outcome(4)))])

    assert (near, tally.far_back) == ({}, {"r.requests/0": 3})
    assert tally.sums()[1]["stable"].rows == 2


def test_sources_and_modes_have_their_own_offsets() -> None:
    tally = fresh()

    tally.fold(log(outcome(5), outcome(5, source=1), outcome(5, mode="shadow"), outcome(4)))

    assert tally.sums()[1]["stable"].rows == 2
    assert tally.sums()[1]["shadow"].rows == 1


def test_records_below_the_next_offset_are_left_out() -> None:
    records = log(*[outcome(n) for n in range(10)])
    tally = fresh()

    tally.fold(records[:6])
    tally.fold(records[3:])
    tally.fold(records[:2])

    assert tally.sums()[1]["stable"].rows == 10
    assert tally.next_offset == 10


def test_without_a_record_the_tally_begins_at_the_beginning_of_the_partition() -> None:
    assert PartitionTally(0, {}, beginning=700).next_offset == 700


def test_old_revisions_move_to_records_of_their_own() -> None:
    table: dict[str, bytes] = {}
    tally = fresh(table)

    for record in log(*[outcome(n, revision=n // 3) for n in range(60)]):
        tally.fold([record])
        cycle(tally, table)
        cycle(tally, table)

    assert len([key for key in table if "/" in key]) == 20 - OPEN_REVISIONS
    assert len(table[main_key(0)]) < 4_000
    assert {revision: sums["stable"].rows for revision, sums in tally.sums().items()} == dict.fromkeys(range(20), 3)


def test_a_revision_that_changed_since_its_record_stays() -> None:
    table: dict[str, bytes] = {}
    tally = fresh(table)
    tally.fold(log(*[outcome(n, revision=n) for n in range(6)]))
    tally.main_record()

    tally.fold([Record(6, encode(outcome(6, revision=0)))])
    tally.recorded()
    tally.publication("r", 0, 7)
    tally.published()

    assert tally.closable() == [1]


def test_a_revision_that_was_not_published_stays() -> None:
    tally = fresh()
    tally.fold(log(*[outcome(n, revision=n) for n in range(6)]))
    tally.main_record()
    tally.recorded()

    before = tally.closable()
    tally.publication("r", 0, 6)
    during = tally.closable()
    tally.published()

    assert (before, during, tally.closable()) == ([], [], [0, 1])


@dataclass
class Crashing:
    """A tally over a log whose every write may be the last: it is rebuilt from the table as it then is."""

    records: list[Record]
    table: dict[str, bytes] = field(default_factory=dict)

    def writes(self, tally: PartitionTally) -> Iterator[tuple[str, bytes]]:
        for revision in tally.closable():
            key, value = tally.closed_record(revision)
            yield key, value
            tally.close(revision, key)
        yield main_key(0), tally.main_record()
        tally.recorded()

    def live(self, batches: list[int], writes_before_death: int) -> PartitionTally:
        tally = PartitionTally(0, self.table)
        left = writes_before_death
        for size in batches:
            chunk = self.records[tally.next_offset : tally.next_offset + size]
            if chunk:
                tally.fold(chunk)
            tally.publication("r", 0, tally.next_offset) if tally.sums() else None
            tally.published()
            for key, value in self.writes(tally):
                if left == 0:
                    return tally
                self.table[key] = value
                left -= 1
        return tally


outcomes = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 9), st.integers(0, 1), st.sampled_from(["stable", "canary"])),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(rows=outcomes, lives=st.lists(st.tuples(st.lists(st.integers(1, 9), max_size=12), st.integers(0, 30))))
def test_any_split_and_any_crash_ends_in_the_same_sums(
    rows: list[tuple[int, int, int, str]], lives: list[tuple[list[int], int]]
) -> None:
    ordered = sorted(rows, key=lambda row: row[0])
    records = log(*[outcome(n, revision=rev, source=source, variant=variant) for n, rev, source, variant in ordered])
    run = Crashing(records)

    for batches, writes in lives:
        run.live(batches, writes)
    last = run.live([7] * 20, 10_000)

    assert counts(last.sums()) == truth(records)
    assert counts(PartitionTally(0, run.table).sums()) == truth(records)


def test_a_record_without_its_offset_would_be_caught() -> None:
    records = log(*[outcome(n) for n in range(20)])
    run = Crashing(records)
    run.live([5, 5], 10_000)
    run.table[main_key(0)] = run.table[main_key(0)].replace(b'{"o":10', b'{"o":12')

    assert counts(run.live([20], 10_000).sums()) != truth(records)


def test_a_publication_holds_what_changed_and_says_how_much_that_is() -> None:
    tally = fresh()
    tally.fold(log(outcome(1, ts=50), outcome(2, revision=2, ts=40)))
    tally.publication("r", 0, 2)

    tally.fold([Record(2, encode(outcome(3, revision=2, ts=60)))])
    (record,) = tally.publication("r", 1_000, 12)

    assert (record.revision, record.offset, record.of, record.ts, record.lag) == (2, 3, 1, 60, 9)
    assert Sums.from_json(record.sums["stable"]).rows == 2


def test_every_publication_is_evidence_that_a_judge_accepts() -> None:
    tally = fresh()
    tally.fold(log(*[outcome(n, variant="canary", fault=n % 3 == 0, ts=n) for n in range(3_000)]))

    (record,) = tally.publication("r", 0, 3_000)

    check(msgspec.json.decode(encode(record), type=Evidence))
    assert Sums.from_json(record.sums["canary"]).row_fault_count == 1_000


def test_after_a_restart_all_open_revisions_are_published_again() -> None:
    table: dict[str, bytes] = {}
    tally = fresh(table)
    tally.fold(log(outcome(1), outcome(2, revision=2)))
    cycle(tally, table)

    records = PartitionTally(0, table).publication("r", 0, 2)

    assert [(record.revision, record.of) for record in records] == [(1, 2), (2, 2)]


def test_an_offset_that_moved_alone_is_published_with_the_newest_revision() -> None:
    tally = fresh()
    tally.fold(log(outcome(1), outcome(2, revision=2)))
    tally.publication("r", 0, 2)

    tally.fold([Record(2, encode(outcome(1)))])
    (record,) = tally.publication("r", 1_000, 3)

    assert (record.revision, record.offset) == (2, 3)


def test_nothing_is_due_without_change_or_before_the_interval() -> None:
    tally = fresh()
    nothing = tally.is_due(10_000, 1_000, Clock.WALL)
    tally.fold(log(outcome(1)))
    tally.publication("r", 10_000, 1)
    unchanged = tally.is_due(99_000, 1_000, Clock.WALL)
    tally.fold([Record(1, encode(outcome(2)))])

    assert (nothing, unchanged) == (False, False)
    assert [tally.is_due(now, 1_000, Clock.WALL) for now in (10_999, 11_000)] == [False, True]


def test_the_first_sums_are_due_at_once_however_young_the_clock_is() -> None:
    tally = fresh()
    tally.fold(log(outcome(1)))

    assert tally.is_due(5, 3_600_000, Clock.WALL)


def test_under_the_clock_of_events_their_time_makes_sums_due() -> None:
    tally = fresh()
    tally.fold(log(outcome(1, ts=100_000)))
    tally.publication("r", 10_000, 1)

    tally.fold([Record(1, encode(outcome(2, ts=109_999)))])
    early = tally.is_due(10_100, 10_000, Clock.EVENT)
    tally.fold([Record(2, encode(outcome(3, ts=110_000)))])

    assert (early, tally.is_due(10_100, 10_000, Clock.EVENT)) == (False, True)
