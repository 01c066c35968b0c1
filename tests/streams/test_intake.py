"""What the intake hands out, on a mock cluster; together with Faust's group it is tested on a real Kafka."""

import asyncio
import ctypes
import logging
import time
from collections.abc import Coroutine
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer
from faust.types import TP

from coalmine.errors import BrokerError
from coalmine.streams.kafka import embedded
from coalmine.streams.kafka.reader import BEGINNING
from coalmine.streams.transport.intake import Intake, Record, headers

TOPIC = "requests"
FIRST, SECOND = TP(TOPIC, 0), TP(TOPIC, 1)
BOTH = frozenset({FIRST, SECOND})
SECONDS = 20.0
FETCH = 1
"""Kafka's number of the request that fetches records."""


class Rig:
    """An intake on a cluster, and a producer to feed it."""

    def __init__(self, address: str, cluster: Any) -> None:
        self.cluster = cluster
        self.expired: list[TP] = []
        servers = {"bootstrap.servers": address, "log_level": 0}
        # One write for what is sent together: the mock cluster hands out one write a fetch, but tells the end of all.
        self.producer = Producer({**servers, "linger.ms": 1_000})
        self.intake = Intake({**servers, "fetch.wait.max.ms": 50}, "group", self.expired.append)

    def fail_fetches(self, error: int, count: int) -> None:
        """Answer the next `count` fetches with an error."""
        library, cluster = self.cluster[0], self.cluster[2]
        push = library.rd_kafka_mock_push_request_errors_array
        push.argtypes = [ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.c_void_p]
        push(cluster, FETCH, count, (ctypes.c_int * count)(*[error] * count))

    def send(self, tp: TP, values: range, **options: Any) -> None:
        for value in values:
            self.producer.produce(TOPIC, b"%d" % value, partition=tp.partition, **options)
        assert self.producer.flush(10) == 0

    async def read(self, count: int, wanted: frozenset[TP] = BOTH) -> list[Record]:
        """Return the next `count` records, in the order in which they came."""
        found: list[Record] = []
        async with asyncio.timeout(SECONDS):
            while len(found) < count:
                await self.intake.arrival(wanted, 1.0)
                found += [record for records in self.intake.take().values() for record in records]
        return found

    async def ended_at(self, tp: TP, end: int) -> None:
        """Wait until the client has fetched up to `end`, with nothing taken."""
        async with asyncio.timeout(SECONDS):
            while self.intake.end(tp) != end:
                await self.intake.arrival(BOTH, 0.01)


@pytest.fixture
def rig() -> Rig:
    started = embedded.start_cluster([(TOPIC, 2)])
    if started is None:
        pytest.skip("this build of librdkafka hides the mock cluster")
    return Rig(*started)


def places(records: list[Record]) -> dict[int, list[int]]:
    ordered = sorted(records, key=lambda record: record.partition)  # stable: the order of a partition stays
    return {p: [record.offset for record in found] for p, found in groupby(ordered, lambda record: record.partition)}


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_each_partition_is_handed_out_from_its_position_in_order_and_without_holes(rig: Rig) -> None:
    rig.send(FIRST, range(30))
    rig.send(SECOND, range(40))
    rig.intake.seek({FIRST: BEGINNING, SECOND: 25})

    assert places(run(rig.read(45))) == {0: list(range(30)), 1: list(range(25, 40))}


def test_a_record_has_everything_that_was_sent(rig: Rig) -> None:
    rig.send(SECOND, range(7, 8), key=b"k", timestamp=1_700_000_000_000, headers=[("a", b"1"), ("b", None)])
    rig.intake.seek({SECOND: 0})

    assert run(rig.read(1)) == [
        Record(TOPIC, 1, 0, 1_700_000_000_000, b"k", b"7", (("a", b"1"), ("b", None)))  # type: ignore[arg-type]
    ]


def test_a_record_may_be_empty(rig: Rig) -> None:
    rig.producer.produce(TOPIC, None, partition=0)
    rig.producer.flush(10)
    rig.intake.seek({FIRST: 0})

    (record,) = run(rig.read(1))

    assert (record.key, record.value, record.headers) == (None, None, ())


def test_nothing_comes_from_a_partition_that_was_not_sought_or_is_not_wanted(rig: Rig) -> None:
    rig.send(FIRST, range(3))
    rig.send(SECOND, range(3))

    async def read() -> tuple[bool, list[Record], bool]:
        unsought = await rig.intake.arrival(BOTH, 0.05)
        rig.intake.seek({FIRST: 0})
        found = await rig.read(3)
        rig.intake.seek({SECOND: 0})
        return unsought, found, await rig.intake.arrival(frozenset({FIRST}), 0.3)

    unsought, found, unwanted = run(read())

    assert (unsought, places(found), unwanted) == (False, {0: [0, 1, 2]}, False)


