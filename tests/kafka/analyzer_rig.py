"""An analyzer under test: a process of its own, a scorer that is only played, and the truth read from the topics.

Run as `python -m tests.kafka.analyzer_rig '{...}'` it is the analyzer of the orders.
"""

import dataclasses
import json
import logging
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import confluent_kafka
import msgspec
from confluent_kafka.admin import AdminClient, NewTopic

from coalmine.errors import BrokerError
from coalmine.policies import (
    Analysis,
    By,
    Check,
    Clock,
    Metric,
    ModelRef,
    Plan,
    Router,
    Routing,
    Start,
    State,
    Step,
    Topics,
    advance,
)
from coalmine.streams.analysis.analyzer import AnalyzerSettings, set_up_analyzer
from coalmine.streams.control.fold import ControlFold
from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.kafka.reader import PartitionReader
from coalmine.streams.kafka.topics import NamespaceTopics, TopicSpec, topic_specs
from coalmine.streams.wire.codec import decode_command, encode, encode_command
from coalmine.streams.wire.messages import Call, Event, Evidence, Heartbeat, LoadedModel, Look, Outcome, RolloutView
from coalmine.streams.worker import run
from tests.kafka.traffic import wait_for

PARTITIONS = 4
CANARY = ModelRef(uri="models/2", digest="sha256:" + "2" * 64, name="m", version="2")
STABLE = ModelRef(uri="models/1", digest="sha256:" + "1" * 64, name="m", version="1")


@dataclass(frozen=True)
class Orders:
    """What an analyzer is told: where Kafka is and which rollout it watches over."""

    bootstrap: str
    namespace: str
    rollout: str
    every_ms: int = 200
    clock: str = "wall"
    samples: int = 100
    margin: float = 0.05
    session_ms: int = 2_000
    segment_by: str | None = None

    def json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @property
    def topics(self) -> NamespaceTopics:
        return NamespaceTopics(self.namespace)

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings({"bootstrap.servers": self.bootstrap, "session.timeout.ms": self.session_ms,
                              "log_level": 3})  # fmt: skip

    def plan(self) -> Plan:
        return Plan(
            name=self.rollout,
            topics=Topics.of(self.rollout),
            stable=STABLE,
            routing=Routing(by=By.RANDOM),
            steps=(
                Step(weight=20, hold_ms=0, samples=self.samples, margin_factor=2),
                Step(weight=50, hold_ms=0, samples=self.samples),
            ),
            analysis=Analysis(
                every_ms=self.every_ms,
                clock=Clock(self.clock),
                checks=(
                    Check(name="errors", metric=Metric.ERROR_RATE, margin=self.margin, segment_by=self.segment_by),
                ),
            ),
        )


