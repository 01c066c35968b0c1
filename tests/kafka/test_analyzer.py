"""The analyzer on a real Kafka: exact sums and single decisions through kills, hand-overs and poison."""

import random
import subprocess
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator

import confluent_kafka
import pytest

from coalmine.policies import Phase
from tests.kafka.analyzer_rig import (
    PARTITIONS,
    Analyzer,
    Orders,
    PlayedScorer,
    events,
    folded,
    looks,
    make_topics,
    records,
    start,
    tallied_counts,
    true_counts,
    view,
)
from tests.kafka.traffic import wait_for

pytestmark = pytest.mark.kafka

RATE = 1_500.0

FOREVER = 10**9
"""Samples that no test reaches: the rollout stays in its first step."""

Begin = Callable[[], Analyzer]


@pytest.fixture
def orders(bootstrap: str) -> Orders:
    tag = uuid.uuid4().hex[:8]
    return Orders(bootstrap, f"ns-{tag}", f"rollout-{tag}")


@pytest.fixture
def begin(orders: Orders) -> Iterator[Begin]:
    """Start analyzers that do not outlive the test."""
    begun: list[Analyzer] = []

    def new() -> Analyzer:
        begun.append(Analyzer(orders))
        return begun[-1]

    yield new
    for analyzer in begun:
        analyzer.kill()


def phase_of(orders: Orders) -> str:
    shown = view(orders)
    return shown.phase if shown else ""


def looked(orders: Orders, more: int = 2) -> None:
    """Wait until the judge has taken some more looks."""
    before = len(looks(orders))
    wait_for(lambda: len(looks(orders)) >= before + more, seconds=30)


def contradictions(orders: Orders) -> list[int]:
    """The numbers of looks that were recorded twice and not in the same words."""
    versions = defaultdict(set)
    for look in looks(orders):
        versions[look.look].add(str(look))
    return [number for number, texts in versions.items() if len(texts) > 1]


def decided_twice(orders: Orders) -> list[int]:
    """The revisions on which automation asked for two different things."""
    asked = defaultdict(set)
    for event in events(orders):
        if event.kind == "result" and event.issued_by == "analyzer":
            asked[event.revision].add(event.command_id)
    return [revision for revision, ids in asked.items() if len(ids) > 1]


def test_poison_on_its_topics_costs_a_line_in_the_log_and_nothing_else(orders: Orders, begin: Begin) -> None:
    make_topics(orders)
    poison(orders)
    analyzer = begin()

    with PlayedScorer(orders, RATE, fault_rate=0.3):
        start(orders)
        wait_for(lambda: phase_of(orders) == Phase.ROLLED_BACK.value, seconds=40)

    assert analyzer.stop() == 0
    said = "".join(analyzer.complaints)
    assert "is no evidence" in said
    assert "are no outcomes" in said
    assert "not json" not in said


def poison(orders: Orders) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": orders.bootstrap, "log_level": 3})
    for topic in (orders.topics.evidence, f"{orders.rollout}.outcomes", orders.topics.workers):
        for value in (b"not json", b"[" * 10_000, b"\xff", b'{"rollout": 5}'):
            producer.produce(topic, value, b"key", 0)
    assert producer.flush(10) == 0


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(400)])])
def test_sums_are_exact_and_nothing_is_decided_twice_through_kills(orders: Orders, begin: Begin, kills: int) -> None:
    patient = Orders(orders.bootstrap, orders.namespace, orders.rollout, samples=FOREVER)
    make_topics(patient)
    moments = random.Random(kills)

    with PlayedScorer(patient, RATE, redo=0.1):
        start(patient)
        for _ in range(kills):
            analyzer = Analyzer(patient)
            looked(patient)
            with pytest.raises(subprocess.TimeoutExpired):
                analyzer.process.wait(moments.random())
            analyzer.kill()
    last = begin()
    truth = true_counts(patient)
    written = sum(len(records(patient, f"{patient.rollout}.outcomes", partition)) for partition in range(PARTITIONS))

    assert written > sum(truth.values())
    wait_for(lambda: tallied_counts(patient) == truth, seconds=40)
    assert last.stop() == 0
    assert contradictions(patient) == []
    assert decided_twice(patient) == []


def test_two_analyzers_hand_over_without_a_gap_in_sums_or_office(orders: Orders, begin: Begin) -> None:
    make_topics(orders)

    with PlayedScorer(orders, RATE):
        first = begin()
        start(orders)
        looked(orders, more=1)
        second = begin()
        looked(orders, more=1)
        assert first.stop() == 0
        wait_for(lambda: phase_of(orders) == Phase.PROMOTED.value, seconds=40)
    truth = true_counts(orders)

    wait_for(lambda: tallied_counts(orders) == truth, seconds=40)
    assert second.stop() == 0
    assert contradictions(orders) == []
    state = folded(orders).state(orders.rollout)
    answered = {event.id for event in events(orders) if event.kind == "result"}
    assert answered == {f"control@{offset}" for offset in range(state.control_offset + 1)}


def test_a_segment_that_got_worse_takes_the_canary_back_and_is_named(orders: Orders, begin: Begin) -> None:
    cut = Orders(orders.bootstrap, orders.namespace, orders.rollout, margin=0.3, segment_by="carrier")
    make_topics(cut)
    analyzer = Analyzer(cut)

    with PlayedScorer(cut, RATE, fault_rate=0.5, bad_carrier="MQ"):
        start(cut)
        wait_for(lambda: phase_of(cut) == Phase.ROLLED_BACK.value, seconds=40)

    assert analyzer.stop() == 0
    state = folded(cut).state(cut.rollout)
    assert state.frozen is not None
    assert set(state.frozen.segments["errors"]) == {"UA", "MQ"}
    assert "where carrier is MQ" in state.message


TOO_SMALL = {"max.message.bytes": "64"}
"""A topic that refuses every record: its batch's header alone has 61 bytes."""


def test_a_look_that_cannot_be_delivered_ends_the_process(orders: Orders, begin: Begin) -> None:
    make_topics(orders, {orders.topics.looks: TOO_SMALL})

    with PlayedScorer(orders, RATE):
        analyzer = begin()
        start(orders)
        assert analyzer.process.wait(40) == 70

    assert len(records(orders, orders.topics.control)) == 2


def test_a_table_that_cannot_be_written_ends_the_process(orders: Orders, begin: Begin) -> None:
    make_topics(orders, {f"{orders.namespace}.{orders.rollout}.analyze-tally-changelog": TOO_SMALL})

    with PlayedScorer(orders, RATE):
        analyzer = begin()
        assert analyzer.process.wait(40) == 70
