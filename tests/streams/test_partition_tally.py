"""The sums of a partition: every outcome once, whatever is repeated, split, or killed in between."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import msgspec
import pytest
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
from coalmine.streams.wire.messages import Call, Evidence, Outcome


@dataclass(frozen=True, slots=True)
class Record:
    offset: int
    value: bytes | None


def outcome(source_offset: int, *, revision: int = 1, source: int = 0, mode: str = "live", variant: str = "stable",
            ts: int = 0, fault: bool = False) -> Outcome:  # fmt: skip
    result = Outcome(
        id=f"{source}-{source_offset}", src=f"r.requests/{source}@{source_offset}", rollout="r", variant=variant,
        model_version="1", mode=mode, ok=not fault, latency_ms=1.0 + source_offset % 7, ts=ts, revision=revision,
        u=0, bucket=source_offset % 64, prediction=0.5, call=Call(1, 2.0),
    )  # fmt: skip
    if fault:
        result.error_code, result.key_hash = "model_error", f"{source_offset:016x}"
    return result


def log(*outcomes: Outcome | bytes | None) -> list[Record]:
    values = [encode(item) if isinstance(item, Outcome) else item for item in outcomes]
    return [Record(offset, value) for offset, value in enumerate(values)]


def fresh(table: dict[str, bytes] | None = None) -> PartitionTally:
    return PartitionTally(0, {} if table is None else table)


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


@pytest.mark.parametrize("poison", [None, b"", b"not json", b"[" * 5_000, b"\xff\xfe", b'{"src": 1}'])
def test_what_is_no_outcome_is_passed_over_and_counted(poison: bytes | None) -> None:
    tally = fresh()

    tally.fold(log(outcome(1), poison, outcome(2)))

    assert tally.sums()[1]["stable"].rows == 2
    assert (tally.unreadable, tally.next_offset) == (1, 3)


POISON: list[dict[str, object]] = [
    {"bucket": 64},
    {"bucket": -1},
    {"variant": "foo"},
    {"mode": "x"},
    {"cohort": "y"},
    {"ts": -1},
    {"ts": 10**30},
    {"revision": -1},
    {"revision": 10**30},
    {"ok": False, "key_hash": "zz"},
    {"ok": False, "key_hash": "-000000000000001"},
    {"ok": False, "key_hash": "0" * 17},
    {"src": f"r.requests/0@{10**30}"},
    {"src": "r.requests/0@-1"},
    {"src": "nobody/7@-1"},
    {"v": 2},
    {"prediction": 10**400},
]


@pytest.mark.parametrize("poison", POISON, ids=str)
def test_an_outcome_that_cannot_be_counted_is_left_out_for_ever(poison: dict[str, object]) -> None:
    table: dict[str, bytes] = {}
    tally = fresh(table)
    value = json.dumps({**msgspec.json.decode(encode(outcome(2))), **poison}).encode()

    tally.fold(log(outcome(1), value, outcome(3)))
    cycle(tally, table)

    assert (tally.unreadable, tally.next_offset) == (1, 3)
    assert PartitionTally(0, table).sums()[1]["stable"].rows == 2


ODD = [None, True, False, 0, -1, 1, 63, 2**53, 2**64, 10**30, -0.5, 1e308, "", "-1", "canary", "shadow", "0" * 16,
       "x@-1", [], [1], ["a", None], {}, {"a": "b"}, {"rows": 1, "ms": 1.0}, {"a": [1, 2]}, {"a": [-1]}]  # fmt: skip
SOURCES = ["r.requests/0", "r.requests/1", "new/7", ""]


def damaged(rng: random.Random) -> bytes:
    """Return an outcome in which a few fields hold what they should not, or may."""
    fields = {name: rng.choice(ODD) for name in rng.sample(LeanOutcome.__struct_fields__, rng.randint(0, 2))}
    if rng.random() < 0.5:
        fields["src"] = f"{rng.choice(SOURCES)}@{rng.choice(ODD)}"
    return json.dumps({**msgspec.json.decode(encode(outcome(2, fault=True))), **fields}).encode()


def test_no_damaged_outcome_ends_a_tally_or_the_one_after_it() -> None:
    rng = random.Random(1)
    for _ in range(5_000):
        table: dict[str, bytes] = {}
        tally = fresh(table)
        tally.fold(log(outcome(1), damaged(rng), damaged(rng)))
        cycle(tally, table)
        again = PartitionTally(0, table)
        again.fold([Record(3, damaged(rng))])
        cycle(again, table)

        assert PartitionTally(0, table).next_offset == 4


@pytest.mark.parametrize("prediction", [1e308, -1e200, 1e155])
def test_a_prediction_of_any_size_is_counted_and_survives_a_restart(prediction: float) -> None:
    table: dict[str, bytes] = {}
    odd = outcome(2)
    odd.prediction = prediction

    tally = fresh(table)
    tally.fold(log(outcome(1), odd, outcome(3)))
    cycle(tally, table)
    again = PartitionTally(0, table)
    again.fold([Record(3, encode(outcome(4)))])

    sums = again.sums()[1]["stable"]
    assert (sums.rows, sums.predictions.n, sums.predictions.mean) == (4, 3, 0.5)


def test_an_outcome_without_a_source_offset_is_unreadable() -> None:
    odd = outcome(1)
    odd.src = "somewhere"
    tally = fresh()

    tally.fold(log(odd))

    assert (tally.unreadable, tally.sums()) == (1, {})


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


def cycle(tally: PartitionTally, table: dict[str, bytes]) -> None:
    """Write the records as the keeper does: own records first, then the main one."""
    for revision in tally.closable():
        key, value = tally.closed_record(revision)
        table[key] = value
        tally.close(revision, key)
    table[main_key(0)] = tally.main_record()
    tally.recorded()
    tally.publication("r", 0, tally.next_offset)
    tally.published()


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
