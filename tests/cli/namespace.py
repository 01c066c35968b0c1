"""A namespace on a real Kafka and the command line on it, in this process or in one of its own."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from coalmine.cli.app import app
from coalmine.streams.wire.codec import encode
from coalmine.streams.wire.messages import Heartbeat, LoadedModel

from .records import event

__all__ = ["DIGEST", "Namespace", "now", "watching"]

DIGEST = "sha256:" + "b" * 64
"""The digest of every canary."""


class Namespace:
    """A namespace with topics of its own, and the command line on it."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.name = f"cli-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.bootstrap = bootstrap
        self.producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})

    def flags(self, *arguments: str) -> list[str]:
        """Return the arguments of a command with those that say where."""
        return ["--bootstrap-server", self.bootstrap, "--namespace", self.name, *arguments]

    def call(self, *arguments: str) -> Result:
        """Run a command."""
        return CliRunner().invoke(app, self.flags(*arguments))

    def file(self, rollout: str, more: str = "") -> str:
        """Write a rollout file and return its path."""
        path = self.folder / f"{rollout}.yaml"
        head = f"apiVersion: coalmine.dev/v1\nkind: Rollout\nname: {rollout}\nstable: {{uri: {rollout}/1}}\n"
        path.write_text(head + more)
        return str(path)

    def write(self, topic: str, value: bytes, key: str = "") -> None:
        """Write a record as any foreign producer would."""
        self.producer.produce(f"{self.name}.{topic}", value=value, key=key, partition=0)
        assert self.producer.flush(10) == 0

    def command(self, **fields: object) -> None:
        """Write a command as raw JSON."""
        self.write("control", json.dumps(fields).encode())

    def state(self, rollout: str) -> dict[str, object]:
        """Return what `get -o json` says."""
        document: dict[str, object] = json.loads(self.call("get", rollout, "-o", "json").stdout)
        return document

    def started(self, more: str = "") -> str:
        """Return the name of a rollout that has just been started; `more` goes into its file."""
        rollout = f"r-{uuid.uuid4().hex[:8]}"
        result = self.call("start", rollout, "--canary", "c/2", "--digest", DIGEST, "--file", self.file(rollout, more))
        assert result.exit_code == 0, result.stderr
        return rollout

    def ramped(self, more: str = "") -> str:
        """Return the name of a rollout in its first step, of 1 %, entered as the analyzer enters it."""
        rollout = self.started(more)
        self.decide(rollout, "advance", step=1, frozen={"rows": 1000, "calls": 100, "error_rate": 0.0})
        assert self.state(rollout)["weight"] == 1.0
        return rollout

    def tell(self, rollout: str, minute: int) -> None:
        """Write an event as the analyzer does; `minute` is in its time, id, revision and reason."""
        record = event(rollout=rollout, id=f"control@{minute}", reason=f"reason {minute}", revision=minute,
                       time=f"2026-03-01T12:0{minute}:00Z")  # fmt: skip
        self.write("events", encode(record), rollout)

    def decide(self, rollout: str, command: str, **fields: object) -> None:
        """Write a command as the analyzer does."""
        state = self.state(rollout)
        self.command(command=command, rollout=rollout, issued_by="analyzer", attempt=state["attempt"],
                     expected_revision=state["revision"], **fields)  # fmt: skip

    def beat(self, rollout: str, worker: str, control_offset: int, digest: str = DIGEST) -> None:
        """Write a heartbeat of a scoring worker."""
        models = [LoadedModel(role="stable", uri="s", digest=digest, status="ready")]
        heartbeat = Heartbeat(
            worker=worker, host="box", version="0", role="score", time=now(), control_offset=control_offset,
            partitions={rollout: [0]}, models={rollout: models},
        )  # fmt: skip
        self.write("workers", encode(heartbeat), worker)


@contextmanager
def watching(namespace: Namespace, rollout: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `get -w` in a process of its own, whose output is read through its pipe."""
    command = [str(Path(sys.executable).with_name("coalmine")), *namespace.flags("get", rollout, "-w")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def now() -> str:
    return datetime.now(UTC).isoformat()
