"""What reaches the log: a storm of one complaint does not."""

import logging

from coalmine.logs import Repetitions


def complaint(seconds: float, name: str = "aiokafka.cluster", text: str = "node %s is away") -> logging.LogRecord:
    record = logging.LogRecord(name, logging.ERROR, __file__, 1, text, (1,), None)
    record.created = 1_700_000_000 + seconds
    return record


def written(*records: logging.LogRecord) -> list[str]:
    repetitions = Repetitions()
    return [record.getMessage() for record in records if repetitions.filter(record)]


def test_a_library_that_repeats_itself_is_heard_every_ten_seconds_with_the_number_of_lines_left_out() -> None:
    storm = [complaint(tenth / 10, text=f"node %s is away for {tenth} ms") for tenth in range(205)]

    assert written(*storm) == [
        "node 1 is away for 0 ms",
        "node 1 is away for 100 ms (and 99 more like it)",
        "node 1 is away for 200 ms (and 99 more like it)",
    ]  # fmt: skip


def test_another_complaint_another_place_and_a_complaint_much_later_are_heard_at_once() -> None:
    assert written(
        complaint(0), complaint(1, "aiokafka.cluster", "node %s is back"), complaint(2, "aiokafka.conn"), complaint(30)
    ) == ["node 1 is away", "node 1 is back", "node 1 is away", "node 1 is away"]  # fmt: skip


def test_a_clock_that_was_set_back_silences_nothing() -> None:
    assert len(written(complaint(0), complaint(-3600))) == 2


def test_our_own_lines_are_all_written() -> None:
    assert len(written(*(complaint(0, "coalmine.streams.worker") for _ in range(5)))) == 5


def test_lines_with_a_trace_are_all_written() -> None:
    traced = [complaint(0), complaint(0)]
    for record in traced:
        record.exc_info = ValueError, ValueError("one of many"), None

    assert len(written(*traced)) == 2
