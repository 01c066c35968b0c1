"""A real Apache Kafka for tests and benchmarks: one node, KRaft, loopback, in a directory of its own.

It is started from the jars that `make kafka` puts into `build/`, and can be frozen, killed and started again on the
same port with its data. It never outlives its parent: the kernel kills it when the parent dies (Linux), whatever
killed the parent.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

__all__ = ["JARS", "SERVER_JVM", "Broker", "create_topics", "missing"]

ROOT = Path(__file__).parent.parent.parent
JARS = ROOT / "build" / "kafka-4.1.1"

QUICK_JVM = ["-Xmx256m", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=ERROR"]
"""Small and quick to start (1.3 s): no second compiler, no concurrent collector. For tests."""

SERVER_JVM = [
    "-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Dlog4j2.level=ERROR",
]  # fmt: skip
"""What Kafka's own start scripts set (kafka-server-start.sh, kafka-run-class.sh). For measurements: with the quick
flags the collector stops the broker for 10 to 40 ms about once a second at 500 requests a second."""

START_SECONDS = 60.0
"""Limit for a start; a shared two-core machine took 1.3 to 5 s."""

PR_SET_PDEATHSIG = 1

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    # A node that was killed may register again only when its former session is over: by default after 9 s.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "log.flush.interval.messages": "9223372036854775807",
}


def missing() -> str | None:
    """Return what a broker of our own lacks on this machine, None if it can be started."""
    if shutil.which("java") is None:
        return "there is no Java on this machine"
    if not any(JARS.glob("kafka_*.jar")):
        return f"{JARS} has no jars: run `make kafka`"
    return None


class Broker:
    """One Kafka node; `bootstrap` is its address, valid from the construction on and over restarts."""

    def __init__(self, settings: Mapping[str, str] | None = None, jvm: Sequence[str] = QUICK_JVM) -> None:
        self._jvm = jvm
        self.folder = Path(tempfile.mkdtemp(prefix="coalmine-kafka-"))
        port, controller = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        self.log = self.folder / "broker.log"
        self._properties = self.folder / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        lines = {
            **SETTINGS,
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(self.folder / "data"),
            **(settings or {}),
        }
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def start(self) -> "Broker":
        """Start the node and return when it answers; its data of before are still there.

        Raises RuntimeError with the end of its log when it does not come up.
        """
        if not (self.folder / "data").exists():
            self._format()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                java(self._jvm, "kafka.Kafka", str(self._properties)), stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Kafka did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)
        return self

    def _format(self) -> None:
        cluster = uuid.uuid4().hex[:22]
        command = java(QUICK_JVM, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties))
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, timeout=START_SECONDS)
        if done.returncode:
            raise RuntimeError(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")

    def _answers(self) -> bool:
        host, _, port = self.bootstrap.partition(":")
        try:
            socket.create_connection((host, int(port)), timeout=0.2).close()
            admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
            return bool(admin.list_topics(timeout=2.0).brokers)
        except (OSError, KafkaException):
            return False

    @property
    def pid(self) -> int:
        """The process id of the running node."""
        assert self._process is not None, "the broker was not started"
        return self._process.pid

    def freeze(self) -> None:
        """Stop the node in its tracks: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen node go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the node at once, as a power cut would; `start` brings it back on the same port."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End the node and remove everything it wrote; nobody needs its data, so it is killed."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Broker":
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def java(jvm: Sequence[str], main: str, *arguments: str) -> list[str]:
    """Return the command that runs a class of Kafka's jars."""
    return ["java", *jvm, "-cp", f"{JARS}/*", main, *arguments]


def free_port() -> int:
    """Return a loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies; runs between fork and exec."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def create_topics(
    bootstrap: str, partitions: Mapping[str, int], config: Mapping[str, str] | None = None, timeout: float = 10.0
) -> None:
    """Create topics, each with its partition count, all with the same settings; raise KafkaException on refusal."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = [
        NewTopic(name, num_partitions=count, replication_factor=1, config=dict(config or {}))
        for name, count in partitions.items()
    ]
    for created in admin.create_topics(new, request_timeout=timeout).values():
        created.result(timeout)
