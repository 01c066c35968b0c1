import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from coalmine.errors import BrokerError
from coalmine.streams.kafka import embedded
from coalmine.streams.kafka.embedded import EmbeddedBroker
from coalmine.streams.kafka.topics import TopicSpec

TOPICS = [TopicSpec(name="coalmine.control", partitions=1), TopicSpec(name="flights.requests", partitions=6)]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    broker = EmbeddedBroker()
    yield broker.start(TOPICS)
    broker.stop()


def partitions(address: str) -> dict[str, int]:
    known = Producer({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=5).topics
    return {name: len(topic.partitions) for name, topic in known.items()}


def until(fact: Callable[[], bool], seconds: float) -> bool:
    """Wait for `fact`; tell whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{pid}/stat") as stat:  # a zombie that nobody reaps here is gone too
        return stat.read().rpartition(")")[2].split()[0] == "Z"


def test_topics_have_their_partition_counts_when_the_address_is_known(address: str) -> None:
    assert partitions(address) == {"coalmine.control": 1, "flights.requests": 6}


def test_what_is_produced_can_be_consumed(address: str) -> None:
    producer = Producer({"bootstrap.servers": address, "log_level": 0})
    consumer = Consumer({"bootstrap.servers": address, "group.id": str(uuid.uuid4()), "fetch.wait.max.ms": 10})
    consumer.assign([TopicPartition("flights.requests", 5, 0)])

    producer.produce("flights.requests", key=b"N14228", value=b"{}", partition=5)
    unconfirmed = producer.flush(5)
    record = consumer.poll(5)
    consumer.close()

    assert unconfirmed == 0
    assert record is not None
    assert (record.key(), record.value(), record.offset()) == (b"N14228", b"{}", 0)


def test_the_first_member_of_a_group_joins_at_once(address: str) -> None:
    consumer = Consumer({"bootstrap.servers": address, "group.id": str(uuid.uuid4()), "fetch.wait.max.ms": 10})
    began = time.monotonic()

    consumer.subscribe(["flights.requests"])
    joined = until(lambda: consumer.poll(0.05) is None and len(consumer.assignment()) == 6, 2.0)
    consumer.close()

    assert joined, f"still no partitions after {time.monotonic() - began:.1f} s"


def test_a_write_to_a_partition_that_is_not_there_is_refused(address: str) -> None:
    outcomes: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": address, "log_level": 0})

    producer.produce("coalmine.control", value=b"{}", partition=1, on_delivery=lambda error, _: outcomes.append(error))
    producer.flush(5)

    assert outcomes[0] is not None
    assert outcomes[0].code() == KafkaError._UNKNOWN_PARTITION


def test_the_broker_ends_within_a_second_of_being_told() -> None:
    broker = EmbeddedBroker()
    broker.start(TOPICS)
    began = time.monotonic()

    broker.stop()

    assert not broker.alive
    assert time.monotonic() - began < 1.0


def test_the_broker_ignores_an_interrupt_of_the_whole_terminal() -> None:
    broker = EmbeddedBroker()
    address = broker.start(TOPICS)
    assert broker._child is not None

    broker._child.send_signal(signal.SIGINT)

    assert partitions(address)["flights.requests"] == 6
    broker.stop()


PARENT = """
import sys, time
from coalmine.streams.kafka.embedded import EmbeddedBroker
broker = EmbeddedBroker()
broker.start([])
print(broker._child.pid, flush=True)
time.sleep(60)
"""


def test_no_broker_outlives_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    broker = int(parent.stdout.readline())
    assert not gone(broker)

    parent.kill()
    parent.communicate()

    assert until(lambda: gone(broker), embedded.ORPHAN_SECONDS + 2)


def test_without_the_hidden_symbols_the_plain_recipe_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "load_library", lambda: None)
    names = [(topic.name, topic.partitions) for topic in TOPICS]

    assert embedded.start_cluster(names) is None
    address, cluster = embedded.start_plain_cluster(names)

    assert partitions(address) == {"coalmine.control": 4, "flights.requests": 4}
    del cluster


def test_a_child_that_dies_at_once_is_an_error_of_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(BrokerError, match="use a real Kafka"):
        EmbeddedBroker().start(TOPICS)
