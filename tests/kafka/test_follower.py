"""Following a topic of one partition on a real Kafka."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from confluent_kafka import Producer

from coalmine.errors import BrokerError
from coalmine.streams.control.fold import check_append_time
from coalmine.streams.kafka import follower as follower_module
from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.kafka.follower import TopicFollower
from coalmine.streams.kafka.reader import LogRecord, read_to_end
from tests.conftest import NewTopics
from tests.kafka.broker import Broker

pytestmark = pytest.mark.kafka

APPENDED = {"message.timestamp.type": "LogAppendTime"}

Story = Callable[[TopicFollower, list[LogRecord]], Awaitable[None]]


def write(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 3})
    for value in values:
        producer.produce(topic, value, b"key", headers=[("h", b"1")])
    assert producer.flush(10) == 0


def follow(bootstrap: str, topic: str, story: Story, *, from_beginning: bool = True, single: bool = True) -> None:
    """Play `story` with a follower that has caught up and the records it delivered so far."""

    async def play() -> None:
        got: list[LogRecord] = []
        kafka = KafkaSettings({"bootstrap.servers": bootstrap, "log_level": 3})
        follower = TopicFollower(kafka, topic, got.append, from_beginning=from_beginning, single=single)
        follower.start()
        try:
            async with asyncio.timeout(20):
                await follower.caught_up()
                await story(follower, got)
        finally:
            follower.stop()

    asyncio.run(play())


async def until(fact: Callable[[], bool]) -> None:
    while not fact():
        await asyncio.sleep(0.005)


def test_a_follower_delivers_what_was_there_and_what_comes_in_order(bootstrap: str, new_topic: NewTopics) -> None:
    topic = new_topic("control", config=APPENDED)
    write(bootstrap, topic, [b"%d" % number for number in range(1_000)])

    async def story(follower: TopicFollower, got: list[LogRecord]) -> None:
        assert len(got) == follower.position == 1_000
        await asyncio.to_thread(write, bootstrap, topic, [b"1000"])
        await until(lambda: len(got) == 1_001)
        assert [record.value for record in got] == [b"%d" % number for number in range(1_001)]

    follow(bootstrap, topic, story)


def test_a_record_carries_its_append_time_key_and_headers(bootstrap: str, new_topic: NewTopics) -> None:
    topic = new_topic("control", config=APPENDED)
    write(bootstrap, topic, [b"value"])

    (record,) = read_to_end(KafkaSettings({"bootstrap.servers": bootstrap}), topic)

    assert (record.offset, record.key, record.value, record.headers) == (0, b"key", b"value", (("h", b"1"),))
    assert record.append_time
    assert record.ms > 1_700_000_000_000


def test_a_follower_of_the_end_sees_only_what_comes(bootstrap: str, new_topic: NewTopics) -> None:
    topic = new_topic("events")
    write(bootstrap, topic, [b"old"] * 10)

    async def story(follower: TopicFollower, got: list[LogRecord]) -> None:
        await asyncio.to_thread(write, bootstrap, topic, [b"new"])
        await until(lambda: bool(got))
        assert [(record.offset, record.value) for record in got] == [(10, b"new")]

    follow(bootstrap, topic, story, from_beginning=False)


async def nothing(follower: TopicFollower, got: list[LogRecord]) -> None:
    pass


def test_a_topic_of_several_partitions_is_refused_where_order_matters(bootstrap: str, new_topic: NewTopics) -> None:
    topic = new_topic("control", partitions=2)

    follow(bootstrap, topic, nothing, single=False)
    with pytest.raises(BrokerError, match="has 2 partitions"):
        follow(bootstrap, topic, nothing)


def test_a_topic_that_does_not_exist_is_an_error_with_a_remedy(bootstrap: str) -> None:
    with pytest.raises(BrokerError, match="topics apply"):
        follow(bootstrap, "no-such-topic", nothing)


def test_an_error_in_the_receiver_ends_the_follower(bootstrap: str, new_topic: NewTopics) -> None:
    topic = new_topic("control")

    async def story(follower: TopicFollower, got: list[LogRecord]) -> None:
        follower._on_record = lambda record: 1 // 0  # type: ignore[assignment]
        await asyncio.to_thread(write, bootstrap, topic, [b"value"])
        await follower.failed()

    with pytest.raises(ZeroDivisionError):
        follow(bootstrap, topic, story)


def test_the_time_of_the_writers_is_refused_as_a_clock(bootstrap: str, new_topic: NewTopics) -> None:
    kafka = KafkaSettings({"bootstrap.servers": bootstrap})

    check_append_time(kafka, new_topic("control", config=APPENDED))
    with pytest.raises(BrokerError, match="LogAppendTime"):
        check_append_time(kafka, new_topic("stamped-by-writers"))


def test_only_an_answer_of_the_broker_confirms_that_nothing_is_left(
    broker: Broker, new_topic: NewTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "CONFIRM_SECONDS", 0.05)
    topic = new_topic("control")

    async def story(follower: TopicFollower, got: list[LogRecord]) -> None:
        await until(lambda: follower.silence() < 0.5)
        broker.freeze()
        try:
            await until(lambda: follower.silence() > 1.0)
        finally:
            broker.resume()
        await until(lambda: follower.silence() < 0.5)

    follow(broker.bootstrap, topic, story)
