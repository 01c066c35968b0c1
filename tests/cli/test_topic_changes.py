"""Topics as they are beside topics as they must be, without a broker."""

from coalmine.streams.kafka.admin import Action, Found, compare, specs_for
from coalmine.streams.kafka.topics import NamespaceTopics, TopicSpec
from tests.cli.records import PLAN

SPEC = TopicSpec(name="t", partitions=4, config={"cleanup.policy": "compact"})


def action(found: Found | None, *, is_users: bool = False) -> Action:
    [change] = compare([SPEC], {"t": found} if found else {}, frozenset({"t"} if is_users else ()))
    return change.action


def test_what_is_missing_is_created_and_what_is_right_is_kept() -> None:
    assert action(None) is Action.CREATE
    assert action(Found(partitions=4, config={"cleanup.policy": "compact", "more": "x"})) is Action.KEEP


def test_a_wrong_setting_is_altered_and_only_that() -> None:
    [change] = compare([SPEC], {"t": Found(partitions=4, config={"cleanup.policy": "delete"})}, frozenset())

    assert (change.action, dict(change.config)) == (Action.ALTER, {"cleanup.policy": "compact"})
    assert change.detail == "cleanup.policy delete -> compact"


def test_wrong_partitions_are_a_conflict_that_nothing_resolves_by_itself() -> None:
    assert action(Found(partitions=3, config={"cleanup.policy": "compact"})) is Action.CONFLICT


def test_a_topic_of_the_user_is_created_if_missing_and_never_changed() -> None:
    assert action(None, is_users=True) is Action.CREATE
    assert action(Found(partitions=1), is_users=True) is Action.KEEP


def test_the_requests_that_exist_decide_how_many_partitions_the_others_get() -> None:
    found = {"flights.requests": Found(partitions=7)}

    specs = {spec.name: spec.partitions for spec in specs_for(NamespaceTopics(), [PLAN], found, partitions=4)}

    assert specs["flights.predictions"] == specs["flights.outcomes"] == specs["flights.labels"] == 7
    assert specs["coalmine.control"] == specs["coalmine.evidence"] == 1
