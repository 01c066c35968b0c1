"""The producer over a network with a round trip, on a mock cluster: barriers end in all traffic, waits take no core."""

import asyncio
import ctypes
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coalmine.streams.kafka import embedded, producer
from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.kafka.producer import Producer

TOPIC = "predictions"
PARTITIONS = 4
BATCH = 5
PAUSE_SECONDS = 0.005
"""Between two batches: together 1,000 records a second."""

BEAT_SECONDS = 1.0
"""Pause between records that ask for no room, as heartbeats do; twice as many as a worker sends."""

BOUND_SECONDS = 4.0
"""Limit of a barrier: patience, some round trips and a slow machine; it takes 0.15 s over 30 ms."""

FAR_MS = 300
"""A round trip that no stall of a busy test machine outlasts: in such a stall the queue would empty by itself."""

BURST = 40
"""Records at once: ten a partition, more than librdkafka sends while an earlier request of the partition is out."""

SPIN_SHARE = 0.3
"""Of a core, less than a thread that asks without a pause (0.9) and more than the work (0.05)."""

Delay = tuple[str, Callable[[int], None]]
"""Address of a cluster and a function that sets its round trip in ms."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Delay]:
    library = embedded.load_library()
    started = embedded.start_cluster([(TOPIC, PARTITIONS)])
    if library is None or started is None:
        pytest.skip("this build of librdkafka hides the mock cluster")
    address = started[0]
    kept: Any = started[1]
    mock = kept[2]
    set_rtt = library.rd_kafka_mock_broker_set_rtt
    set_rtt.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int]
    yield address, lambda ms: set_rtt(mock, 1, ms)
    set_rtt(mock, 1, 0)


class Traffic:
    """Batches that wait for room, without end, and records beside them that do not."""

    def __init__(self, address: str, **settings: int) -> None:
        given = {name.replace("_", "."): value for name, value in settings.items()}
        self.producer = Producer(KafkaSettings({"bootstrap.servers": address, "log_level": 0, **given}))
        self.sent = 0

    def send(self, count: int) -> None:
        for _ in range(count):
            self.producer.produce(TOPIC, b"x" * 300, None, self.sent % PARTITIONS)
            self.sent += 1

    async def batches(self) -> None:
        due = time.monotonic()
        while True:
            await self.producer.room()
            self.send(BATCH)
            due = max(due + PAUSE_SECONDS, time.monotonic() - 0.1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def beats(self) -> None:
        while True:
            self.send(1)
            await asyncio.sleep(BEAT_SECONDS)

    def busy_share(self, seconds: float) -> float:
        """Return how much of a core the process takes while bursts go out for `seconds`."""
        self.send(PARTITIONS)
        self.producer.flush(10)
        began, worked = time.monotonic(), time.process_time()
        while time.monotonic() - began < seconds:
            self.send(BURST)
            time.sleep(PAUSE_SECONDS)
        return (time.process_time() - worked) / (time.monotonic() - began)

    async def barriers(self, count: int, limit: float) -> list[float]:
        """Return how long each of `count` barriers took; raise TimeoutError for one that takes longer than `limit`."""
        self.send(PARTITIONS)
        await asyncio.wait_for(self.producer.flushed(), 10)
        busy = [asyncio.ensure_future(self.batches()), asyncio.ensure_future(self.beats())]
        took = []
        try:
            for _ in range(count):
                await asyncio.sleep(0.1)
                began = time.monotonic()
                await asyncio.wait_for(self.producer.flushed(), limit)
                took.append(time.monotonic() - began)
        finally:
            for task in busy:
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)
        return took


@pytest.mark.parametrize("rtt_ms", [10, 30, FAR_MS])
def test_a_barrier_ends_soon_in_steady_traffic_over_any_network(cluster: Delay, rtt_ms: int) -> None:
    address, set_rtt = cluster
    set_rtt(rtt_ms)
    traffic = Traffic(address)

    took = asyncio.run(traffic.barriers(3, BOUND_SECONDS))

    assert len(took) == 3


def test_without_holding_the_input_a_barrier_would_not_end(cluster: Delay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "BARRIER_PATIENCE_SECONDS", float("inf"))
    address, set_rtt = cluster
    set_rtt(FAR_MS)
    traffic = Traffic(address)

    with pytest.raises(TimeoutError):
        asyncio.run(traffic.barriers(1, BOUND_SECONDS))


def test_only_a_late_barrier_holds_the_input(cluster: Delay) -> None:
    address, set_rtt = cluster
    set_rtt(400)
    made = Traffic(address).producer

    async def begin_and_wait() -> tuple[float, float]:
        made.produce(TOPIC, b"value")
        barrier = asyncio.ensure_future(made.flushed())
        await asyncio.sleep(0)
        began = time.monotonic()
        await made.room()
        at_once = time.monotonic() - began
        await asyncio.sleep(producer.BARRIER_PATIENCE_SECONDS * 1.5)
        began = time.monotonic()
        await made.room()
        held = time.monotonic() - began
        assert barrier.done()
        return at_once, held

    at_once, held = asyncio.run(begin_and_wait())

    assert at_once < producer.BARRIER_PATIENCE_SECONDS
    assert held > 0.05


def test_waiting_for_a_far_broker_takes_no_core(cluster: Delay) -> None:
    address, set_rtt = cluster
    set_rtt(30)

    assert Traffic(address).busy_share(1.0) < SPIN_SHARE


def test_with_all_partitions_in_flight_librdkafka_asks_without_a_pause(cluster: Delay) -> None:
    address, set_rtt = cluster
    set_rtt(30)

    assert Traffic(address, max_in_flight_requests_per_connection=5).busy_share(1.0) > SPIN_SHARE
