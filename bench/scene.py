"""A live installation under load, for proofs that hurt it: scoring workers, an analyzer, traffic, and what is left."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from coalmine.streams.topics import score_group

from .collect import Collected, RunTopics, collect
from .installation import Installation, unique
from .kafka_log import Log
from .load import Load, Sent
from .measure import wait_for
from .pair import pack_pair
from .processes import Worker, python
from .rig import Site

__all__ = ["PARTITIONS", "Scene", "scene"]

PARTITIONS = 4

SETTLE_SECONDS = 60.0
"""Deadline for the workers to answer what is left once the load has ended."""


class Scene:
    """One rollout on a broker with processes that come and go.

    `scorers` and `analyzers` are the processes that should be running now.
    """

    def __init__(self, kafka: Site, folder: Path, steps: str, checks: str = "") -> None:
        self.kafka, self.folder, self.log = kafka, folder, Log(kafka.bootstrap)
        self.stable, self.canary = pack_pair(folder / "models")
        namespace = unique("n")
        text = rollout_text(self.stable, steps, checks)
        self.installation = Installation(self.log, namespace, text, folder, PARTITIONS)
        self.installation.create_topics()
        self.topics = self.installation.plan.topics
        self.group = score_group(namespace, self.installation.plan.name)
        self.scorers: list[Worker] = []
        self.analyzers: list[Worker] = []
        self.loads: list[Worker] = []
        self.started = 0

    def add_scorer(self) -> Worker:
        """Start a scoring worker; it is not waited for."""
        self.started += 1
        worker = self.installation.worker("score", f"-{self.started}")
        self.scorers.append(worker)
        return worker

    def add_analyzer(self) -> Worker:
        """Start an analyzer; it is not waited for."""
        self.started += 1
        worker = self.installation.worker("analyze", f"-{self.started}")
        self.analyzers.append(worker)
        return worker

    def start_load(self, rate: float, seconds: float, poison_every: int = 0) -> Worker:
        """Start open-loop traffic in a process of its own; the numbers go on where the last load ended."""
        first = self.log.count(self.topics.requests)
        load = Load(bootstrap=self.kafka.bootstrap, topic=self.topics.requests, rate=rate, seconds=seconds,
                    first=first, poison_every=poison_every)  # fmt: skip
        output = self.folder / f"load-{len(self.loads)}"
        worker = Worker(python("bench.load", msgspec.json.encode(load).decode()), output)
        self.loads.append(worker)
        return worker

    def end_load(self) -> Sent:
        """End the last load and return what it sent."""
        load = self.loads[-1]
        if code := load.stop():
            raise RuntimeError(f"the load ended with {code}:\n{load.tail()}")
        return msgspec.json.decode(load.output.read_bytes(), type=Sent)

    def await_answers(self, more_than: int, seconds: float = SETTLE_SECONDS) -> None:
        """Return once the predictions topic holds more than `more_than` records."""
        wait_for(lambda: self.log.count(self.topics.predictions) > more_than, seconds, "an answer", self.alive())

    def settle(self) -> None:
        """Return once all requests were answered and their offsets committed."""
        wait_for(self.is_settled, SETTLE_SECONDS, "the last answer", self.alive())

    def is_settled(self) -> bool:
        """Tell whether the offsets of all requests are committed."""
        requests = self.topics.requests
        return self.log.committed(self.group, requests) == self.log.ends(requests)

    def alive(self) -> dict[str, Worker]:
        """Return the processes that should be running, by name."""
        return {worker.output.name: worker for worker in (*self.scorers, *self.analyzers)}

    def collect(self) -> Collected:
        """Return the records of everything so far."""
        topics = RunTopics(requests=self.topics.requests, predictions=self.topics.predictions,
                           outcomes=self.topics.outcomes, dead_letters=self.topics.dead_letters)  # fmt: skip
        return collect(self.log, topics, self.installation.revisions())

    def close(self) -> list[int]:
        """Stop every process and return the exit codes of scorers and analyzers."""
        for load in self.loads:
            load.stop()
        return [worker.stop() for worker in (*self.scorers, *self.analyzers)]


@contextmanager
def scene(kafka: Site, steps: str, checks: str = "") -> Iterator[Scene]:
    """Give a scene with its topics made and nothing running; end all its processes afterwards."""
    with TemporaryDirectory(prefix="coalmine-scene-") as folder:
        made = Scene(kafka, Path(folder), steps, checks)
        try:
            yield made
        finally:
            made.close()


def rollout_text(stable: Path, steps: str, checks: str) -> str:
    """Return a rollout file with the given steps; checks that no noise of a busy machine trips."""
    return f"""\
apiVersion: coalmine.dev/v1
kind: Rollout
name: bench
stable: {{uri: {stable}}}
canary_timeout: 5s
steps:
{steps}
analysis:
  every: 1s
  deadline: 48h
  checks:
    errors: {{metric: error_rate, margin: 2pp}}
{checks}
"""


def nap_until(moment: float) -> None:
    """Sleep until `time.time()` is `moment`."""
    time.sleep(max(0.0, moment - time.time()))
