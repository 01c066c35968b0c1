"""Merging evidence: cumulative, idempotent, in whole groups; event time; late partitions."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.streams.analysis.evidence import QUIET_ROUNDS, EndOffsets, Gathered, lagging
from coalmine.streams.wire.messages import Evidence


def evidence(revision: int, partition: int, offset: int, *, ts: int = 0, of: int = 1, lag: int = 0) -> Evidence:
    sums = {"stable": {"rows": offset * 10 + revision}}
    return Evidence(
        rollout="r", revision=revision, partition=partition, offset=offset, ts=ts, sums=sums, of=of, lag=lag
    )


def gathered(*records: Evidence) -> Gathered:
    result = Gathered()
    for record in records:
        result.add(record)
    return result


def rows(book: Gathered, revision: int) -> list[int]:
    return [record.sums["stable"]["rows"] for record in book.of_revisions(revision, revision)]


def test_the_record_with_the_highest_offset_counts_whatever_the_order() -> None:
    records = [evidence(1, 0, 10), evidence(1, 0, 30), evidence(1, 0, 20)]

    seen = {tuple(rows(gathered(*order), 1)) for order in permutations(records)}

    assert seen == {(301,)}


@given(st.lists(st.integers(0, 5), min_size=1), st.integers(0, 3))
def test_a_record_that_comes_again_changes_nothing(offsets: list[int], again: int) -> None:
    records = [evidence(1, 0, offset) for offset in offsets]

    once = gathered(*records)
    repeated = gathered(*records, records[again % len(records)], *records)

    assert repeated.newest == once.newest
    assert repeated.offsets() == once.offsets()


def test_partitions_and_revisions_are_kept_apart() -> None:
    book = gathered(evidence(1, 0, 10), evidence(1, 1, 20), evidence(2, 0, 30))

    assert rows(book, 1) == [101, 201]
    assert rows(book, 2) == [302]
    assert book.offsets() == {0: 30, 1: 20}


def test_forgotten_revisions_leave_the_progress_of_their_partitions() -> None:
    book = gathered(evidence(1, 0, 10, ts=5), evidence(2, 0, 30, ts=7))

    book.forget_before(2)

    assert (rows(book, 1), rows(book, 2)) == ([], [302])
    assert (book.offsets(), book.event_time()) == ({0: 30}, 7)


def test_half_a_group_is_not_taken() -> None:
    book = gathered(evidence(1, 0, 10), evidence(2, 0, 10))

    changed = book.add(evidence(1, 0, 50, of=2))

    assert not changed
    assert rows(book, 1) == [101]
    assert book.offsets() == {0: 10}


def test_a_whole_group_is_taken_at_once() -> None:
    book = gathered(evidence(1, 0, 50, of=2))

    changed = book.add(evidence(2, 0, 50, of=2))

    assert changed
    assert (rows(book, 1), rows(book, 2)) == ([501], [502])


def test_groups_of_two_writers_may_interleave() -> None:
    zombie = [evidence(3, 0, 100, of=2), evidence(4, 0, 100, of=2)]
    heir = [evidence(3, 0, 120, of=2), evidence(4, 0, 120, of=2)]

    book = gathered(zombie[0], heir[0], zombie[1], heir[1])

    assert (rows(book, 3), rows(book, 4)) == ([1203], [1204])


def test_what_compaction_left_of_a_group_is_taken_with_the_next_whole_one() -> None:
    rest_of_old_group = evidence(2, 0, 100, of=2)

    book = gathered(rest_of_old_group, evidence(3, 0, 200, of=2), evidence(4, 0, 200, of=2))

    assert rows(book, 2) == [1002]
    assert book.offsets() == {0: 200}


def test_a_tally_that_went_back_does_not_take_the_sums_back() -> None:
    book = gathered(evidence(1, 0, 100, ts=9), evidence(1, 0, 60, ts=5))

    assert rows(book, 1) == [1001]
    assert book.offsets() == {0: 100}
    assert book.event_time() == 9


def test_event_time_is_that_of_the_partition_furthest_behind() -> None:
    book = gathered(evidence(1, 0, 10, ts=1_000), evidence(1, 1, 10, ts=400), evidence(1, 2, 10, ts=700))

    assert book.event_time() == 400
    assert book.latest_time() == 1_000


def test_without_evidence_there_is_no_event_time() -> None:
    assert Gathered().event_time() is None
    assert Gathered().latest_time() is None


def test_a_partition_whose_traffic_ended_holds_up_no_time() -> None:
    book = gathered(evidence(1, 1, 10, ts=400))

    times = []
    for turn in range(1, QUIET_ROUNDS + 1):
        book.add(evidence(1, 0, 10 * turn, ts=1_000 * turn))
        times.append(book.event_time())

    assert times == [400, 400, 3_000]


def test_a_partition_with_unread_outcomes_holds_up_time_however_long_it_is_silent() -> None:
    book = gathered(evidence(1, 1, 10, ts=400, lag=5))

    for turn in range(1, 10):
        book.add(evidence(1, 0, 10 * turn, ts=1_000 * turn))

    assert book.event_time() == 400


def ends(*looks: dict[int, int]) -> EndOffsets:
    memory = EndOffsets()
    for number, look in enumerate(looks):
        memory = memory.after(number * 1_000, look)
    return memory


def test_looks_in_quick_succession_count_as_one() -> None:
    memory = EndOffsets()
    for number in range(10):
        memory = memory.after(number * 100, {0: 100})

    assert lagging({}, memory) == frozenset()


def test_a_clock_that_was_set_back_does_not_stop_the_counting_of_looks() -> None:
    memory = EndOffsets()
    for wall_ms in (3_600_000, 0, 1_000, 2_000):
        memory = memory.after(wall_ms, {0: 100})

    assert lagging({}, memory) == {0}


def test_outcomes_still_missing_three_looks_later_make_their_partition_late() -> None:
    seen = ends({0: 100, 1: 50}, {0: 200, 1: 50}, {0: 300, 1: 50}, {0: 400, 1: 50})

    assert lagging({0: 99, 1: 50}, seen) == {0}
    assert lagging({0: 100, 1: 50}, seen) == frozenset()


@pytest.mark.parametrize("looks", [0, 1, 2, 3])
def test_nothing_is_late_before_three_looks_have_passed(looks: int) -> None:
    assert lagging({}, ends(*[{0: 100}] * looks)) == frozenset()


def test_a_partition_that_never_reported_is_late_only_if_it_holds_outcomes() -> None:
    assert lagging({}, ends(*[{0: 0, 1: 7}] * 4)) == {1}
