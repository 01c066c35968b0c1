"""The producer of everything that answers, by librdkafka: fast to call, and unforgiving about delivery.

`produce` is the bare C method in all but name, so nobody learns of a failed delivery when it happens. That is the
bargain: `flush` is the barrier in front of every commit of input offsets, and once a single record could not be
delivered, `flush` raises, now and for ever, so that no offset behind the loss is ever committed. The process ends and
its successor does the work again. Measured: a barrier that forgets its error after raising once loses every record
of the failure, because the commit at the stop then passes.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import confluent_kafka

from coalmine.errors import DeliveryError

from .client import KafkaSettings
from .opening import opened
from .topics import MAX_MESSAGE_BYTES

__all__ = ["Producer"]

DEFAULTS = {
    # 1 ms: long enough for the outputs of one batch to share a request, short against the latency of an answer.
    "linger.ms": "1",
    # A broker works on one request of a connection at a time: a second one on its way keeps it busy. With more,
    # librdkafka's thread does not sleep while all partitions wait for an answer: it asks the socket without a pause,
    # 42 to 78 % of a core with 4 partitions over a round trip of 5 to 20 ms, and takes it from a broker beside it.
    "max.in.flight.requests.per.connection": "2",
    "compression.type": "zstd",
    # Whole batches are written at once: waiting for a full packet only delays them.
    "socket.nagle.disable": "true",
    # Longer than the longest outage of the broker a worker rides out; then it stops with a fault.
    "delivery.timeout.ms": "120000",
    # Bounds of memory; a full queue stops the reading of input, it never drops.
    "queue.buffering.max.messages": "20000",
    "queue.buffering.max.kbytes": "65536",
    # Dead letters carry whole requests. One that does not fit would stop its worker at every start.
    "message.max.bytes": str(MAX_MESSAGE_BYTES),
}

FIXED: Mapping[str, Any] = {
    "enable.idempotence": "true",
    "acks": "all",
    # Java and KafkaJS put a key on the same partition; librdkafka's own default agrees in 9 of 40 keys.
    "partitioner": "murmur2_random",
    "delivery.report.only.error": True,
}

FLUSH_MARGIN_SECONDS = 10.0
"""A flush waits this much longer than the delivery timeout: a shorter one stops a worker that would have survived."""

POLL_SECONDS = 0.01
"""How long one wait for room in a full queue lasts before errors are looked at."""

ROOM_SECONDS = 0.002
"""How often a waiting worker looks whether the queue has drained; the broker's answer takes about as long."""

BARRIER_PATIENCE_SECONDS = 0.25
"""How long a barrier may wait before no new input is taken.

librdkafka's flush waits until its queue is empty, and under steady input over a network with a round trip of 10 ms it
never is: at 1,000/s the commit stood still until the flush gave up. On one machine a barrier takes a few milliseconds,
so nothing is held there.
"""

KEPT_ERRORS = 20
"""Errors that are kept for the message; a dead broker fails thousands of records with the same one."""

Headers = Sequence[tuple[str, bytes | str | None]]


class Producer:
    """An idempotent producer of librdkafka, with `acks=all`, whose delivery errors stay.

    Used from the thread of the event loop; `flush` may run in any thread. `linger_ms`: how long records that nobody
    waits for gather for larger writes, whatever the settings say; a flush does not wait for it.
    """

    def __init__(self, kafka: KafkaSettings, linger_ms: float | None = None) -> None:
        properties: dict[str, Any] = {**DEFAULTS, **kafka.producer(), **FIXED}
        if linger_ms is not None:
            properties["linger.ms"] = linger_ms
        self._errors: list[str] = []
        self._failed = 0
        self._client = opened(confluent_kafka.Producer, {**properties, "on_delivery": self._on_delivery})
        self._produce = self._client.produce
        self._room = int(properties["queue.buffering.max.messages"]) // 2
        self._flush_seconds = int(properties["delivery.timeout.ms"]) / 1000 + FLUSH_MARGIN_SECONDS
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="flush")
        self._barriers: list[float] = []
        """When each barrier that still waits began, monotonic, oldest first."""

    def _on_delivery(self, error: Any, message: Any) -> None:
        if error is None:
            return
        self._failed += 1
        if len(self._errors) < KEPT_ERRORS:
            self._errors.append(f"{message.topic()}: {error.str()}")

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        partition: int = -1,
        headers: Headers | None = None,
    ) -> None:
        """Hand one record to librdkafka; it is on its way when this returns, not delivered.

        A full queue blocks until there is room. Raises DeliveryError when an earlier record was lost, KafkaException
        for a record that can never be sent (too large, unknown partition).
        """
        try:
            if headers:
                self._produce(topic, value, key, partition, headers=list(headers))
            else:
                self._produce(topic, value, key, partition)
        except BufferError:
            self._produce_into_full_queue(topic, value, key, partition, headers)

    def _produce_into_full_queue(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int, headers: Headers | None
    ) -> None:
        deadline = time.monotonic() + self._flush_seconds
        while time.monotonic() < deadline:
            self._client.poll(POLL_SECONDS)
            self.check()
            try:
                self._produce(topic, value, key, partition, headers=list(headers or ()))
                return
            except BufferError:
                continue
        raise DeliveryError(f"the queue of the producer stayed full for {self._flush_seconds:.0f} s: is Kafka away?")

    def check(self) -> None:
        """Raise DeliveryError if any record was ever lost."""
        if self._failed:
            raise DeliveryError(f"{self._failed} records were not delivered: {'; '.join(sorted(set(self._errors)))}")

    async def room(self) -> None:
        """Wait until the queue is at most half full and no barrier is late, without blocking the loop.

        Called before a batch of input is taken: a full queue thus stops the reading, and so does a barrier that would
        never end while records keep coming. Raises what `check` raises.
        """
        self.check()
        while len(self._client) > self._room or self._is_late():
            self._client.poll(0)
            self.check()
            await asyncio.sleep(ROOM_SECONDS)

    def _is_late(self) -> bool:
        return bool(self._barriers) and time.monotonic() - self._barriers[0] > BARRIER_PATIENCE_SECONDS

    def flush(self, timeout: float | None = None) -> None:
        """Wait until every record so far is confirmed; `timeout` in seconds, None: longer than any delivery takes.

        Raises DeliveryError when records are still unconfirmed then, or were lost at any time before. Both are final:
        every later call raises too.
        """
        self.check()
        left = self._client.flush(self._flush_seconds if timeout is None else timeout)
        if left:
            self._failed += left
            self._errors.append(f"{left} records were not confirmed in time")
        self.check()

    async def flushed(self) -> None:
        """Wait for `flush` in a thread of its own, so that the loop goes on.

        It ends soon whatever is produced, if all who produce steadily either call `room` before or wait for a barrier
        of their own after: those are idle by then. A heartbeat now and then does no harm.
        """
        began = time.monotonic()
        self._barriers.append(began)
        try:
            await asyncio.get_running_loop().run_in_executor(self._flusher, self.flush)
        finally:
            self._barriers.remove(began)
