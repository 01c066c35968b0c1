"""What the producer delivers on a real Kafka."""

import os

import pytest
from aiokafka.partitioner import DefaultPartitioner

from coalmine.streams.kafka.producer import Producer
from coalmine.streams.kafka.reader import PartitionReader
from coalmine.streams.kafka.topics import ROOMY
from tests.conftest import NewTopics
from tests.kafka.traffic import PARTITIONS, plain, values

pytestmark = pytest.mark.kafka


def test_keys_go_where_java_puts_them(bootstrap: str, new_topic: NewTopics) -> None:
    topic = new_topic("predictions", PARTITIONS)
    keys = [b"key-%d" % number for number in range(40)]
    producer = Producer(plain(bootstrap))

    for key in keys:
        producer.produce(topic, key, key)
    producer.flush()

    java, partitions = DefaultPartitioner(), list(range(PARTITIONS))
    expected = [[key for key in keys if java(key, partitions, partitions) == p] for p in partitions]
    assert values(bootstrap, topic) == expected


def test_a_dead_letter_larger_than_kafka_s_default_limit_is_delivered(bootstrap: str, new_topic: NewTopics) -> None:
    topic = new_topic("dead-letters", config=ROOMY)
    value = os.urandom(5_000_000)
    producer = Producer(plain(bootstrap))

    producer.produce(topic, value, b"key", headers=[("why", b"too_large")])
    producer.flush()

    with PartitionReader(plain(bootstrap), topic) as reader:
        (record,) = reader.poll(10)
    assert (record.value, record.headers) == (value, (("why", b"too_large"),))
