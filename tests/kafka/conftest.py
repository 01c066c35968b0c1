"""A job for the workers under test: two topics, a group, and processes that never outlive a test."""

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.conftest import NewTopics
from tests.kafka.relay import Orders
from tests.kafka.traffic import PARTITIONS, Group, Relay, asked, ends, places, wait_for


@dataclass
class Job:
    """Relays from one topic to another, and what they did."""

    orders: Orders
    group: Group
    relays: list[Relay] = field(default_factory=list)

    def relay(self, **changes: Any) -> Relay:
        """Start a worker; `changes` are fields of its orders."""
        relay = Relay(replace(self.orders, **changes))
        self.relays.append(relay)
        return relay

    def wait_for_progress(self, records: int) -> None:
        """Wait until the group has committed `records` more."""
        least = sum(self.group.offsets()) + records
        wait_for(lambda: sum(self.group.offsets()) >= least)

    def lost(self) -> int:
        """Return how many records have no answer."""
        return len(asked(self.orders.bootstrap, self.orders.source) - set(self.answers()))

    def repeated(self) -> int:
        """Return how many answers there are too many."""
        return sum(self.answers().values()) - len(self.answers())

    def answers(self) -> Counter[bytes]:
        return places(self.orders.bootstrap, self.orders.target)

    def asked(self) -> int:
        return sum(ends(self.orders.bootstrap, self.orders.source))


@pytest.fixture
def job(bootstrap: str, new_topic: NewTopics) -> Iterator[Job]:
    source, target = new_topic("source", PARTITIONS), new_topic("target", PARTITIONS)
    group = f"relay-{uuid.uuid4().hex[:8]}"
    orders = Orders(bootstrap, source, target, group, kafka={"session.timeout.ms": "2000"})
    committed = Group(bootstrap, group, source)
    made = Job(orders, committed)
    yield made
    for relay in made.relays:
        relay.kill()
    committed.close()
