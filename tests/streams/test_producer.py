"""The promises of the producer where no broker answers; delivery itself is tested on a real Kafka."""

import asyncio
import time

import pytest

from coalmine.errors import DeliveryError
from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.kafka.producer import Producer

NOBODY = "127.0.0.1:9"
"""The discard port: nobody listens there."""


def lonely(**settings: str | int) -> Producer:
    """Return a producer whose records are given up after 0.3 s."""
    given = {name.replace("_", "."): value for name, value in settings.items()}
    return Producer(KafkaSettings({
        "bootstrap.servers": NOBODY, "delivery.timeout.ms": 300, "request.timeout.ms": 200, "log_level": 0, **given,
    }))  # fmt: skip


def test_a_lost_record_is_an_error_for_ever() -> None:
    producer = lonely()
    producer.produce("t", b"value", b"key")

    with pytest.raises(DeliveryError, match="1 records were not delivered"):
        producer.flush()
    with pytest.raises(DeliveryError):
        producer.flush()
    with pytest.raises(DeliveryError):
        asyncio.run(producer.room())


def test_a_flush_that_ends_too_early_is_an_error_for_ever() -> None:
    producer = lonely(delivery_timeout_ms=60_000)
    producer.produce("t", b"value", b"key")

    with pytest.raises(DeliveryError, match="not confirmed in time"):
        producer.flush(0.01)
    with pytest.raises(DeliveryError):
        producer.check()


def test_a_flush_with_nothing_to_do_needs_no_broker() -> None:
    producer = lonely(delivery_timeout_ms=60_000)

    asyncio.run(asyncio.wait_for(producer.flushed(), 30))


def test_a_full_queue_waits_and_drops_nothing() -> None:
    producer = lonely(queue_buffering_max_messages=10)
    begin = time.monotonic()

    def produce_many() -> None:
        for number in range(1_000):
            producer.produce("t", b"%d" % number)

    with pytest.raises(DeliveryError):
        produce_many()

    assert time.monotonic() - begin > 0.25


def test_a_batch_waits_for_room_without_blocking_the_loop() -> None:
    async def count_while_waiting() -> int:
        producer = lonely(queue_buffering_max_messages=10)
        for _ in range(8):
            producer.produce("t", b"value")
        waiting = asyncio.ensure_future(producer.room())
        turns = 0
        while not waiting.done():
            turns += 1
            await asyncio.sleep(0.01)
        with pytest.raises(DeliveryError):
            waiting.result()
        return turns

    assert asyncio.run(count_while_waiting()) > 10
