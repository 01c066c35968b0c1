"""Traffic at a steady pace, and a spectator who misses nothing: both on the embedded broker."""

import queue
import threading
import time
from collections.abc import Iterator

import pytest

from coalmine.errors import BrokerError
from coalmine.policies import At
from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.kafka.embedded import EmbeddedBroker
from coalmine.streams.kafka.feed import Feed, Record
from coalmine.streams.kafka.topics import TopicSpec
from coalmine.streams.kafka.watch import Watch

Seen = tuple[str, At, bytes]


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    broker = EmbeddedBroker()
    yield KafkaSettings({"bootstrap.servers": broker.start([TopicSpec(name="r", partitions=4)]), "log_level": "0"})
    broker.stop()


def records(count: int) -> Iterator[Record]:
    return ((f"{number}", f"key-{number}".encode(), f"{number}".encode()) for number in range(count))


def test_everything_sent_is_seen_in_order_within_a_partition(kafka: KafkaSettings) -> None:
    seen: queue.SimpleQueue[Seen] = queue.SimpleQueue()
    sent: list[str] = []
    watch = Watch(kafka, ["r"], lambda *record: seen.put(record))
    watch.start()

    Feed(kafka, "r", 1_000.0, sent.append).run(records(200), threading.Event())
    got = [seen.get(timeout=5) for _ in sent]
    watch.stop()

    assert sorted(int(value) for _, _, value in got) == list(range(200)) == [int(id_) for id_ in sent]
    assert sorted(at.offset for _, at, _ in got).count(0) == 4


def test_the_pace_is_kept_and_a_stop_ends_it(kafka: KafkaSettings) -> None:
    enough, sent = threading.Event(), list[str]()
    threading.Timer(1.0, enough.set).start()
    began = time.monotonic()

    Feed(kafka, "r", 300.0, sent.append).run(records(10_000), enough)

    assert 0.9 < time.monotonic() - began < 3.0
    assert 200 < len(sent) <= 330


def test_a_spectator_of_a_topic_that_is_not_there_says_so(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coalmine.streams.kafka.watch.METADATA_SECONDS", 0.5)
    watch = Watch(kafka, ["nowhere"], lambda *_: None)
    watch.start()
    watch._thread.join(5)

    with pytest.raises(BrokerError, match="has no topic nowhere"):
        watch.check()


def test_what_a_spectator_cannot_bear_ends_the_watch(kafka: KafkaSettings) -> None:
    def stumble(*_: object) -> None:
        raise RuntimeError("stumbled")

    Feed(kafka, "r", 1_000.0, lambda _: None).run(records(1), threading.Event())
    watch = Watch(kafka, ["r"], stumble)
    watch.start()
    watch._thread.join(5)

    with pytest.raises(RuntimeError, match="stumbled"):
        watch.stop()
