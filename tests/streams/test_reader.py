"""The reader where a partition has no leader for a moment, on a mock cluster; reading is tested on a real Kafka."""

import ctypes
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError

from coalmine.errors import BrokerError
from coalmine.streams.kafka import embedded, reader
from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.kafka.reader import PartitionReader

TOPIC = "coalmine.control"
LIST_OFFSETS = 2
"""Kafka's number of the request that asks for the ends of a partition."""

Failing = tuple[KafkaSettings, Callable[[int], None]]
"""Settings for a cluster, and a function that lets that many questions for ends fail."""


@pytest.fixture
def cluster() -> Failing:
    library = embedded.load_library()
    started = embedded.start_cluster([(TOPIC, 1)])
    if library is None or started is None:
        pytest.skip("this build of librdkafka hides the mock cluster")
    address = started[0]
    kept: Any = started[1]
    push = library.rd_kafka_mock_push_request_errors_array
    push.argtypes = [ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.c_void_p]

    def fail(count: int) -> None:
        push(kept[2], LIST_OFFSETS, count, (ctypes.c_int * count)(*[KafkaError.NOT_LEADER_FOR_PARTITION] * count))

    return KafkaSettings({"bootstrap.servers": address, "log_level": 0}), fail


def test_a_partition_of_a_topic_that_was_just_created_is_asked_until_it_has_a_leader(cluster: Failing) -> None:
    kafka, fail = cluster
    fail(20)

    with PartitionReader(kafka, TOPIC) as opened:
        assert (opened.position, opened.end) == (0, 0)


def test_a_partition_that_stays_without_a_leader_is_an_error(cluster: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "ANSWER_SECONDS", 1.0)
    kafka, fail = cluster
    fail(1_000)

    with pytest.raises(BrokerError, match="does not tell the end"):
        PartitionReader(kafka, TOPIC)
