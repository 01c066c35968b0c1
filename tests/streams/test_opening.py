from collections.abc import Callable
from typing import Any

import pytest

from coalmine.errors import ConfigError
from coalmine.streams.control.fold import check_append_time
from coalmine.streams.kafka.admin import Admin
from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.kafka.end_offsets import EndOffsetReader
from coalmine.streams.kafka.producer import Producer
from coalmine.streams.kafka.reader import PartitionReader
from coalmine.streams.kafka.reading import Reader
from coalmine.streams.transport.intake import Intake


def intake(kafka: KafkaSettings) -> Intake:
    return Intake(kafka.reader(), "group", lambda _: None)


CLIENTS: list[Callable[[KafkaSettings], Any]] = [
    Producer, Reader, Admin, EndOffsetReader, intake, lambda kafka: PartitionReader(kafka, "t"),
    lambda kafka: check_append_time(kafka, "t"),
]  # fmt: skip


def told(client: Callable[[KafkaSettings], Any], name: str, value: str | int) -> str:
    with pytest.raises(ConfigError) as caught:
        client(KafkaSettings({"bootstrap.servers": "127.0.0.1:1", "log_level": 0, name: value}))
    return str(caught.value)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_value_that_librdkafka_refuses_is_an_error_of_the_settings(client: Callable[[KafkaSettings], Any]) -> None:
    says = told(client, "socket.timeout.ms", "soon")

    assert says == 'kafka: Invalid value for configuration property "socket.timeout.ms"; correct it in [kafka]'


@pytest.mark.parametrize(
    ("name", "value"),
    [("linger.ms", "short"), ("linger.ms", 9_999_999), ("max.in.flight.requests.per.connection", 6),
     ("delivery.timeout.ms", "long"), ("compression.type", "zip")],
)  # fmt: skip
def test_a_refused_value_is_told_under_the_name_its_author_wrote(name: str, value: str | int) -> None:
    assert name in told(Producer, name, value)