def test_nothing_that_was_fetched_before_a_seek_comes_after_it(rig: Rig) -> None:
    rig.send(FIRST, range(3_000))
    rig.intake.seek({FIRST: 0})

    async def read() -> list[list[Record]]:
        await rig.read(1)
        await rig.intake.arrival(BOTH, 1.0)
        rig.intake.seek({FIRST: 2_990})
        at_once = [record for records in rig.intake.take().values() for record in records]
        return [at_once, await rig.read(10)]

    at_once, after = run(read())

    assert at_once == []
    assert places(after) == {0: list(range(2_990, 3_000))}


def test_a_seek_under_a_wait_that_goes_on_is_obeyed(rig: Rig) -> None:
    rig.send(FIRST, range(10))
    rig.intake.seek({FIRST: 10})

    async def read() -> list[Record]:
        waiting = asyncio.ensure_future(rig.intake.arrival(BOTH, 1.0))
        await asyncio.sleep(0)
        rig.intake.seek({FIRST: 4})
        rig.send(FIRST, range(10, 12))
        await waiting
        return await rig.read(8)

    assert places(run(read())) == {0: list(range(4, 12))}


def test_a_wait_that_is_cancelled_loses_nothing(rig: Rig) -> None:
    rig.intake.seek({FIRST: 0})

    async def read() -> list[Record]:
        for first in range(0, 50, 10):
            waiting = asyncio.ensure_future(rig.intake.arrival(BOTH, 1.0))
            await asyncio.sleep(0.001)
            rig.send(FIRST, range(first, first + 10))
            waiting.cancel()
            await asyncio.wait([waiting])
        return await rig.read(50)

    assert places(run(read())) == {0: list(range(50))}


def test_what_came_while_a_batch_was_worked_is_one_batch(rig: Rig) -> None:
    rig.send(FIRST, range(10))
    rig.intake.seek({FIRST: 0, SECOND: 0})

    async def read() -> dict[TP, list[Record]]:
        await rig.ended_at(FIRST, 10)
        rig.send(SECOND, range(20))
        await rig.ended_at(SECOND, 20)
        rig.send(FIRST, range(1))
        await rig.ended_at(FIRST, 11)  # ends are known before the records are: those of an earlier fetch are there now
        return rig.intake.take()

    found = run(read())
    assert len(found[FIRST]) >= 10
    assert len(found[SECOND]) == 20


def test_a_batch_holds_2000_records_at_most(rig: Rig) -> None:
    rig.send(FIRST, range(4_500))
    rig.intake.seek({FIRST: 0})

    async def read() -> list[int]:
        sizes: list[int] = []
        while sum(sizes) < 4_500:
            await rig.intake.arrival(BOTH, 1.0)
            sizes.append(sum(map(len, rig.intake.take().values())))
        return sizes

    assert max(run(read())) <= 2_000


def test_what_arrived_and_was_not_taken_is_announced_again(rig: Rig) -> None:
    rig.send(FIRST, range(1))
    rig.intake.seek({FIRST: 0})

    async def read() -> list[bool]:
        await rig.ended_at(FIRST, 1)
        return [await rig.intake.arrival(BOTH, 0.01) for _ in range(2)]

    assert run(read()) == [True, True]


def test_nothing_is_handed_out_after_a_release(rig: Rig) -> None:
    rig.send(FIRST, range(3))
    rig.intake.seek({FIRST: 0})

    async def release() -> tuple[dict[TP, list[Record]], bool, int | None]:
        await rig.ended_at(FIRST, 3)
        rig.intake.release()
        return rig.intake.take(), await rig.intake.arrival(BOTH, 0.2), rig.intake.end(FIRST)

    assert run(release()) == ({}, False, None)


def test_records_that_are_gone_are_reported_and_reading_goes_on_at_the_first(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.send(FIRST, range(5))
    rig.intake.seek({FIRST: 500})

    with caplog.at_level(logging.WARNING):
        found = run(rig.read(5))

    assert places(found) == {0: [0, 1, 2, 3, 4]}
    assert rig.expired == [FIRST]
    assert "offset 500 is gone" in caplog.text


def test_a_fault_that_passes_loses_nothing(rig: Rig) -> None:
    rig.send(FIRST, range(5))
    rig.fail_fetches(KafkaError.NOT_LEADER_FOR_PARTITION, 3)
    rig.intake.seek({FIRST: 0})

    assert places(run(rig.read(5))) == {0: [0, 1, 2, 3, 4]}


def test_a_partition_that_may_not_be_read_is_an_error(rig: Rig) -> None:
    rig.send(FIRST, range(5))
    rig.fail_fetches(KafkaError.TOPIC_AUTHORIZATION_FAILED, 100)
    rig.intake.seek({FIRST: 0})

    with pytest.raises(BrokerError, match="partition 0 cannot be read on"):
        run(rig.read(1))


def test_an_empty_wait_ends_in_time(rig: Rig) -> None:
    rig.intake.seek({FIRST: 0})

    begin = time.monotonic()
    found = run(rig.intake.arrival(BOTH, 0.1))

    assert not found
    assert time.monotonic() - begin < 5


def test_headers_whose_names_cannot_be_read_are_left_out_and_the_record_stays() -> None:
    def unreadable() -> Any:
        raise SystemError("returned a result with an exception set")

    assert headers(SimpleNamespace(headers=unreadable)) == ()
