"""Reading topics of one partition without a group: a range, backwards from the end, or on and on.

For the client behind the command line, which reads a little and leaves. Works on a real Kafka and on the embedded
broker, which answers no lookups by time.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from coalmine.errors import BrokerError

from .client import KafkaSettings
from .opening import opened
from .reader import watermarks

__all__ = ["Reader", "client_settings", "offset_of", "partition_counts"]

CONNECT_SECONDS = 5.0
"""How long a silent broker is waited for. One that refuses the connection is reported after a second."""

TRY_SECONDS = 1.0

STALL_SECONDS = 15.0
"""Silence in the middle of a range after which the broker counts as gone."""

WINDOW = 500
"""Records of one step backwards from the end: the newest of a rollout is nearly always among them."""

BATCH = 1_000
POLL_SECONDS = 0.2


def ignore(_: KafkaError) -> None:
    """Take note of nothing: what matters is raised by the call that fails."""


def client_settings(properties: Mapping[str, str], on_fault: Callable[[KafkaError], None] = ignore) -> dict[str, Any]:
    """Return the properties of a short-lived client that writes nothing on its own; faults go to `on_fault`."""
    return {**properties, "log_level": 0, "error_cb": on_fault, "allow.auto.create.topics": False}


class Reader:
    """Reads partition 0 of topics. Not for threads.

    Parameters
    ----------
    kafka
        The settings of the clients.

    Raises BrokerError, in every method, when the broker does not answer or refuses.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self.address = kafka.bootstrap
        self._faults: list[KafkaError] = []
        settings = {
            **client_settings(kafka.reader(), self._faults.append),
            "group.id": "coalmine.operator",  # never joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
        }
        self._consumer = opened(Consumer, settings)

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def topics(self) -> dict[str, int]:
        """Return every topic of the cluster with its partition count."""
        return partition_counts(self._consumer, self.address, self._faults)

    def bounds(self, topic: str) -> tuple[int, int]:
        """Return the first offset that is kept and the one after the last."""
        try:
            return watermarks(self._consumer, TopicPartition(topic, 0), CONNECT_SECONDS)
        except KafkaException as error:
            raise unreachable(self.address, error.args[0]) from error

    def appended(self, topic: str, since_ms: int) -> int:
        """Return how many records a topic took since a time (epoch ms), by their timestamps; 0 for an unknown topic."""
        parts = [TopicPartition(topic, number, since_ms) for number in range(self.topics().get(topic, 0))]
        if not parts:
            return 0
        try:
            starts = self._consumer.offsets_for_times(parts, timeout=CONNECT_SECONDS)
            ends = [watermarks(self._consumer, part, CONNECT_SECONDS)[1] for part in starts]
        except KafkaException as error:
            raise unreachable(self.address, error.args[0]) from error
        return sum(max(end - part.offset, 0) for part, end in zip(starts, ends, strict=True) if part.offset >= 0)

    def read(self, topic: str, start: int, end: int) -> list[Message]:
        """Return the records from offset `start` up to, not including, `end`; compaction may have left fewer."""
        found: list[Message] = []
        if start >= end:
            return found
        self._consumer.assign([TopicPartition(topic, 0, start)])
        deadline = time.monotonic() + STALL_SECONDS
        while time.monotonic() < deadline:
            for message in self._arrived():
                deadline = time.monotonic() + STALL_SECONDS
                if self.at_end(message):
                    return found
                if offset_of(message) < end:
                    found.append(message)
                if offset_of(message) >= end - 1:
                    return found
        raise BrokerError(f"{self.address} stopped answering while {topic} was read; try again")

    def backwards(self, topic: str, low: int, end: int) -> Iterator[Message]:
        """Yield the records below offset `end` from the newest down to `low`, fetched in growing windows."""
        window = WINDOW
        while end > low:
            start = max(low, end - window)
            yield from reversed(self.read(topic, start, end))
            end, window = start, window * 4

    def follow(self, starts: Mapping[str, int]) -> Iterator[list[Message]]:
        """Yield what arrives on topics from some offsets on, for ever; an empty list if nothing did for 0.2 s."""
        self._consumer.assign([TopicPartition(topic, 0, start) for topic, start in starts.items()])
        while True:
            yield [message for message in self._arrived() if not self.at_end(message)]

    def _arrived(self) -> list[Message]:
        """Return what has arrived, as soon as anything has, at the latest after `POLL_SECONDS`."""
        first = self._consumer.poll(POLL_SECONDS)
        return [] if first is None else [first, *self._consumer.consume(BATCH, 0)]

    def at_end(self, message: Message) -> bool:
        """Tell whether this is the mark of a partition's present end; raise BrokerError for a fault."""
        error = message.error()
        if error is None:
            return False
        if error.code() == KafkaError._PARTITION_EOF:
            return True
        raise BrokerError(f"{self.address}: {error.str()}")


def partition_counts(client: Any, address: str, faults: Sequence[KafkaError]) -> dict[str, int]:
    """Return every topic of the cluster with its partition count; `client` reports faults to `faults` when polled.

    Raises BrokerError when no broker answers: at once when all refuse, else after `CONNECT_SECONDS`.
    """
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            topics = client.list_topics(timeout=TRY_SECONDS).topics
            return {name: len(topic.partitions) for name, topic in topics.items()}
        except KafkaException as error:
            client.poll(0)
            if any(fault.code() == KafkaError._ALL_BROKERS_DOWN for fault in faults) or time.monotonic() > deadline:
                raise unreachable(address, error.args[0]) from error


def unreachable(address: str, error: KafkaError) -> BrokerError:
    """Return the error for a broker that does not answer."""
    return BrokerError(
        f"no Kafka answers at {address} ({error.str()}); start it, or name another one with --bootstrap-server"
    )


def offset_of(message: Message) -> int:
    """Return where a record stands in its partition."""
    offset: int | None = message.offset()
    assert offset is not None, "a record that was read has an offset"
    return offset
