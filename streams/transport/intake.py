"""The records of an app's hot topic, fetched by librdkafka: from a position in each partition, and without a group.

Faust's consumer is the member of the group: it says which partitions are held, where they begin, and commits. Here
they are only read. Fetching, unpacking and checking happen in threads of C; aiokafka did so in Python, at a millisecond
a fetch, while the event loop waited for Python's lock, and asked for more only after the last fetch was taken.

A position is the offset to hand out next. Records leave in two steps: `arrival` waits until there is something, `take`
hands over everything that is there by then, so what came while a batch was being worked is the next batch. A change of
positions from outside (a seek, a rebalance) begins an epoch: what was fetched before is dropped, never handed out.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import confluent_kafka
import msgspec
from confluent_kafka import KafkaError, TopicPartition
from faust.types import TP

from coalmine.errors import BrokerError

from ..kafka.opening import opened
from ..kafka.reader import BEGINNING, LEADERLESS

__all__ = ["Intake", "Record"]

MOST_RECORDS = 2_000
"""Records of one poll, so rows of one call. 1,000 gave 62,000 events a second, 2,000 gave 77,000, 5,000 gave 84,000
on the same machine; but a poll is also what a slow model holds the event loop for."""

FIXED: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": False,
    # Records that are gone are a fact to report; librdkafka would go on at the first one left without a word.
    "auto.offset.reset": "error",
    "isolation.level": "read_uncommitted",
    "check.crcs": True,
    "socket.nagle.disable": True,
    # Bounds what is fetched ahead; a full queue is looked at again after 5 ms, not after librdkafka's second.
    "queued.max.messages.kbytes": 8192,
    "fetch.queue.backoff.ms": 5,
}

PASSING = LEADERLESS | {
    KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT
}  # fmt: skip
"""Errors that librdkafka gets over by itself once the broker is back. Every other would skip records or never end."""

log = logging.getLogger(__name__)


class Record(msgspec.Struct, gc=False):
    """A consumed record; `timestamp` is Kafka's, epoch ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Intake:
    """Positions in partitions and the records that follow them.

    Used from the thread of the event loop. `properties` are librdkafka's, `group` is only a name for the broker's
    rules of access. `on_expired` is called with a partition whose next records are gone; it is read on from its first
    record then.
    """

    def __init__(self, properties: Mapping[str, Any], group: str, on_expired: Callable[[TP], None]) -> None:
        self._client = opened(confluent_kafka.Consumer, {**properties, **FIXED, "group.id": group})
        self._on_expired = on_expired
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="intake")
        self._positions: dict[TP, int] = {}
        self._epoch = 0
        self._assigned: tuple[int, frozenset[TP]] = (0, frozenset())
        """The epoch and the partitions of the client's last assignment; nothing is handed out from any other."""
        self._waiting: tuple[int, asyncio.Future[list[Any]]] | None = None
        """The wait that is going on in the thread and the epoch it belongs to; it outlives who asked for it."""
        self._arrived: list[Any] = []
        """At most one message: the one that ended the wait."""
        self._expired: list[TP] = []
        """Partitions whose next record is gone."""

    def seek(self, positions: Mapping[TP, int]) -> None:
        """Hand out each partition from its offset on, which may be `BEGINNING`."""
        self._positions.update(positions)
        self._begin_epoch()

    def release(self) -> None:
        """Hand out nothing until the next `seek`, and stop fetching."""
        self._positions.clear()
        self._begin_epoch()
        self._thread.submit(self._client.unassign)

    def _begin_epoch(self) -> None:
        self._epoch += 1
        self._arrived = []
        self._expired = []

    async def arrival(self, partitions: frozenset[TP], timeout: float) -> bool:
        """Wait at most `timeout` seconds until one of `partitions` has a record to take, and tell whether one has.

        Partitions without a position have none. Raises BrokerError when a partition cannot be read on.
        """
        if self._expired:
            self.seek(dict.fromkeys(self._expired, BEGINNING))
        if not self._arrived:
            await self._wait(frozenset(tp for tp in partitions if tp in self._positions), timeout)
        return bool(self._arrived)

    async def _wait(self, held: frozenset[TP], timeout: float) -> None:
        if self._waiting is None:
            if not held:
                await asyncio.sleep(timeout)
                return
            if self._assigned != (self._epoch, held):
                self._assigned = (self._epoch, held)
                places = [TopicPartition(*tp, self._positions[tp]) for tp in held]
                waiting = self._thread.submit(self._assign_and_consume, places, timeout)
            elif messages := self._client.consume(1, 0):
                self._arrived = self._sound(messages)
                return
            else:
                waiting = self._thread.submit(self._client.consume, 1, timeout)
            self._waiting = self._epoch, asyncio.wrap_future(waiting)
        epoch, answer = self._waiting
        await asyncio.wait([answer])
        self._waiting = None
        if epoch == self._epoch:
            self._arrived = self._sound(answer.result())

    def _assign_and_consume(self, places: list[TopicPartition], timeout: float) -> list[Any]:
        self._client.assign(places)
        messages: list[Any] = self._client.consume(1, timeout)
        return messages

    def take(self) -> dict[TP, list[Record]]:
        """Return what is there now, at most 2,000 records, by partition and in order; nothing before an `arrival`."""
        if not self._arrived:
            return {}
        messages = [*self._arrived, *self._sound(self._client.consume(MOST_RECORDS - 1, 0))]
        self._arrived = []
        parts: dict[tuple[str, int], list[Record]] = {}
        for message in messages:
            record = Record(
                message.topic(), message.partition(), message.offset(), message.timestamp()[1], message.key(),
                message.value(), headers(message),
            )  # fmt: skip
            parts.setdefault((record.topic, record.partition), []).append(record)
        found = {TP(*place): records for place, records in parts.items()}
        self._positions.update({tp: records[-1].offset + 1 for tp, records in found.items()})
        return found

    def _sound(self, messages: Sequence[Any]) -> list[Any]:
        """Return the messages that are records; the others are errors."""
        for message in messages:
            if message.error() is not None:
                self._note(message)
        return [message for message in messages if message.error() is None]

    def _note(self, message: Any) -> None:
        error = message.error()
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            tp = TP(message.topic(), message.partition())
            told = "%s: offset %s is gone (expired, or the topic was made anew), reading on from the first record"
            log.warning(told, tp, self._positions.get(tp))
            self._on_expired(tp)
            self._expired.append(tp)
        elif error.code() not in PASSING:
            raise BrokerError(f"{message.topic()}, partition {message.partition()} cannot be read on: {error.str()}")

    def end(self, tp: TP) -> int | None:
        """Return the end offset of a partition as of its last fetch; None before it and for one that is not read."""
        if tp not in self._positions:
            return None
        _, end = self._client.get_watermark_offsets(TopicPartition(*tp), cached=True)
        return end if end >= 0 else None


def headers(message: Any) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of a message; none where a name is not UTF-8, which this client cannot read."""
    try:
        return tuple(message.headers() or ())
    except (SystemError, UnicodeDecodeError):
        return ()
