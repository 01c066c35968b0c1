"""Where a play takes place: broker, model packages, rollout file, settings, one scoring worker and one analyzer.

All of it lives in a folder and in child processes that are gone when the stage is left, in the only order that makes
no noise: scoring, analyzer, broker. Without the broker its clients hang for seconds, so if it goes first they are
killed.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from coalmine.errors import BrokerError, CoalmineError
from coalmine.models import read
from coalmine.policies import ModelRef, Plan, Topics
from coalmine.rollout_file import file_digest, load, write
from coalmine.settings import Settings
from coalmine.streams.kafka.admin import Admin, compare
from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.kafka.embedded import EmbeddedBroker
from coalmine.streams.kafka.topics import NamespaceTopics, TopicSpec, topic_specs

from .flights.train import SHIPPED, provide

__all__ = ["Stage", "stage"]

PARTITIONS = 4
"""Partitions of the hot topics."""

STOP_SECONDS = 8.0
"""Limit for a child's stop in order; it takes 0.1 s."""

INTERRUPTED_SECONDS = 0.6
"""The same for somebody who pressed Ctrl-C and waits."""

EMBEDDED_CLIENT = {
    # That broker answers a fetch only when its wait is over, so waits are short.
    "fetch.wait.max.ms": "10",
    # It lets others join only after the session time of a member that left.
    "session.timeout.ms": "3000",
    "log_level": "0",
}
"""Settings of the clients of the embedded broker, besides its address."""

LOG_LINES = 12
"""Last lines of a child's log that are shown when it ended by itself."""


@dataclass(slots=True)
class Stage:
    """A stage that is set. `plan` and `digest` are those of the rollout file that the workers read."""

    folder: Path
    kafka: KafkaSettings
    namespace: NamespaceTopics
    plan: Plan
    digest: str
    broker: EmbeddedBroker | None
    workers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    training: "subprocess.Popen[bytes] | None" = None
    stop_seconds: float = STOP_SECONDS

    @property
    def models(self) -> Path:
        """The folder of the model packages."""
        return self.folder / "models"

    def raise_curtain(self) -> None:
        """Start the workers, and the training of a canary that is not shipped."""
        assert self.plan.canary is not None
        provide(self.models, ["stable"])
        for role in ("score", "analyze"):
            run = ("run", str(self.folder / "flights.yaml"), "--role", role)
            self.workers[role] = self._launch(role, "coalmine.demo.child", str(os.getpid()), *run)
        canary = self.plan.canary.uri
        if canary in SHIPPED:
            provide(self.models, [canary])
        else:
            self.training = self._launch("training", "coalmine.demo.flights.train", str(self.models), canary)

    def _launch(self, name: str, *module: str) -> "subprocess.Popen[bytes]":
        """Start a Python module in a session of its own: Ctrl-C must reach only this process, which knows the order."""
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *module], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, env=environment(self.folder / "coalmine.toml"),
            )  # fmt: skip

    def check(self) -> None:
        """Raise CoalmineError, with the end of its log, when a child has ended by itself."""
        if self.broker is not None and not self.broker.alive:
            raise BrokerError("the embedded broker ended; run the demo again, or give it a real Kafka")
        for role, worker in self.workers.items():
            if (code := worker.poll()) is not None:
                raise CoalmineError(f"the {role} process ended with exit code {code}:\n{self._log_end(role)}")

    def canary(self) -> ModelRef | None:
        """Return the canary, pinned by its content, once its package is there; None while it is being trained."""
        assert self.plan.canary is not None
        if self.training is not None:
            if (code := self.training.poll()) is None:
                return None
            if code:
                raise CoalmineError(f"the canary could not be trained:\n{self._log_end('training')}")
        package = read(self.plan.canary.uri, "", self.models)
        manifest = package.manifest
        return replace(self.plan.canary, digest=package.digest, name=manifest.name, version=manifest.version)

    def logs(self) -> str:
        """Return the ends of the logs of all workers."""
        return "\n".join(f"{role} says:\n{self._log_end(role)}" for role in self.workers)

    def _log_end(self, name: str) -> str:
        text = (self.folder / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-LOG_LINES:])

    def drop_curtain(self) -> None:
        """End the workers in order, at once if their broker is gone."""
        if self.training is not None:
            self.training.kill()
            self.training.wait()
        broken = self.broker is not None and not self.broker.alive
        for worker in self.workers.values():
            end(worker, 0 if broken else self.stop_seconds)

    def hurry(self) -> None:
        """Let all workers stop at once, without their order: somebody pressed Ctrl-C and waits."""
        self.stop_seconds = INTERRUPTED_SECONDS
        for worker in self.workers.values():
            worker.terminate()


def end(child: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Stop a child in order; kill it when that takes more than `seconds`."""
    child.terminate()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@contextmanager
def stage(scenario: Path, settings: Settings | None) -> Iterator[Stage]:
    """Set the stage for a rollout file, with `settings` on their Kafka in a namespace that nobody used before.

    Raises BrokerError when no broker can be had.
    """
    with ExitStack() as undone:  # in reverse order
        folder = Path(tempfile.mkdtemp(prefix="coalmine-demo-"))
        undone.callback(shutil.rmtree, folder, ignore_errors=True)
        plan, _ = load(scenario)
        if settings is None:
            broker = EmbeddedBroker()
            undone.callback(broker.stop)
            namespace = NamespaceTopics()
            address = broker.start(topic_specs(namespace, [plan], PARTITIONS))
            kafka = KafkaSettings({"bootstrap.servers": address, **EMBEDDED_CLIENT})
        else:
            broker = None
            namespace = NamespaceTopics(f"demo-{uuid.uuid4().hex[:8]}")
            plan = replace(plan, topics=Topics.of(namespace.namespace))  # no earlier play wrote to these
            kafka = KafkaSettings(settings.kafka)
            create_topics(Admin(kafka), topic_specs(namespace, [plan], PARTITIONS))
        text = write(plan)
        (folder / "flights.yaml").write_text(text)
        set_up = Stage(folder, kafka, namespace, plan, file_digest(text.encode()), broker)
        (folder / "coalmine.toml").write_text(settings_file(set_up))
        undone.callback(set_up.drop_curtain)
        try:
            set_up.raise_curtain()
            yield set_up
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
            set_up.hurry()
            raise


def create_topics(admin: Admin, specs: list[TopicSpec]) -> None:
    """Create topics on a real Kafka."""
    found = admin.find([spec.name for spec in specs])
    admin.apply(compare(specs, found, frozenset()))


def settings_file(stage: Stage) -> str:
    """Return the settings of the workers as TOML; a JSON string is a TOML string."""
    lines = [
        f"namespace = {json.dumps(stage.namespace.namespace)}",
        f"broker = {json.dumps('kafka' if stage.broker is None else 'embedded')}",
        "[models]",
        f"root = {json.dumps(str(stage.models))}",
    ]
    lines += ["[kafka]", *(f"{json.dumps(name)} = {json.dumps(str(v))}" for name, v in stage.kafka.properties.items())]
    return "\n".join(lines) + "\n"


def environment(settings: Path) -> Mapping[str, str]:
    """Return this process's environment with our settings instead of the user's."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    return {**others, "COALMINE_CONFIG": str(settings)}
