"""Names of the topics and how they must be set up. Names only; nothing here talks to a broker."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from coalmine.policies import Plan

__all__ = ["NamespaceTopics", "TopicSpec", "judge_app_id", "score_group", "tally_app_id", "topic_specs"]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class NamespaceTopics:
    """The topics that all rollouts of a namespace share."""

    namespace: str = "coalmine"

    @property
    def control(self) -> str:
        """Commands; one partition, endless, append time."""
        return f"{self.namespace}.control"

    @property
    def evidence(self) -> str:
        """Cumulative sums of the tallies; one partition, compacted."""
        return f"{self.namespace}.evidence"

    @property
    def looks(self) -> str:
        """Every look of the judge."""
        return f"{self.namespace}.looks"

    @property
    def events(self) -> str:
        """Changes of phase and the results of commands."""
        return f"{self.namespace}.events"

    @property
    def rollouts(self) -> str:
        """The current state of every rollout; compacted."""
        return f"{self.namespace}.rollouts"

    @property
    def workers(self) -> str:
        """Heartbeats."""
        return f"{self.namespace}.workers"


def score_group(namespace: str, rollout: str) -> str:
    """Return the Faust app id and consumer group of the scoring workers of a rollout."""
    return f"{namespace}.{rollout}.score"


def tally_app_id(namespace: str, rollout: str) -> str:
    """Return the Faust app id of the label and tally agents of a rollout."""
    return f"{namespace}.{rollout}.analyze"


def judge_app_id(namespace: str) -> str:
    """Return the Faust app id of the judge; one for the namespace."""
    return f"{namespace}.judge"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """A topic as it must be: its partition count and the topic settings that matter."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Room for what repeats a request: predictions its `meta`, dead letters all of it and more headers."""

ROOMY = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
DELETE = {"cleanup.policy": "delete", "compression.type": "producer"}
COMPACT = {"cleanup.policy": "compact", "segment.ms": str(HOUR_MS)}
"""Kafka never compacts or expires the segment that is written to, and by default keeps it for a week or 1 GiB; what is
read to its end at every start must stay small."""
COMPACT_AND_EXPIRE = {**COMPACT, "cleanup.policy": "compact,delete"}
ENDLESS = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}


def topic_specs(namespace: NamespaceTopics, plans: Iterable[Plan], partitions: int) -> list[TopicSpec]:
    """Return every topic coalmine needs for `plans`; hot topics get `partitions`, cold ones one.

    `requests` and `feedback` belong to the user; they are listed too, so that a new project can create all at once.
    """
    long = {"cleanup.policy": "delete", "retention.ms": str(90 * DAY_MS)}
    shared = [
        TopicSpec(name=namespace.control, partitions=1,
                  config={**ENDLESS, "message.timestamp.type": "LogAppendTime"}),
        TopicSpec(name=namespace.evidence, partitions=1,
                  config={**COMPACT_AND_EXPIRE, "retention.ms": str(30 * DAY_MS)}),
        TopicSpec(name=namespace.looks, partitions=1, config=long),
        TopicSpec(name=namespace.events, partitions=1, config=long),
        TopicSpec(name=namespace.rollouts, partitions=1, config=COMPACT),
        TopicSpec(name=namespace.workers, partitions=1,
                  config={**COMPACT_AND_EXPIRE, "retention.ms": str(DAY_MS), "segment.ms": str(10 * MINUTE_MS)}),
        TopicSpec(name=f"{judge_app_id(namespace.namespace)}-judge-changelog", partitions=1, config=COMPACT),
    ]  # fmt: skip
    for plan in plans:
        hot = (plan.topics.requests, plan.topics.predictions, plan.topics.outcomes, plan.topics.feedback,
               plan.topics.labels)  # fmt: skip
        repeats = {plan.topics.predictions: ROOMY}
        shared += [
            TopicSpec(name=name, partitions=partitions, config={**DELETE, **repeats.get(name, {})}) for name in hot
        ]
        shared.append(TopicSpec(name=plan.topics.dead_letters, partitions=1, config={**long, **ROOMY}))
        changelog = f"{tally_app_id(namespace.namespace, plan.name)}-tally-changelog"
        shared.append(TopicSpec(name=changelog, partitions=partitions, config=COMPACT))
    return shared
