"""Where the partitions of a topic end, asked of the broker, for a judge that must know what its tallies miss."""

import logging
from collections.abc import Mapping

import confluent_kafka
from confluent_kafka import KafkaException, TopicPartition

from .client import KafkaSettings
from .opening import opened

__all__ = ["EndOffsetReader"]

ANSWER_SECONDS = 2.0
"""How long the broker may take for one answer; a look waits for it."""

log = logging.getLogger(__name__)


class EndOffsetReader:
    """Asks for end offsets. Not for the event loop: a call may take seconds."""

    def __init__(self, kafka: KafkaSettings) -> None:
        settings = {"group.id": "coalmine-ends", "enable.auto.commit": False}
        self._consumer = opened(confluent_kafka.Consumer, {**kafka.reader(), **settings})
        self._last: dict[str, Mapping[int, int]] = {}

    def read(self, topic: str) -> Mapping[int, int]:
        """Return the end offset of each partition that holds records; what was last known while nobody answers."""
        try:
            found = self._consumer.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
            self._last[topic] = {
                partition: end
                for partition in found.partitions
                for first, end in [
                    self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_SECONDS)
                ]
                if end > first
            }
        except KafkaException as error:
            log.warning("%s: its end is not known: %s", topic, error.args[0].str())
        return self._last.get(topic, {})

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()
