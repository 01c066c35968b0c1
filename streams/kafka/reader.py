"""Reading one partition of a topic in order, without a consumer group, by librdkafka.

Knows when it has reached the end and when the broker last confirmed that; knows nothing of threads, loops or what the
records mean. The operator's client reads with it directly, `follower` puts it into a thread.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from coalmine.errors import BrokerError

from .client import KafkaSettings
from .opening import opened

__all__ = ["BEGINNING", "END", "LogRecord", "PartitionReader", "read_to_end", "watermarks"]

BEGINNING: int = confluent_kafka.OFFSET_BEGINNING
END: int = confluent_kafka.OFFSET_END

ANSWER_SECONDS = 5.0
"""How long the broker may take to answer a question about a topic before it counts as unreachable."""

CONFIRM_TIMEOUT_SECONDS = 2.0
"""How long one confirmation may take; polling stands still meanwhile, but then the broker does too."""

RETRY_SECONDS = 0.05
"""Pause before a partition that has no leader yet is asked again; a new topic has one after some milliseconds."""

MOST_RECORDS = 1_000
"""Records returned by one poll."""

FIXED = {
    # librdkafka asks for a group even where none is used: nothing is ever committed or joined.
    "group.id": "coalmine-reader",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    # Records that are gone must not be skipped silently: the log is the truth.
    "auto.offset.reset": "error",
    "queued.max.messages.kbytes": 16384,
}


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a followed topic. `ms` is its Kafka timestamp, the append time where `append_time` is true."""

    offset: int
    ms: int
    append_time: bool
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class PartitionReader:
    """A position in one partition of a topic.

    It begins at `offset`, which may be `BEGINNING` or `END`; `position` is the offset to read next, `end` the end when
    it was opened, `confirmed_at` the monotonic time in seconds at which the broker was last asked and had nothing
    left to read, None before the first. Raises BrokerError when the broker does not answer, the topic does not
    exist, or it has more partitions than one where `single` asks for one.
    """

    def __init__(
        self, kafka: KafkaSettings, topic: str, partition: int = 0, *, offset: int = BEGINNING, single: bool = True
    ) -> None:
        self.topic = topic
        self.position = 0
        self.confirmed_at: float | None = None
        self._place = (topic, partition)
        self._consumer = opened(confluent_kafka.Consumer, {**kafka.reader(), **FIXED})
        try:
            self._check(partition, single)
            first, self.end = self._ask(ANSWER_SECONDS)
            self.position = {BEGINNING: first, END: self.end}.get(offset, offset)
            self._consumer.assign([TopicPartition(topic, partition, self.position)])
        except BaseException:
            self.close()
            raise

    def _check(self, partition: int, single: bool) -> None:
        try:
            found = self._consumer.list_topics(self.topic, timeout=ANSWER_SECONDS).topics[self.topic]
        except KafkaException as error:
            raise BrokerError(f"Kafka does not answer: {error.args[0].str()}") from error
        if found.error is not None or partition not in found.partitions:
            raise BrokerError(f"topic {self.topic} does not exist: create it with `coalmine topics apply`")
        if single and len(found.partitions) != 1:
            count = len(found.partitions)
            raise BrokerError(f"topic {self.topic} has {count} partitions; its order needs exactly one: create it anew")

    def _ask(self, timeout: float) -> tuple[int, int]:
        try:
            return watermarks(self._consumer, TopicPartition(*self._place), timeout)
        except KafkaException as error:
            raise BrokerError(f"Kafka does not tell the end of {self.topic}: {error.args[0].str()}") from error

    @property
    def caught_up(self) -> bool:
        """Whether everything was read that was there when the reader was opened."""
        return self.position >= self.end

    def poll(self, timeout: float) -> list[LogRecord]:
        """Return the next records, at most 1,000, waiting up to `timeout` seconds for the first.

        Raises BrokerError when the log cannot be read on: records expired before they were read, the topic is gone.
        """
        records: list[LogRecord] = []
        message: Any = self._consumer.poll(timeout)
        while message is not None:
            if message.error() is None:
                self.position = message.offset() + 1
                records.append(log_record(message))
            else:
                self._note(message)
            message = self._consumer.poll(0) if len(records) < MOST_RECORDS else None
        return records

    def _note(self, message: Any) -> None:
        error = message.error()
        if error.code() == KafkaError._PARTITION_EOF:
            self.position = max(self.position, message.offset())
            self.confirmed_at = time.monotonic()
        elif error.code() in LOST:
            raise BrokerError(f"topic {self.topic} cannot be read on at offset {self.position}: {error.str()}")

    def confirm(self) -> None:
        """Ask the broker for the end; `confirmed_at` becomes the time of asking if nothing is left to read.

        A broker that does not answer changes nothing. Raises BrokerError when the log is shorter than what was read.
        """
        asked = time.monotonic()
        try:
            _, end = self._ask(CONFIRM_TIMEOUT_SECONDS)
        except BrokerError:
            return
        if end < self.position:
            raise BrokerError(f"topic {self.topic} ends at {end}, but {self.position} records were read: data was lost")
        if end == self.position:
            self.confirmed_at = asked

    def close(self) -> None:
        """Close the connection; the reader cannot be used again."""
        self._consumer.close()

    def __enter__(self) -> "PartitionReader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


LEADERLESS = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
}
"""Errors of a partition that is just being created or moved, or whose new leader not every client knows yet."""


def watermarks(consumer: Any, place: TopicPartition, timeout: float) -> tuple[int, int]:
    """Return the first offset of a partition that is kept and the one after the last.

    A partition that has no leader yet is asked again for `timeout` seconds; then KafkaException is raised, as for any
    other fault.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            low, high = consumer.get_watermark_offsets(place, timeout=timeout)
        except KafkaException as error:
            if error.args[0].code() not in LEADERLESS or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return low, high


LOST = {
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError._FATAL,
}
"""Errors after which reading on would skip records or never end; librdkafka retries all others by itself."""


def log_record(message: Any) -> LogRecord:
    """Return a confluent message as a value."""
    kind, ms = message.timestamp()
    return LogRecord(
        offset=message.offset(),
        ms=ms,
        append_time=kind == confluent_kafka.TIMESTAMP_LOG_APPEND_TIME,
        key=message.key(),
        value=message.value(),
        headers=tuple(message.headers() or ()),
    )


def read_to_end(kafka: KafkaSettings, topic: str, *, timeout: float = 30.0, single: bool = True) -> Iterator[LogRecord]:
    """Yield everything that is in partition 0 of `topic` now; raise BrokerError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    with PartitionReader(kafka, topic, single=single) as reader:
        while not reader.caught_up:
            if time.monotonic() > deadline:
                raise BrokerError(f"topic {topic} was not read to its end within {timeout:.0f} s")
            yield from (record for record in reader.poll(0.1) if record.offset < reader.end)