def make_topics(orders: Orders, config: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Create every topic as `coalmine topics apply` would; `config` holds other settings for some of them."""
    admin = AdminClient({"bootstrap.servers": orders.bootstrap})
    specs = topic_specs(orders.topics, [orders.plan()], PARTITIONS)
    new = [NewTopic(s.name, s.partitions, 1, config={**s.config, **(config or {}).get(s.name, {})}) for s in specs]
    for created in admin.create_topics(new).values():
        created.result(20)
    wait_for(lambda: all(has_leaders(orders, spec) for spec in specs))


def has_leaders(orders: Orders, spec: TopicSpec) -> bool:
    """Whether every partition answers; a new one is without a leader for some milliseconds."""
    try:
        for partition in range(spec.partitions):
            records(orders, spec.name, partition)
    except BrokerError:
        return False
    return True


@dataclass
class Analyzer:
    """A running analyzer."""

    orders: Orders
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "tests.kafka.analyzer_rig", self.orders.json()]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.complaints: list[str] = []
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            self.complaints.extend(lines)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._ear.join()

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(20)
        self._ear.join()
        return code


class PlayedScorer:
    """Plays the scoring workers: follows control, says it is ready, routes ids, and writes outcomes at a rate.

    `fault_rate` is the canary's, on rows of `bad_carrier` only if one is named; every 13th row is of carrier MQ. `redo`
    is the chance that a tick repeats outcomes of before, as a scorer that was killed does. Sources have offsets that
    rise by one; outcomes of a source keep their order on every partition.
    """

    def __init__(self, orders: Orders, rate: float, *, fault_rate: float = 0.0, bad_carrier: str | None = None,
                 redo: float = 0.05, status: str = "ready", seed: int = 1) -> None:  # fmt: skip
        self.orders, self.rate, self.fault_rate, self.redo, self.status = orders, rate, fault_rate, redo, status
        self.bad_carrier = bad_carrier
        self.random = random.Random(seed)
        self.producer = confluent_kafka.Producer({"bootstrap.servers": orders.bootstrap, "linger.ms": 5,
                                                  "enable.idempotence": True, "log_level": 3})  # fmt: skip
        self.fold = ControlFold(decode_command, advance)
        self.offsets = [0] * PARTITIONS
        self.recent: list[tuple[int, bytes, bytes]] = []
        self.ended = threading.Event()
        self.sent = 0
        self.threads = [threading.Thread(target=target, daemon=True) for target in (self._follow, self._work)]

    @property
    def state(self) -> State:
        return self.fold.state(self.orders.rollout)

    def __enter__(self) -> "PlayedScorer":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()
        assert self.producer.flush(30) == 0

    def _follow(self) -> None:
        with PartitionReader(self.orders.kafka, self.orders.topics.control) as reader:
            while not self.ended.is_set():
                for record in reader.poll(0.05):
                    self.fold.fold(record)

    def _work(self) -> None:
        begin, beat = time.monotonic(), 0.0
        sent = 0
        while not self.ended.wait(0.02):
            if time.monotonic() - beat > 0.5:
                beat = time.monotonic()
                self.heartbeat()
            due = int((time.monotonic() - begin) * self.rate)
            if due > sent:
                self.batch(due - sent)
                sent = due
            if self.recent and self.random.random() < self.redo:
                self.send(self.recent[-self.random.randint(1, len(self.recent)) :])
            self.producer.poll(0)
        self.sent = sent

    def heartbeat(self) -> None:
        models = [LoadedModel(role="stable", uri=STABLE.uri, digest=STABLE.digest, status="ready")]
        if self.state.canary is not None:
            models.append(LoadedModel(role="canary", uri=CANARY.uri, digest=CANARY.digest, status=self.status))
        beat = Heartbeat(
            worker="played", host="here", version="0", role="score", time=datetime.now(UTC).isoformat(),
            control_offset=self.fold.offset - 1, partitions={self.orders.rollout: [0, 1, 2, 3]},
            models={self.orders.rollout: models},
        )  # fmt: skip
        self.producer.produce(self.orders.topics.workers, encode(beat), b"played", 0)

    def batch(self, count: int) -> None:
        """Route and answer a batch of one request partition."""
        source = self.random.randrange(PARTITIONS)
        state = self.state
        ids = [f"{source}-{self.offsets[source] + n}" for n in range(count)]
        encoded = [identity.encode() for identity in ids]
        assigned = Router.of(state).assign(encoded, encoded, lambda name: [None] * count)
        calls = set()
        records = []
        for n, identity in enumerate(ids):
            canary = bool(assigned.canary[n])
            carrier = "UA" if n % 13 else "MQ"
            fault = canary and self.bad_carrier in (None, carrier) and self.random.random() < self.fault_rate
            outcome = Outcome(
                id=identity, src=f"{self.orders.rollout}.requests/{source}@{self.offsets[source] + n}",
                rollout=self.orders.rollout, variant="canary" if canary else "stable", model_version="1", mode="live",
                ok=not fault, latency_ms=1.5, ts=int(time.time() * 1000), revision=state.revision,
                u=int(assigned.u[n]), bucket=int(assigned.bucket[n]), prediction=0.5, segment={"carrier": carrier},
            )  # fmt: skip
            if fault:
                outcome.error_code, outcome.key_hash = "model_error", f"{n:016x}"
            if canary not in calls:
                calls.add(canary)
                outcome.call = Call(count, 1.2)
            records.append((hash(identity) % PARTITIONS, identity.encode(), encode(outcome)))
        self.offsets[source] += count
        self.recent = records
        self.send(records)

    def send(self, records: list[tuple[int, bytes, bytes]]) -> None:
        for partition, key, value in records:
            self.producer.produce(f"{self.orders.rollout}.outcomes", value, key, partition)


def send_command(orders: Orders, value: bytes) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": orders.bootstrap, "log_level": 3})
    producer.produce(orders.topics.control, value, orders.rollout.encode(), 0)
    assert producer.flush(10) == 0


def start(orders: Orders) -> None:
    send_command(orders, encode_command(Start(rollout=orders.rollout, canary=CANARY, file=orders.plan())))


def records(orders: Orders, topic: str, partition: int = 0) -> list[Any]:
    """Return everything on a partition now."""
    found = []
    with PartitionReader(orders.kafka, topic, partition, single=False) as reader:
        while not reader.caught_up:
            found += reader.poll(0.1)
    return found


def looks(orders: Orders) -> list[Look]:
    return [msgspec.json.decode(r.value, type=Look) for r in records(orders, orders.topics.looks)]


def events(orders: Orders) -> list[Event]:
    return [msgspec.json.decode(r.value, type=Event) for r in records(orders, orders.topics.events)]


def view(orders: Orders) -> RolloutView | None:
    found = records(orders, orders.topics.rollouts)
    return msgspec.json.decode(found[-1].value, type=RolloutView) if found else None


def evidence(orders: Orders) -> list[Evidence]:
    return [msgspec.json.decode(r.value, type=Evidence) for r in records(orders, orders.topics.evidence)]


def folded(orders: Orders) -> ControlFold:
    fold = ControlFold(decode_command, advance)
    for record in records(orders, orders.topics.control):
        fold.fold(record)
    return fold


def true_counts(orders: Orders) -> Counter[tuple[int, int, str, bool]]:
    """Return how many distinct sources each (partition, revision, variant, ok) has on the topic of outcomes."""
    seen = set()
    counts: Counter[tuple[int, int, str, bool]] = Counter()
    for partition in range(PARTITIONS):
        for record in records(orders, f"{orders.rollout}.outcomes", partition):
            outcome = msgspec.json.decode(record.value, type=Outcome)
            if outcome.src not in seen:
                seen.add(outcome.src)
                counts[partition, outcome.revision, outcome.variant, outcome.ok] += 1
    return counts


def tallied_counts(orders: Orders) -> Counter[tuple[int, int, str, bool]]:
    """Return the same from the newest evidence of every partition and revision."""
    newest: dict[tuple[int, int], Evidence] = {}
    for record in evidence(orders):
        place = record.partition, record.revision
        if place not in newest or record.offset >= newest[place].offset:
            newest[place] = record
    counts: Counter[tuple[int, int, str, bool]] = Counter()
    for (partition, revision), record in newest.items():
        for variant, sums in record.sums.items():
            faults = sum(sums.get("row_faults", {}).values())
            counts[partition, revision, variant, True] += sums["rows"] - faults
            counts[partition, revision, variant, False] += faults
    return +counts


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(name)s %(levelname)s %(message)s")
    orders = Orders(**json.loads(sys.argv[1]))
    settings = AnalyzerSettings(kafka=orders.kafka, namespace=orders.namespace)
    run(lambda: set_up_analyzer([orders.plan()], settings), watch_parent=True)


if __name__ == "__main__":
    main()
