"""coalmine as a user would run it on a benchmark's broker: a rollout file, topics, commands, processes."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from confluent_kafka import Producer

from coalmine import rollout_file
from coalmine.errors import DecodeError
from coalmine.models import load
from coalmine.policies import (
    Advance,
    Applied,
    At,
    Command,
    FrozenNumbers,
    ModelRef,
    Plan,
    Start,
    State,
    advance,
    initial,
)
from coalmine.streams.kafka.topics import NamespaceTopics, tally_app_id, topic_specs
from coalmine.streams.wire.codec import decode_command, encode_command
from coalmine.streams.wire.messages import Heartbeat

from .kafka_log import Log
from .laws import Cohort
from .measure import OUTPUT_CONFIG, wait_for
from .processes import Worker

__all__ = ["READY_SECONDS", "Installation"]

decode_beat = msgspec.json.Decoder(Heartbeat).decode

NO_ATTEMPT = -1
"""Stands for the time before the first attempt: its hashes are those of no attempt, and offset 0 may be one."""

READY_SECONDS = 60.0
"""Deadline for a process to say that it is ready."""


@dataclass
class Installation:
    """One namespace with one rollout on a broker.

    `text` is the rollout file; `directory` takes it and the output of the processes.
    """

    log: Log
    namespace: str
    text: str
    directory: Path
    partitions: int = 4
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.file = self.directory / f"{self.namespace}.yaml"
        self.file.write_text(self.text)
        self.plan: Plan
        self.plan, self.file_digest = rollout_file.load(self.file)
        self.topics = NamespaceTopics(self.namespace)
        self.tally_group = tally_app_id(self.namespace, self.plan.name)
        self._producer = Producer({"bootstrap.servers": self.log.bootstrap, "log_level": 0})

    def create_topics(self) -> None:
        """Create every topic; predictions and outcomes carry the broker's clock, for the measurements."""
        outputs = {self.plan.topics.predictions, self.plan.topics.outcomes}
        for spec in topic_specs(self.topics, [self.plan], self.partitions):
            config = {**spec.config, **(OUTPUT_CONFIG if spec.name in outputs else {})}
            self.log.create([spec.name], spec.partitions, config)

    def send(self, command: Command) -> None:
        """Append a command to the control log."""
        self.send_raw(encode_command(command))

    def send_raw(self, value: bytes) -> None:
        """Append bytes to the control log, as a foreign program would."""
        self._producer.produce(self.topics.control, value=value, key=self.plan.name, partition=0)
        if self._producer.flush(30):
            raise TimeoutError("the command was not written within 30 s")

    def start(self, canary: Path) -> None:
        """Begin an attempt with the model package in `canary`."""
        model = load(str(canary))
        ref = ModelRef(uri=str(canary), digest=model.digest, name=model.manifest.name, version=model.manifest.version)
        self.send(
            Start(rollout=self.plan.name, canary=ref, file=self.plan, file_digest=self.file_digest,
                  issued_by="operator:bench")
        )  # fmt: skip

    def enter_first_step(self) -> None:
        """Enter step 1 as the analyzer would, with numbers of a stable that never failed."""
        state = self.state()
        frozen = FrozenNumbers(rows=100_000, calls=1_000, error_rate=0.0)
        self.send(
            Advance(rollout=self.plan.name, step=1, frozen=frozen, issued_by="analyzer", attempt=state.attempt,
                    expected_revision=state.revision)
        )  # fmt: skip

    @property
    def settings(self) -> dict[str, str]:
        """The environment of its processes."""
        return {
            "COALMINE_KAFKA__BOOTSTRAP_SERVERS": self.log.bootstrap,
            "COALMINE_NAMESPACE": self.namespace,
            **self.environment,
        }

    def worker(self, role: str, name: str = "") -> Worker:
        """Start `coalmine run` in one role; `name` tells several of a role apart."""
        command = [str(Path(sys.executable).parent / "coalmine"), *self.arguments(role)]
        return Worker(command, self.log_file(role, name), self.settings)

    def arguments(self, role: str) -> list[str]:
        """Return the arguments of `coalmine` for a worker."""
        return ["run", str(self.file), "--role", role]

    def log_file(self, role: str, name: str) -> Path:
        """Return where the output of a worker goes."""
        return self.directory / f"{self.namespace}-{role}{name}.log"

    def await_ready(self, worker: Worker) -> None:
        """Return once a process has said in a heartbeat that it holds partitions."""
        wait_for(lambda: self._holds_partitions(worker.pid), READY_SECONDS, "ready", {"worker": worker}, 0.5)

    def workers(self) -> set[str]:
        """Return the ids of all processes that ever sent a heartbeat; each process has one of its own."""
        return {beat.worker for beat in self._beats()}

    def _holds_partitions(self, pid: int) -> bool:
        """Tell whether a heartbeat of the process has named partitions."""
        return any(any(beat.partitions.values()) for beat in self.beats_of(pid))

    def beats_of(self, pid: int) -> list[Heartbeat]:
        """Return the heartbeats of a process; the id of a worker ends in its pid."""
        return [beat for beat in self._beats() if str(pid) in beat.worker.split("-")]

    def _beats(self) -> list[Heartbeat]:
        return [decode_beat(m.value()) for batch in self.log.read(self.topics.workers) for m in batch if m.value()]

    def state(self) -> State:
        """Return the fold of the control log."""
        return self._fold()[0]

    def revisions(self) -> dict[int, Cohort]:
        """Return what each revision so far says of routing."""
        return self._fold()[1]

    def _fold(self) -> tuple[State, dict[int, Cohort]]:
        state = initial(self.plan.name, self.plan.stable)
        revisions = {0: Cohort(0.0, NO_ATTEMPT)}
        for batch in self.log.read(self.topics.control):
            for message in batch:
                try:
                    command = decode_command(message.value())
                except DecodeError:
                    continue
                if command.rollout == self.plan.name:
                    state, effects = advance(state, command, At(message.offset(), message.timestamp()[1]))
                    if any(isinstance(effect, Applied) for effect in effects):
                        attempt = NO_ATTEMPT if state.attempt is None else state.attempt
                        revisions[state.revision] = Cohort(state.weight, attempt)
        return state, revisions


def unique(name: str) -> str:
    """Return a name that no earlier run has used."""
    return f"{name}{time.time_ns() // 1_000_000:x}"
