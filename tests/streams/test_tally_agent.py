"""The tally agent without a broker: what it does when partitions go and clocks jump."""

from types import SimpleNamespace
from typing import Any


from coalmine.streams.tally import TallyAgent


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
