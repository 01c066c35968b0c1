"""Exactly once into a table on a real Kafka, through kills, dropped records and holes."""

import os
import signal
from dataclasses import asdict
from typing import Any

import confluent_kafka
import pytest

from tests.kafka.conftest import Job
from tests.kafka.summing import SumOrders
from tests.kafka.traffic import PARTITIONS, Relay, send, values, wait_for

pytestmark = pytest.mark.kafka


def summing(job: Job, **changes: Any) -> Relay:
    orders = SumOrders(**{**asdict(job.orders), **changes})
    relay = Relay(orders, "tests.kafka.summing")
    job.relays.append(relay)
    return relay


def truth(job: Job) -> dict[str, list[int]]:
    """Return the count and sum of every partition as the topic has them."""
    found = values(job.orders.bootstrap, job.orders.source)
    return {str(p): [len(all_of), sum(int(value) for value in all_of)] for p, all_of in enumerate(found)}


def counted(relay: Relay) -> Any:
    return relay.facts()[-1]["sums"] if relay.facts() else {}


def wait_until_counted(relay: Relay, records: int) -> None:
    wait_for(lambda: sum(count for count, _ in counted(relay).values()) >= records)


def test_sums_are_exact_after_kills_with_a_backlog(job: Job) -> None:
    send(job.orders.bootstrap, job.orders.source, 40_000)
    for goal in (10_000, 20_000):
        relay = summing(job, pause_ms=20)
        wait_until_counted(relay, goal)
        os.kill(relay.process.pid, signal.SIGKILL)

    last = summing(job)
    wait_until_counted(last, 40_000)

    assert last.stop() == 0
    assert counted(last) == truth(job)


def test_records_that_were_skipped_are_sought_back(job: Job) -> None:
    send(job.orders.bootstrap, job.orders.source, 12_000)

    relay = summing(job, jump_at=1_000)
    wait_until_counted(relay, 12_000)

    assert counted(relay) == truth(job)
    assert "seeking back" in relay.complaints


def test_without_the_rule_skipped_records_would_be_missing(job: Job) -> None:
    send(job.orders.bootstrap, job.orders.source, 12_000)

    relay = summing(job, jump_at=1_000, trusting=True)
    wait_for(lambda: relay.ready() and job.group.done())
    relay.stop()

    assert counted(relay)["0"][0] < 3_000


def test_holes_that_transactions_leave_do_not_hold_up_the_sums(job: Job) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": job.orders.bootstrap, "transactional.id": job.orders.group, "log_level": 3}
    )
    producer.init_transactions(10)
    relay = summing(job).ready()
    for transaction in range(1, 4):
        producer.begin_transaction()
        for number in range(100 * PARTITIONS):
            producer.produce(job.orders.source, b"%d" % number, partition=number % PARTITIONS)
        producer.commit_transaction(10)
        wait_until_counted(relay, transaction * 100 * PARTITIONS)

    assert counted(relay) == truth(job)
    assert "do not exist; reading on" in relay.complaints
