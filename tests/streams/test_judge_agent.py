"""The judge agent without a broker: what it does when it loses its office and when evidence is no evidence."""

import asyncio
import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from coalmine.policies import State
from coalmine.streams.analysis.judging import JudgeAgent
from coalmine.streams.control.live import LiveWorkers
from coalmine.streams.kafka.topics import NamespaceTopics
from tests.streams.judge_world import World


class Sent(list[tuple[str, bytes]]):
    """A producer that remembers what it was given."""

    def produce(self, topic: str, value: bytes, key: bytes, partition: int) -> None:
        self.append((topic, value))

    async def flushed(self) -> None:
        return None


class Table(dict[str, bytes]):
    """A table that is written at once."""

    async def write(self, partition: int, key: str, value: bytes) -> None:
        self[key] = value


class Bench(JudgeAgent):
    """An agent that is in charge of what a world holds; `asked` is called while it asks the broker for offsets."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.plans, self.states = {}, lambda: {"flights": world.state}
        self.topics = NamespaceTopics("t")
        self.workers = LiveWorkers()
        self.judges, self.shown = {"flights": world.judge}, {}
        self.reign, self.in_charge = 1, True
        self.table, self.producer = Table(), Sent()  # type: ignore[assignment]
        self.asked: Callable[[], object] = lambda: None

    @property
    def is_in_charge(self) -> bool:
        return self.in_charge

    async def ends_of(self, state: State) -> Mapping[int, int]:
        self.asked()
        return {}


def bench() -> Any:
    """An agent whose judge would take a look at the next step."""
    world = World().start()
    world.traffic(rows=1_000)
    world.tick()
    world.traffic()
    return Bench(world)


def test_a_judge_in_charge_stores_and_publishes_its_look() -> None:
    agent = bench()

    asyncio.run(agent.step("flights"))

    assert "flights" in agent.table
    assert [topic for topic, _ in agent.producer] == ["t.looks", "t.events", "t.rollouts"]


def test_a_judge_that_was_replaced_while_it_asked_the_broker_decides_nothing() -> None:
    agent = bench()
    agent.asked = lambda: agent.take_over(0)

    asyncio.run(agent.step("flights"))

    assert (agent.table, agent.producer) == ({}, [])
    assert agent.world.judge.entry is None


def test_a_judge_that_lost_its_office_while_it_asked_the_broker_decides_nothing() -> None:
    agent = bench()
    agent.asked = lambda: setattr(agent, "in_charge", False)

    asyncio.run(agent.step("flights"))

    assert (agent.table, agent.producer) == ({}, [])


def test_a_step_goes_by_the_log_as_it_is_after_the_broker_was_asked() -> None:
    agent = bench()
    agent.asked = lambda: agent.world.run(ticks=40, fault_rate=0.5)

    asyncio.run(agent.step("flights"))

    assert not agent.world.state.phase.has_attempt
    assert [topic for topic, _ in agent.producer] == ["t.rollouts"]


SUMS = {"rows": 10, "calls": 1, "call_ms": [300, 1]}
POISON: list[dict[str, Any]] = [
    {"sums": {"somebody": SUMS}},
    {"sums": {"stable": 5}},
    {"sums": {"stable": {"rows": "many"}}},
    {"sums": {"stable": {"rows": -1}}},
    {"sums": {"stable": {"rows": 1.5}}},
    {"sums": {"stable": {"rows": 1, "row_faults": {"model_error": 2}}}},
    {"sums": {"stable": {**SUMS, "call_ms": [300, 1, 301]}}},
    {"sums": {"stable": {**SUMS, "call_ms": [300, 7]}}},
    {"sums": {"stable": {"bucket_rows": [1, 2]}}},
    {"sums": {"stable": {"bucket_faults": ["a"] * 64}}},
    {"sums": {"stable": {"fault_keys": "AAAA"}}},
    {"sums": {"stable": {"fault_keys": "A"}}},
    {"sums": {"stable": {"key_bound": "zz"}}},
    {"sums": {"stable": {"predictions": [1]}}},
    {"sums": {"stable": {"predictions": [1, None, None]}}},
    {"partition": -1},
    {"ts": 10**30},
    {"offset": "far"},
]


def gathered(agent: Any, **changes: Any) -> list[int]:
    """Let an agent gather a record with these changes between two sound ones; return the rows it then holds."""
    sound = {"rollout": "flights", "revision": 99, "ts": 1, "sums": {"stable": SUMS}}
    for offset, record in enumerate([{"partition": 7}, {"partition": 8, **changes}, {"partition": 9}]):
        value = json.dumps({**sound, "offset": 5, **record}).encode()
        agent.gather_record(SimpleNamespace(offset=offset, value=value))
    records = agent.world.judge.gathered.of_revisions(99, 99)
    return [agent.world.judge.sums_of(record)["stable"].rows for record in records]


def test_sound_evidence_is_gathered() -> None:
    assert gathered(bench()) == [10, 10, 10]


@pytest.mark.parametrize("poison", POISON, ids=str)
def test_evidence_that_cannot_be_counted_is_left_out_with_one_line_in_the_log(
    poison: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert gathered(bench(), **poison) == [10, 10]
    assert [line.split(" and")[0] for line in caplog.messages] == ["t.evidence@1 is no evidence"]
