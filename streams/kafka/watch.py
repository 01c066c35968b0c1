"""Watches topics from their beginning, without a group: what a spectator of a rollout does."""

import threading
import time
from collections.abc import Callable, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from coalmine.errors import BrokerError
from coalmine.policies import At

from .client import KafkaSettings
from .opening import opened
from .reading import client_settings, offset_of

__all__ = ["Watch"]

FETCH_WAIT_MS = 10
"""Longest wait of a fetch for data, in ms: the demo's broker does not answer sooner when a record arrives."""

METADATA_SECONDS = 10.0
POLL_SECONDS = 0.05
CHUNK = 500

OnRecord = Callable[[str, At, bytes], None]
"""Called with the topic, the place in its partition with the append (or create) time, and the value."""


class Watch:
    """Hands every record of `topics` to `on_record`, in a thread of its own, in order within a partition.

    An exception of `on_record`, or of the client, ends the watch and is raised by `check` and `stop`.
    """

    def __init__(self, kafka: KafkaSettings, topics: Sequence[str], on_record: OnRecord) -> None:
        self._client = {
            **client_settings(kafka.reader()),
            "group.id": "coalmine.watch",  # never joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "fetch.wait.max.ms": FETCH_WAIT_MS,
        }
        self._address = kafka.bootstrap
        self._topics = topics
        self._on_record = on_record
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to watch; topics must exist."""
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the watch, if anything did."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End the watch; raise what ended it before."""
        self._stopping.set()
        self._thread.join()
        self.check()

    def _run(self) -> None:
        consumer = opened(Consumer, self._client)
        try:
            consumer.assign(self._partitions(consumer))
            while not self._stopping.is_set():
                for record in consumer.consume(CHUNK, POLL_SECONDS):
                    if record.error() is None and (value := record.value()) is not None:
                        at = At(offset_of(record), record.timestamp()[1])
                        self._on_record(str(record.topic()), at, value)
        except KafkaException as error:
            self._failure = BrokerError(f"{self._address} stopped answering: {error.args[0].str()}")
        except Exception as error:  # noqa: BLE001 - raised again in the thread of the owner
            self._failure = error
        finally:
            consumer.close()

    def _partitions(self, consumer: Consumer) -> list[TopicPartition]:
        """Return all partitions of the topics; of topics that were just created a broker may learn a moment later."""
        deadline = time.monotonic() + METADATA_SECONDS
        while True:
            known = consumer.list_topics(timeout=METADATA_SECONDS).topics
            if known.keys() >= set(self._topics):
                return [TopicPartition(topic, number, OFFSET_BEGINNING) for topic in self._topics
                        for number in known[topic].partitions]  # fmt: skip
            if self._stopping.wait(POLL_SECONDS) or time.monotonic() > deadline:
                raise BrokerError(f"{self._address} has no topic {', '.join(set(self._topics) - known.keys())}")
