"""The broker of `coalmine demo`: librdkafka's mock cluster in a child process; no Java, no container.

Good for a demo and for tests of clients, and for nothing else: it keeps 5 MiB a partition, knows create time only, no
compaction, no transactions, no topic settings, and a group of one member. Its lone listener is on 127.0.0.1.

The mock is made through its C interface, found in confluent-kafka's own extension module, because only that way
topics get their partition counts and a first member joins without a delay of three seconds. Where a symbol is missing
the plain recipe remains: four partitions everywhere and a slow first join.

Parent and child talk over pipes: the child reads the topics from its first line of input, prints the address once all
topics exist, and ends at the next line at once, or at the end of input (the parent died) a little later, so that the
clients, which watch the parent too, can leave in order.
"""

import ctypes
import json
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from coalmine.errors import BrokerError

if TYPE_CHECKING:
    from .topics import TopicSpec

__all__ = ["EmbeddedBroker"]

START_SECONDS = 15.0
"""Limit for the broker's start; it takes 0.2 s on an idle machine."""

STOP_SECONDS = 2.0
"""Limit for a stop in order before the child is killed; it takes less than 0.1 s."""

ORPHAN_SECONDS = 2.5
"""How long the broker outlives a parent that died: its clients stop in 0.5 s, or hang 8 s if the broker is gone."""

WAKE_SECONDS = 0.01
"""Interval of connections that wake the mock up while topics are made: a lost wake-up costs it a second."""

Topics = Sequence[tuple[str, int]]
"""Names and partition counts."""


class EmbeddedBroker:
    """A mock broker in a child process that lives no longer than this process."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    @property
    def alive(self) -> bool:
        """Whether the broker runs; its clients hang for seconds once it does not, so kill them then."""
        return self._child is not None and self._child.poll() is None

    def start(self, topics: "Sequence[TopicSpec]") -> str:
        """Start the broker with `topics` and return its `host:port`. Raises BrokerError when it does not come up.

        Topic settings are ignored: this broker has none.
        """
        self._child = subprocess.Popen(
            [sys.executable, "-m", "coalmine.streams.kafka.embedded"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True,
        )  # fmt: skip
        address = self._introduce(self._child, json.dumps([(topic.name, topic.partitions) for topic in topics]))
        if not address:
            self.stop()
            raise BrokerError(f"the embedded broker did not start within {START_SECONDS:.0f} s: use a real Kafka")
        return address

    @staticmethod
    def _introduce(child: "subprocess.Popen[str]", topics: str) -> str:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(topics + "\n")
        except BrokenPipeError:
            return ""
        ready, _, _ = select.select([child.stdout], [], [], START_SECONDS)
        return child.stdout.readline().strip() if ready else ""

    def stop(self) -> None:
        """End the broker; harmless when it is gone already. Stop its clients first: without it they hang."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(BrokenPipeError):
            child.stdin.write("stop\n")
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()
        with suppress(BrokenPipeError):
            child.stdin.close()


def serve() -> None:
    """Be the child: read the topics, print the address, hold the cluster until the input says stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # besides the session of its own, for whoever runs it by hand
    topics = [(name, partitions) for name, partitions in json.loads(sys.stdin.readline())]
    address, cluster = start_cluster(topics) or start_plain_cluster(topics)
    print(address, flush=True)
    if not sys.stdin.readline():
        time.sleep(ORPHAN_SECONDS)
    del cluster


def start_cluster(topics: Topics) -> tuple[str, object] | None:
    """Make a mock cluster through librdkafka's C interface; None when this build hides a symbol of it.

    The second value keeps the cluster alive; it runs in a thread of librdkafka and needs no polling.
    """
    library = load_library()
    if library is None:
        return None
    error = ctypes.create_string_buffer(512)
    conf = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(conf, b"log_level", b"0", error, len(error))
    client = library.rd_kafka_new(0, conf, error, len(error))
    if not client:
        raise BrokerError(f"librdkafka made no client for the embedded broker: {error.value.decode()}")
    cluster = library.rd_kafka_mock_cluster_new(client, 1)
    if not cluster:
        raise BrokerError("librdkafka made no mock cluster for the embedded broker")
    address = library.rd_kafka_mock_cluster_bootstraps(cluster).decode()
    with_wake_ups(address, lambda: create_topics(library, cluster, topics))
    return address, (library, client, cluster)


def load_library() -> Any | None:
    """Return confluent-kafka's librdkafka with the mock's functions declared, or None when one is missing."""
    import confluent_kafka.cimpl

    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (number, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
    }
    try:
        library = ctypes.CDLL(confluent_kafka.cimpl.__file__)
        for name, (result, arguments) in signatures.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return library


def create_topics(library: Any, cluster: int, topics: Topics) -> None:
    """Create `topics` with their partition counts and let the first member of a group join without delay."""
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
    for name, partitions in topics:
        failed = library.rd_kafka_mock_topic_create(cluster, name.encode(), partitions, 1)
        if failed:
            raise BrokerError(f"the embedded broker refused topic {name} with {partitions} partitions: error {failed}")


def with_wake_ups(address: str, work: Callable[[], None]) -> None:
    """Do `work` while a thread keeps connecting to `address`, so that the mock's thread never sleeps through it."""
    done = threading.Event()
    host, _, port = address.partition(":")

    def connect() -> None:
        while not done.wait(WAKE_SECONDS):
            socket.create_connection((host, int(port))).close()

    waker = threading.Thread(target=connect, daemon=True)
    waker.start()
    try:
        work()
    finally:
        done.set()
        waker.join()


def start_plain_cluster(topics: Topics) -> tuple[str, object]:
    """Make a mock cluster by configuration alone: every topic has four partitions, the first join takes 3 s."""
    from confluent_kafka import Producer

    producer = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    for name, _ in topics:
        producer.list_topics(name, timeout=START_SECONDS)
    broker = next(iter(producer.list_topics(timeout=START_SECONDS).brokers.values()))
    return f"{broker.host}:{broker.port}", producer


if __name__ == "__main__":
    serve()
