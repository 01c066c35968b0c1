"""At-least-once delivery on a real Kafka, and that each part it rests on is needed."""

import os
import signal

import pytest
from confluent_kafka import Consumer

from tests.conftest import NewTopics
from tests.kafka.broker import Broker
from tests.kafka.conftest import Job
from tests.kafka.traffic import PARTITIONS, Feed, ends, expire, send, values, wait_for

pytestmark = pytest.mark.kafka

RATE = 1_500
"""Records a second, as in the promises."""

COMMIT_SECONDS = 0.5
MAX_BATCH = 1_000


def test_records_of_a_partition_are_answered_once_and_in_order(job: Job) -> None:
    send(job.orders.bootstrap, job.orders.source, 4_000)

    relay = job.relay().ready()
    wait_for(job.group.done)

    assert relay.stop() == 0
    answered = values(job.orders.bootstrap, job.orders.target)
    assert answered == [[b"%d@%d" % (p, offset) for offset in range(1_000)] for p in range(PARTITIONS)]


def test_joins_leaves_and_clean_stops_under_load_lose_nothing_and_repeat_nothing(job: Job) -> None:
    with Feed(job.orders.bootstrap, job.orders.source, RATE):
        first = job.relay(pause_ms=20).ready()
        second = job.relay(pause_ms=20).ready()
        job.wait_for_progress(RATE)
        assert second.stop() == 0
        job.wait_for_progress(RATE)
        assert first.stop() == 0
    job.relay().ready()
    wait_for(job.group.done)

    assert (job.lost(), job.repeated()) == (0, 0)


def test_kills_under_load_lose_nothing_and_repeat_at_most_what_was_not_committed(job: Job) -> None:
    kills = 2
    with Feed(job.orders.bootstrap, job.orders.source, RATE):
        for _ in range(kills):
            relay = job.relay(pause_ms=20).ready()
            job.wait_for_progress(RATE)
            os.kill(relay.process.pid, signal.SIGKILL)
    job.relay().ready()
    wait_for(job.group.done)

    assert job.lost() == 0
    assert job.repeated() <= kills * (RATE * COMMIT_SECONDS + MAX_BATCH * PARTITIONS)


def test_a_bug_in_the_agent_ends_the_worker_and_commits_nothing_unanswered(job: Job) -> None:
    send(job.orders.bootstrap, job.orders.source, 4_000)

    assert job.relay(bug_at=500).wait() == 70
    unanswered = [(p, o) for p, o in enumerate(job.group.offsets()) if any(
        b"%d@%d" % (p, offset) not in job.answers() for offset in range(o))]  # fmt: skip
    job.relay().ready()
    wait_for(job.group.done)

    assert unanswered == []
    assert job.lost() == 0


TOO_SMALL = {"max.message.bytes": "64"}
"""A topic that refuses every record: its batch's header alone has 61 bytes."""


@pytest.fixture
def refusing(job: Job, new_topic: NewTopics) -> str:
    return new_topic("refusing", PARTITIONS, TOO_SMALL)


def test_a_failed_delivery_ends_the_worker_with_nothing_committed(job: Job, refusing: str) -> None:
    send(job.orders.bootstrap, job.orders.source, 400)

    relay = job.relay(target=refusing)

    assert relay.wait() == 70
    assert job.group.offsets() == [0] * PARTITIONS


def test_without_a_look_at_delivery_errors_records_would_be_lost_silently(job: Job, refusing: str) -> None:
    send(job.orders.bootstrap, job.orders.source, 400)

    job.relay(target=refusing, careless=True).ready()
    wait_for(job.group.done)

    assert sum(ends(job.orders.bootstrap, refusing)) == 0


def test_the_bookkeeping_of_faust_would_not_commit_batches(job: Job) -> None:
    relay = job.relay(without=["_new_offset"]).ready()
    for count in (PARTITIONS, 400):
        send(job.orders.bootstrap, job.orders.source, count)
        wait_for(lambda: len(job.answers()) == job.asked())
    relay.stop()

    assert job.group.offsets() == [1] * PARTITIONS


def test_a_flow_that_stops_and_goes_on_repeats_nothing_that_was_taken_before(job: Job) -> None:
    send(job.orders.bootstrap, job.orders.source, 40_000)

    job.relay(stutter=True).ready()
    wait_for(job.group.done)

    assert (job.lost(), job.repeated()) == (0, 0)


def test_a_worker_whose_group_became_that_of_others_ends_and_says_so(job: Job) -> None:
    relay = job.relay().ready()
    os.kill(relay.process.pid, signal.SIGSTOP)
    stranger = Consumer({
        "bootstrap.servers": job.orders.bootstrap, "group.id": job.orders.group, "session.timeout.ms": 2_000,
        "partition.assignment.strategy": "range",
    })  # fmt: skip
    try:
        stranger.subscribe([job.orders.source])
        wait_for(lambda: stranger.poll(0.1) is None and bool(stranger.assignment()))
        os.kill(relay.process.pid, signal.SIGCONT)

        assert relay.wait() == 70
    finally:
        stranger.close()
    assert "the membership is lost" in relay.complaints


def test_workers_with_one_static_id_do_not_evict_each_other_for_ever(job: Job) -> None:
    static = {"group.instance.id": "same"}
    rivals = [job.relay(kafka=static).ready(), job.relay(kafka=static)]
    wait_for(lambda: any(rival.process.poll() is not None for rival in rivals))
    ended = next(rival for rival in rivals if rival.process.poll() is not None)

    # 69 where it loses its place before it has begun
    assert ended.wait() == 69 or (ended.wait() == 70 and "group.instance.id same" in ended.complaints)

    for rival in rivals:
        rival.kill()
    send(job.orders.bootstrap, job.orders.source, 400)
    job.relay(kafka=static).ready()
    wait_for(job.group.done)
    assert (job.lost(), job.repeated()) == (0, 0)


def test_records_that_expired_unread_are_reported_and_the_rest_is_answered_and_committed(job: Job) -> None:
    relay = job.relay().ready()
    send(job.orders.bootstrap, job.orders.source, 400)
    wait_for(job.group.done)
    relay.stop()
    send(job.orders.bootstrap, job.orders.source, 400)
    expire(job.orders.bootstrap, job.orders.source, 150)

    relay = job.relay().ready()
    wait_for(job.group.done)
    relay.stop()

    assert sorted(job.answers()) == sorted(
        b"%d@%d" % (p, o) for p in range(PARTITIONS) for o in (*range(100), *range(150, 200))
    )
    assert relay.complaints.count("offset 100 is gone") == PARTITIONS


def test_a_broker_that_freezes_for_a_while_costs_nothing(job: Job, broker: Broker) -> None:
    if job.orders.bootstrap != broker.bootstrap:
        pytest.skip("the broker that is given cannot be frozen")
    relay = job.relay(pause_ms=20).ready()
    with Feed(job.orders.bootstrap, job.orders.source, RATE):
        wait_for(lambda: sum(job.group.offsets()) >= RATE)
        broker.freeze()
        with pytest.raises(TimeoutError):
            wait_for(lambda: relay.process.poll() is not None, seconds=1.5)
        broker.resume()
    wait_for(job.group.done)

    assert relay.stop() == 0
    assert (job.lost(), job.repeated()) == (0, 0)
