"""A live installation under load, for proofs that hurt it: scoring workers, an analyzer, traffic, and what is left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from coalmine.streams.kafka.topics import score_group

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

LONG = 86_400.0
"""Seconds of a load that nobody ends."""

QUIET = """\
  every: 1s
  deadline: 48h
  checks:
    errors: {metric: error_rate, margin: 2pp}"""
"""An analysis that no noise of a busy machine trips."""

SETTLE_SECONDS = 60.0
"""Deadline for the workers to answer what is left once the load has ended."""


class Scene:
    """One rollout on a broker with processes that come and go.

    `scorers` and `analyzers` are the processes that should be running now.
    """

    def __init__(self, kafka: Site, folder: Path, models: tuple[Path, Path], steps: str, analysis: str) -> None:
        self.kafka, self.folder, self.log = kafka, folder, Log(kafka.bootstrap)
        self.stable, self.canary = models
        namespace = unique("n")
        text = rollout_text(namespace, self.stable, steps, analysis)
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

    def start_load(self, rate: float, **options: Any) -> Worker:
        """Let open-loop traffic flow from a process of its own until `end_load`; `options` are fields of `Load`."""
        load = Load(bootstrap=self.kafka.bootstrap, topic=self.topics.requests, rate=rate, seconds=LONG, **options)
        output = self.folder / f"load-{len(self.loads)}"
        before = self.log.count(self.topics.requests)
        worker = Worker(python("bench.load", msgspec.json.encode(load).decode()), output)
        self.loads.append(worker)
        requests = self.topics.requests
        wait_for(lambda: self.log.count(requests) > before, SETTLE_SECONDS, "a request", {"load": worker})
        return worker

    def end_load(self) -> Sent:
        """End the last load and return what it sent."""
        load = self.loads[-1]
        if code := load.stop():
            raise RuntimeError(f"the load ended with {code}:\n{load.tail()}")
        return msgspec.json.decode(load.output.read_bytes(), type=Sent)

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
def scene(
    kafka: Site, steps: str, analysis: str = QUIET, pack: Callable[[Path], tuple[Path, Path]] = pack_pair
) -> Iterator[Scene]:
    """Give a scene with its topics made and nothing running; end all its processes afterwards.

    `steps` and `analysis` are these parts of the rollout file; `pack` writes its two models.
    """
    with TemporaryDirectory(prefix="coalmine-scene-") as folder:
        models = pack(Path(folder) / "models")
        made = Scene(kafka, Path(folder), models, steps, analysis)
        try:
            yield made
        finally:
            made.close()


def rollout_text(tag: str, stable: Path, steps: str, analysis: str) -> str:
    """Return a rollout file whose topics nobody else on the broker has."""
    names = ("requests", "predictions", "outcomes", "feedback", "labels", "dead_letters")
    topics = ", ".join(f"{name}: {tag}.{name.replace('_', '-')}" for name in names)
    return f"""\
apiVersion: coalmine.dev/v1
kind: Rollout
name: bench
topics: {{{topics}}}
stable: {{uri: {stable}}}
canary_timeout: 5s
steps:
{steps}
analysis:
{analysis}
"""
