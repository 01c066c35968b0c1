"""The tally agent without a broker: what it does when partitions go and clocks jump."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from coalmine.policies import Analysis
from coalmine.streams.analysis.partition_tally import PartitionTally
from coalmine.streams.analysis.tally import TallyAgent
from coalmine.streams.wire.codec import encode
from tests.streams.outcome_log import Record, outcome


def bare(**fields: Any) -> TallyAgent:
    """An agent that has only the given fields: no app, no Kafka."""
    agent = object.__new__(TallyAgent)
    vars(agent).update(rollout="r", topic="r.outcomes", evidence_topic="evidence", **fields)
    return agent


def test_the_end_of_a_partition_that_was_just_given_away_is_not_known() -> None:
    def highwater(tp: object) -> int:
        raise AssertionError("Partition is not assigned")

    agent = bare(app=SimpleNamespace(consumer=SimpleNamespace(highwater=highwater)))

    assert agent.end_of(0) == 0


class Sent(list[bytes]):
    """A producer that remembers what it was given."""

    def produce(self, topic: str, value: bytes, key: bytes, partition: int) -> None:
        self.append(value)

    async def flushed(self) -> None:
        return None


async def publishing(agent: TallyAgent, tally: PartitionTally, sent: Sent, publications: int) -> None:
    """Let an agent publish sums that change all the time until it did so often enough."""
    task = asyncio.create_task(agent.publish())
    try:
        async with asyncio.timeout(5):
            for offset in range(1_000_000):
                if len(sent) >= publications:
                    return
                tally.fold([Record(offset, encode(outcome(offset)))])
                await asyncio.sleep(0.02)
    finally:
        task.cancel()


def test_a_date_that_goes_back_does_not_silence_the_tally(monkeypatch: pytest.MonkeyPatch) -> None:
    tally, sent = PartitionTally(0, {}), Sent()
    agent = bare(analysis=lambda: Analysis(every_ms=1), held=lambda: [tally], end_of=lambda _: 0, producer=sent)
    dates = iter(range(2_000_000_000, 0, -3_600))
    monkeypatch.setattr(time, "time", lambda: float(next(dates)))

    asyncio.run(publishing(agent, tally, sent, publications=3))

    assert len(sent) >= 3


def test_a_topic_of_requests_that_was_made_anew_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    agent = bare(analysis=Analysis, tallies={0: PartitionTally(0, {})})

    for offset, source_offset in enumerate([500_000, 0, 1, 500_001, 2]):
        agent.fold_records(0, [Record(offset, encode(outcome(source_offset)))])

    (message,) = caplog.messages
    assert "r.outcomes/0: outcomes of r.requests/0 come again from offset 0 on" in message
