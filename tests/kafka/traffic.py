"""Load for the workers under test, and the facts about what became of it, read from the topics themselves."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import confluent_kafka
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.kafka.reader import PartitionReader
from tests.kafka.relay import Orders

PARTITIONS = 4

T = TypeVar("T")


def wait_for(fact: Callable[[], T], seconds: float = 45.0) -> T:
    """Return the first true value of `fact`; raise TimeoutError with the last false one after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := fact()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {value!r} after {seconds} s")
        time.sleep(0.05)
    return value


def plain(bootstrap: str) -> KafkaSettings:
    return KafkaSettings({"bootstrap.servers": bootstrap, "log_level": 3})


class Feed:
    """Sends records to every partition of a topic at a rate until it is closed; closing waits until all are there."""

    def __init__(self, bootstrap: str, topic: str, rate: float) -> None:
        self._producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 3})
        self._topic, self._rate = topic, rate
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def _send(self) -> None:
        sent, begin = 0, time.monotonic()
        while not self._ended.wait(0.01):
            due = int((time.monotonic() - begin) * self._rate)
            for number in range(sent, due):
                self._producer.produce(self._topic, b"%d" % number, b"key", number % PARTITIONS)
            sent = max(sent, due)
            self._producer.poll(0)

    def __enter__(self) -> "Feed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        assert self._producer.flush(60) == 0


def send(bootstrap: str, topic: str, count: int) -> None:
    """Send `count` records, spread over the partitions, and wait until they are there."""
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "log_level": 3})
    for number in range(count):
        producer.produce(topic, b"%d" % number, b"key", number % PARTITIONS)
    assert producer.flush(30) == 0


def expire(bootstrap: str, topic: str, offset: int) -> None:
    """Delete the records of every partition below `offset`, as retention does."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    for done in admin.delete_records([TopicPartition(topic, p, offset) for p in range(PARTITIONS)]).values():
        done.result(30)


def ends(bootstrap: str, topic: str) -> list[int]:
    """Return the end offset of every partition."""
    found = []
    for partition in range(PARTITIONS):
        with PartitionReader(plain(bootstrap), topic, partition, single=False) as reader:
            found.append(reader.end)
    return found


def values(bootstrap: str, topic: str) -> list[list[bytes]]:
    """Return the values of every partition in order."""
    return [partition_values(bootstrap, topic, partition) for partition in range(PARTITIONS)]


def partition_values(bootstrap: str, topic: str, partition: int) -> list[bytes]:
    found: list[bytes] = []
    with PartitionReader(plain(bootstrap), topic, partition, single=False) as reader:
        while not reader.caught_up:
            found += [record.value or b"" for record in reader.poll(0.1)]
    return found


def places(bootstrap: str, topic: str) -> Counter[bytes]:
    """Return how often each place, `partition@offset`, was answered."""
    return Counter(value for partition in values(bootstrap, topic) for value in partition)


def asked(bootstrap: str, topic: str) -> set[bytes]:
    """Return the place of every record of a topic without holes."""
    return {b"%d@%d" % (p, offset) for p, end in enumerate(ends(bootstrap, topic)) for offset in range(end)}


class Group:
    """What a consumer group has committed."""

    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        self._bootstrap, self._topic = bootstrap, topic
        self._consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": bootstrap, "group.id": group, "log_level": 3, "enable.auto.commit": False}
        )

    def offsets(self) -> list[int]:
        """Return the committed offset of every partition, 0 where there is none."""
        asked_for = [TopicPartition(self._topic, partition) for partition in range(PARTITIONS)]
        return [max(0, found.offset) for found in self._consumer.committed(asked_for, timeout=5)]

    def done(self) -> bool:
        """Whether everything in the topic is committed."""
        return self.offsets() == ends(self._bootstrap, self._topic)

    def close(self) -> None:
        self._consumer.close()


class Relay:
    """A worker process under test."""

    def __init__(self, orders: Orders, module: str = "tests.kafka.relay") -> None:
        command = [sys.executable, "-m", module, orders.json()]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said: list[str] = []
        self.complaints = ""
        self._ears = [threading.Thread(target=target, daemon=True) for target in (self._listen, self._note)]
        for ear in self._ears:
            ear.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.said.append(line.strip())

    def _note(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.complaints += line

    def ready(self, seconds: float = 45.0) -> "Relay":
        """Wait until the worker holds partitions."""
        wait_for(
            lambda: any(line.startswith("ready") for line in self.said) or self.process.poll() is not None, seconds
        )
        assert self.process.poll() is None, self.complaints
        return self

    def facts(self) -> list[dict[str, object]]:
        """Return what the worker said as JSON."""
        return [json.loads(line) for line in self.said if line.startswith("{")]

    def stop(self, seconds: float = 45.0) -> int:
        """Ask the worker to stop and return its exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def wait(self, seconds: float = 45.0) -> int:
        """Return the exit code of a worker that ends by itself."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """Kill the worker if it still runs."""
        self.process.kill()
        self.process.wait()
        for ear in self._ears:
            ear.join()
