"""What the proofs of faults make of moments: recoveries, paces and speeds."""

import numpy as np
import pytest

from bench.faults import recovery_seconds
from bench.load import Sent
from bench.null_live import event_speed
from bench.rebalance import has_held, within


def test_a_recovery_lasts_from_the_kill_to_the_next_answer() -> None:
    answered = np.array([900, 1_000, 6_000, 6_001, 9_000], np.int64)

    assert recovery_seconds(answered, [1_000.0, 8_500.0]) == [5.0, 0.5]


def test_of_two_kills_before_an_answer_the_later_one_counts() -> None:
    answered = np.array([1_000, 9_000], np.int64)

    assert recovery_seconds(answered, [2_000.0, 4_000.0]) == [5.0]


def test_a_kill_without_a_later_answer_is_never_recovered_from() -> None:
    assert recovery_seconds(np.array([1_000], np.int64), [2_000.0]) == [float("inf")]


def test_only_moments_in_the_window_count() -> None:
    assert within(10.0, 60.0, [71.0, 70.0, 9.9, 10.0, 40.0]) == [10.0, 40.0, 70.0]


@pytest.mark.parametrize(
    ("output", "held"),
    [
        ("INFO ready: g holds partitions [] at revision 2\n", False),
        ("INFO ready: g holds partitions [] at revision 2\nINFO ready: g holds partitions [3] at revision 2\n", True),
        ("INFO holds partitions [3]\n", False),
    ],
)
def test_a_worker_that_was_given_no_partition_has_held_none(output: str, held: bool) -> None:
    assert has_held(output) is held


def test_the_speed_of_event_time_follows_from_what_was_really_sent() -> None:
    sent = Sent(t0=0.0, rate=3_000.0, first=0, count=60_000, seconds=30.0, late_p99_ms=0.0)

    assert event_speed(sent) == pytest.approx(100.0)


def test_a_load_that_ended_before_it_began_has_no_rate() -> None:
    assert Sent(t0=0.0, rate=3_000.0, first=0, count=0, seconds=-0.5, late_p99_ms=0.0).real_rate == 0.0
