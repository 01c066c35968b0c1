"""Topics as they are beside topics as they must be: what `coalmine topics plan` shows and `apply` does.

Comparing is pure; only `Admin` talks to the broker. Topics of the user (requests, feedback) are created when they
are missing, so that a new project can begin, and never changed.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from coalmine.errors import BrokerError
from coalmine.policies import Plan

from .client import KafkaSettings
from .opening import opened
from .reading import client_settings, partition_counts
from .topics import NamespaceTopics, TopicSpec, topic_specs

__all__ = ["Action", "Admin", "Change", "Found", "compare", "specs_for"]

ADMIN_SECONDS = 15.0
"""How long the broker may take for one request."""

VISIBLE_SECONDS = 0.1
"""Pause between two looks for topics that were just created."""

BROKER_DEFAULT = -1
"""Replication factor that leaves the choice to the broker."""


class Action(Enum):
    """What has to be done about a topic."""

    CREATE = "create"
    ALTER = "alter"
    KEEP = "keep"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A topic as it is."""

    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What has to be done about one topic, and why in words; `config` holds the settings to set."""

    action: Action
    spec: TopicSpec
    detail: str
    config: Mapping[str, str] = field(default_factory=dict)


def specs_for(
    namespace: NamespaceTopics, plans: Sequence[Plan], found: Mapping[str, Found], partitions: int
) -> list[TopicSpec]:
    """Return the topics that `plans` need; where `requests` exists its partition count decides, else `partitions`."""
    specs: dict[str, TopicSpec] = {}
    for plan in plans:
        existing = found.get(plan.topics.requests)
        count = existing.partitions if existing else partitions
        specs.update((spec.name, spec) for spec in topic_specs(namespace, [plan], count))
    return list(specs.values())


def compare(specs: Iterable[TopicSpec], found: Mapping[str, Found], owned_by_user: frozenset[str]) -> list[Change]:
    """Return what has to be done so that the topics `found` become those of `specs`, in the order of `specs`."""
    return [change_of(spec, found.get(spec.name), spec.name in owned_by_user) for spec in specs]


def change_of(spec: TopicSpec, found: Found | None, is_users: bool) -> Change:
    """Return what has to be done about one topic."""
    if found is None:
        return Change(action=Action.CREATE, spec=spec, detail=f"{count(spec.partitions)}{settings(spec.config)}")
    if is_users:
        return Change(action=Action.KEEP, spec=spec, detail=f"yours, {count(found.partitions)}")
    if found.partitions != spec.partitions:
        detail = (
            f"has {count(found.partitions)} and needs {spec.partitions}; "
            "records would move, so it is not changed: delete it while nothing runs, or use a rollout of another name"
        )
        return Change(action=Action.CONFLICT, spec=spec, detail=detail)
    wrong = {name: value for name, value in spec.config.items() if found.config.get(name) != value}
    if wrong:
        was = ", ".join(f"{name} {found.config.get(name, 'unset')} -> {value}" for name, value in wrong.items())
        return Change(action=Action.ALTER, spec=spec, detail=was, config=wrong)
    return Change(action=Action.KEEP, spec=spec, detail=count(found.partitions))


def count(partitions: int) -> str:
    """Return a number of partitions in words."""
    return "1 partition" if partitions == 1 else f"{partitions} partitions"


def settings(config: Mapping[str, str]) -> str:
    """Return topic settings as the end of a sentence."""
    return "".join(f", {name}={value}" for name, value in config.items())


class Admin:
    """Reads and changes topics. Every method raises BrokerError when Kafka does not answer or refuses."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.address = kafka.bootstrap
        self._faults: list[KafkaError] = []
        self._client = opened(AdminClient, client_settings(kafka.reader(), self._faults.append))

    def find(self, names: Iterable[str]) -> dict[str, Found]:
        """Return those of `names` that exist, as they are."""
        topics = partition_counts(self._client, self.address, self._faults)
        present = [name for name in names if name in topics]
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in present]
        described = self._client.describe_configs(resources) if resources else {}
        configs = {resource.name: answered(future) for resource, future in described.items()}
        return {
            name: Found(
                partitions=topics[name],
                config={key: entry.value for key, entry in configs[name].items() if entry.value is not None},
            )
            for name in present
        }

    def apply(self, changes: Iterable[Change]) -> None:
        """Create and alter what `changes` ask for; conflicts are left alone."""
        changes = list(changes)
        new = [
            NewTopic(change.spec.name, change.spec.partitions, BROKER_DEFAULT, config=dict(change.spec.config))
            for change in changes
            if change.action is Action.CREATE
        ]
        altered = [
            ConfigResource(ResourceType.TOPIC, change.spec.name, incremental_configs=entries(change.config))
            for change in changes
            if change.action is Action.ALTER
        ]
        futures = [*(self._client.create_topics(new).values() if new else ())]
        futures += [*(self._client.incremental_alter_configs(altered).values() if altered else ())]
        for future in futures:
            answered(future)
        self._await([topic.topic for topic in new])

    def _await(self, names: Sequence[str]) -> None:
        """Wait until every broker's answer shows the new topics: they are known a moment after they were created."""
        deadline = time.monotonic() + ADMIN_SECONDS
        while not partition_counts(self._client, self.address, self._faults).keys() >= set(names):
            if time.monotonic() > deadline:
                raise BrokerError(f"new topics are not visible after {ADMIN_SECONDS:.0f} s; run it again")
            time.sleep(VISIBLE_SECONDS)


def entries(config: Mapping[str, str]) -> list[ConfigEntry]:
    """Return settings in the form of the client."""
    return [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()]


def answered(future: "Future[Any]") -> Any:
    """Return the broker's answer; raise BrokerError with its reason when it refused."""
    try:
        return future.result(ADMIN_SECONDS)
    except KafkaException as error:
        raise BrokerError(f"Kafka refused: {error.args[0].str()}; check the rights of this principal") from error
    except TimeoutError as error:
        raise BrokerError(f"Kafka gave no answer within {ADMIN_SECONDS:.0f} s; try again") from error
