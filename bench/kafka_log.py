"""Topics of a benchmark: made, measured and read whole."""

import time
from collections.abc import Iterator, Mapping, Sequence

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

__all__ = ["Log"]

READ = 10_000
"""Records taken at once; a message costs about 1 KB in memory."""

PATIENCE = 30.0
"""Seconds without an answer after which a broker counts as gone."""


NEW_LEADER = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
)
"""What a broker says of a topic in its first moments, and after it was away."""


class Log:
    """One broker seen as a set of logs."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def create(self, names: Sequence[str], partitions: int, config: Mapping[str, str] | None = None) -> None:
        """Create topics; those that exist stay as they are."""
        new = [NewTopic(name, num_partitions=partitions, config=dict(config or {})) for name in names]
        for future in self._admin.create_topics(new).values():
            try:
                future.result(PATIENCE)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
        for name in names:
            self.ends(name)

    def delete(self, names: Sequence[str]) -> None:
        """Delete topics."""
        for future in self._admin.delete_topics(list(names)).values():
            future.result(PATIENCE)

    def partitions(self, topic: str) -> list[int]:
        """Return the partitions of a topic. Raises KeyError when there is no such topic."""
        found = sorted(self._admin.list_topics(topic, timeout=PATIENCE).topics[topic].partitions)
        if not found:
            raise KeyError(topic)
        return found

    def ends(self, topic: str) -> dict[int, int]:
        """Return the end offset of each partition, as soon as each has a leader."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                wanted = {TopicPartition(topic, p): OffsetSpec.latest() for p in self.partitions(topic)}
                found = self._admin.list_offsets(wanted, request_timeout=PATIENCE)
                return {tp.partition: future.result().offset for tp, future in found.items()}
            except (KafkaException, KeyError) as error:
                if not is_passing(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def count(self, topic: str) -> int:
        """Return how many records were ever written to a topic."""
        return sum(self.ends(topic).values())

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the offsets a group has committed, 0 where it has none."""
        wanted = [TopicPartition(topic, p) for p in self.partitions(topic)]
        [future] = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)]).values()
        return {tp.partition: max(tp.offset, 0) for tp in future.result(PATIENCE).topic_partitions}

    def read(self, topic: str) -> Iterator[list[Message]]:
        """Yield all records of a topic up to its present end, in offset order, in batches of one partition each."""
        left = {partition: end for partition, end in self.ends(topic).items() if end}
        consumer = reader(self.bootstrap)
        consumer.assign([TopicPartition(topic, partition, 0) for partition in left])
        deadline = time.monotonic() + PATIENCE
        try:
            while left:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{topic}: records up to {left} were not read within {PATIENCE} s")
                for partition, batch in by_partition(consumer.consume(READ, timeout=0.1)).items():
                    deadline = time.monotonic() + PATIENCE
                    yield [m for m in batch if m.error() is None and m.offset() < left.get(partition, 0)]
                    # The end of a partition is told too: the last offsets of a transaction are no records.
                    if batch[-1].offset() >= left.get(partition, 0) - 1:
                        left.pop(partition, None)
        finally:
            consumer.close()


def is_passing(error: Exception) -> bool:
    """Tell whether an error is that of a topic whose leaders are so new that not every client knows them."""
    return isinstance(error, KeyError) or error.args[0].code() in NEW_LEADER


def reader(bootstrap: str) -> Consumer:
    return Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": "unused",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "log_level": 0,
    })  # fmt: skip


def by_partition(batch: Sequence[Message]) -> dict[int, list[Message]]:
    found: dict[int, list[Message]] = {}
    for message in batch:
        found.setdefault(message.partition(), []).append(message)
    return found
