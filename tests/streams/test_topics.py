"""How topics are set up, as far as Kafka's defaults would break what coalmine relies on."""

import pytest

from coalmine.streams.kafka.topics import HOUR_MS, NamespaceTopics, TopicSpec, topic_specs
from tests.cli.records import PLAN

SPECS = topic_specs(NamespaceTopics(), [PLAN], partitions=4)
COMPACTED = [spec for spec in SPECS if "compact" in spec.config["cleanup.policy"]]


@pytest.mark.parametrize("spec", COMPACTED, ids=lambda spec: spec.name)
def test_a_compacted_topic_closes_its_segments_long_before_a_week(spec: TopicSpec) -> None:
    assert int(spec.config["segment.ms"]) <= HOUR_MS


def test_what_is_read_to_its_end_at_every_start_is_compacted() -> None:
    topics = NamespaceTopics()

    assert {topics.evidence, topics.rollouts, topics.workers} < {spec.name for spec in COMPACTED}
    assert sum(spec.name.endswith("-changelog") for spec in COMPACTED) == 2
