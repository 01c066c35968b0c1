"""A rollout, its log, its evidence and its judge in one process: what the tests of judging play with."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import msgspec

from coalmine.policies import (
    Analysis,
    At,
    By,
    Check,
    Clock,
    Command,
    Metric,
    ModelRef,
    ModelStatus,
    Plan,
    Reference,
    Routing,
    Start,
    State,
    Step,
    Sums,
    Topics,
    WorkerReport,
    advance,
    initial,
)
from coalmine.streams.analysis.rollout_judge import Move, RolloutJudge, Surroundings
from coalmine.streams.wire.codec import decode_command, encode
from coalmine.streams.wire.messages import Event, Evidence, Look, OpenBreaker

CANARY = ModelRef(uri="flights/2", digest="sha256:" + "2" * 64)
PLAN = Plan(
    name="flights",
    topics=Topics.of("flights"),
    stable=ModelRef(uri="flights/1", digest="sha256:" + "1" * 64),
    routing=Routing(by=By.RANDOM),
    steps=(Step(weight=10, hold_ms=2_000, samples=200, margin_factor=2), Step(weight=50, hold_ms=2_000, samples=400)),
    analysis=Analysis(every_ms=1_000, checks=(Check(name="errors", metric=Metric.ERROR_RATE, margin=0.05),)),
)
EVENT_PLAN = replace(PLAN, analysis=replace(PLAN.analysis, clock=Clock.EVENT))
BEGIN_MS = 1_700_000_000_000
PARTITIONS = 2

READY = WorkerReport(worker="w", host="h", age_ms=0, control_offset=10_000, partitions=2,
                     stable_digest=PLAN.stable.digest, canary_status=ModelStatus.READY,
                     canary_digest=CANARY.digest)  # fmt: skip


class Died(Exception):
    """The judge's process ended here."""


@dataclass
class World:
    """Everything around one judge. `log` is the control log, `table` the judge's, `looks` and `events` the topics."""

    plan: Plan = PLAN
    wall_ms: int = BEGIN_MS
    seed: int = 1
    workers: tuple[WorkerReport, ...] = (READY,)
    breaker: tuple[str, OpenBreaker] | None = None
    lag: int = 0
    judge: RolloutJudge = field(default_factory=lambda: RolloutJudge("flights"))
    log: list[Command] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    table: dict[str, bytes] = field(default_factory=dict)
    looks: list[Look] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    counts: dict[tuple[int, int, str], list[int]] = field(default_factory=dict)
    offsets: list[int] = field(default_factory=lambda: [0] * PARTITIONS)
    dies: Iterable[str] = ()
    died: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    @property
    def state(self) -> State:
        return self.states[-1] if self.states else initial("flights", self.plan.stable)

    def start(self, references: tuple[Reference, ...] = ()) -> "World":
        self.read(Start(rollout="flights", canary=CANARY, file=self.plan, references=references))
        return self

    def read(self, command: Command) -> None:
        """Append a command to the log and fold it."""
        offset = len(self.log)
        self.log.append(command)
        self.states.append(advance(self.state, command, At(offset, self.wall_ms))[0])
        self.judge.hear(command.command_id)

    def traffic(self, rows: int = 400, fault_rate: float = 0.0, ts: int | None = None) -> None:
        """Answer requests under the present state and publish the sums of every partition."""
        for partition in range(PARTITIONS):
            canary = round(rows * self.state.weight / 100)
            faults = sum(self.random.random() < fault_rate for _ in range(canary))
            self.count(partition, "canary", canary, faults)
            self.count(partition, "stable", rows - canary, 0)
            self.offsets[partition] += rows
            self.publish(partition, self.state.revision, ts)

    def count(self, partition: int, variant: str, rows: int, faults: int) -> None:
        counted = self.counts.setdefault((self.state.revision, partition, variant), [0, 0])
        counted[0] += rows
        counted[1] += faults

    def publish(self, partition: int, revision: int, ts: int | None = None) -> None:
        sums = {
            variant: sums_of(*counted).to_json()
            for (known, place, variant), counted in self.counts.items()
            if (known, place) == (revision, partition) and counted[0]
        }
        record = Evidence(rollout="flights", revision=revision, partition=partition, offset=self.offsets[partition],
                          ts=self.wall_ms if ts is None else ts, sums=sums)  # fmt: skip
        self.evidence.append(record)
        self.judge.add(record, len(self.evidence) - 1)

    def around(self) -> Surroundings:
        ends = {partition: offset + self.lag for partition, offset in enumerate(self.offsets)}
        return Surroundings(workers=self.workers, breaker=self.breaker, ends=ends, wall_ms=self.wall_ms)

    def tick(self, ms: int = 1_000) -> Move | None:
        """Let time pass and the judge make its next move; raises Died where it is to die."""
        self.wall_ms += ms
        move = self.judge.next_move(self.state, self.around())
        if move is not None:
            self.make(move)
        return move

    def make(self, move: Move) -> None:
        if move.entry is not None:
            self.table["flights"] = encode(move.entry)
            self.survives("stored")
        if move.look is not None:
            self.looks.append(msgspec.json.decode(encode(move.look), type=Look))
            self.survives("look published")
        self.events += move.events
        if move.command is not None:
            self.read(decode_command(move.command))
            self.survives("command published")

    def survives(self, place: str) -> None:
        """Die at the places of `dies`, but only once on each look: its heir must get further."""
        moment = (place, self.judge.entry.look.look if self.judge.entry else 0)
        if place in self.dies and moment not in self.died:
            self.died.add(moment)
            raise Died(place)

    def restart(self) -> None:
        """Begin a new judge with what the table and the topics hold."""
        self.judge = RolloutJudge("flights")
        if "flights" in self.table:
            self.judge.restore(self.table["flights"])
        for offset, record in enumerate(self.evidence):
            self.judge.add(record, offset)

    def run(self, ticks: int = 40, fault_rate: float = 0.0) -> "World":
        """Play traffic and ticks until the attempt is over; a judge that dies is followed by the next one."""
        for _ in range(ticks):
            if self.states and not self.state.phase.has_attempt:
                break
            self.traffic(fault_rate=fault_rate)
            try:
                self.tick()
            except Died:
                self.restart()
        return self


def sums_of(rows: int, faults: int) -> Sums:
    """Sums of `rows` rows in calls of ten, none of them slow."""
    calls = rows // 10
    return Sums(rows=rows, row_faults={"model_error": faults} if faults else {}, calls=calls,
                call_ms={300: calls} if calls else {})  # fmt: skip
