"""One run of one runner over a backlog: speed, CPU, memory, and whether its answers are right.

The same rules for every runner. Speed: requests divided by the time between the first and the last output record, by
the broker's append time, so start-up does not count. CPU: the use of a process between the moment its first output
is seen and the moment the last one is, divided by the requests answered in between; so start-up does not count
either. Memory: peak resident size of the whole run.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from .checker import Verdict
from .collect import RunTopics, collect
from .kafka_log import Log
from .laws import Cohort
from .processes import Usage, Worker, usage

__all__ = ["OUTPUT_CONFIG", "Figures", "Run", "measure", "topics_of", "wait_for"]

OUTPUT_CONFIG = {"message.timestamp.type": "LogAppendTime"}
"""Output topics of a benchmark carry the broker's clock."""

FIRST_OUTPUT_SECONDS = 60.0
"""Deadline for the first output of a runner."""

LAST_OUTPUT_SECONDS = 600.0
"""Deadline for the last one."""

GLANCE = 0.02
"""Seconds between two looks at the progress of a run."""


class Run(Protocol):
    """A runner on its way through a backlog."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    @property
    def predictions(self) -> str:
        """The topic of its predictions."""
        ...

    @property
    def outcomes(self) -> str:
        """The topic of its outcomes."""
        ...

    @property
    def revisions(self) -> Mapping[int, Cohort]:
        """What the revisions in its records say of routing; asked for after the run."""
        ...

    def start(self) -> dict[str, Worker]:
        """Create its topics, start its processes and return them by role."""
        ...

    def is_done(self) -> bool:
        """Tell whether it has also done what it does besides writing outputs."""
        ...


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run used. `cpu_us` is microseconds of CPU an event by role, `peak_rss_mb` 10**6 bytes by role."""

    runner: str
    events: int
    events_per_second: float
    cpu_us: Mapping[str, float]
    peak_rss_mb: Mapping[str, float]
    bytes_per_record: Mapping[str, float]
    verdict: Verdict


class Alive(Protocol):
    """A process that should not have ended."""

    def assert_alive(self) -> None:
        """Raise RuntimeError when it has."""
        ...


def wait_for(
    fact: Callable[[], bool], seconds: float, what: str, workers: Mapping[str, Alive], glance: float = GLANCE
) -> None:
    """Wait until `fact()`, looking every `glance` seconds.

    Raises TimeoutError after `seconds`, and RuntimeError when a worker ends meanwhile.
    """
    deadline = time.monotonic() + seconds
    while not fact():
        for worker in workers.values():
            worker.assert_alive()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(glance)


def measure(log: Log, run: Run, requests: str, events: int, broker_pid: int | None) -> Figures:
    """Let a runner answer the `events` requests of a topic and return its figures."""
    workers = run.start()
    try:
        wait_for(lambda: log.count(run.predictions) > 0, FIRST_OUTPUT_SECONDS, "first output", workers)
        before, done_before = used(workers, broker_pid), log.count(run.predictions)
        wait_for(lambda: log.count(run.predictions) >= events, LAST_OUTPUT_SECONDS, "last prediction", workers)
        wait_for(lambda: log.count(run.outcomes) >= events, LAST_OUTPUT_SECONDS, "last outcome", workers)
        wait_for(run.is_done, LAST_OUTPUT_SECONDS, "the rest of the work", workers)
        after = used(workers, broker_pid)
    finally:
        codes = {role: worker.stop() for role, worker in workers.items()}
    if any(codes.values()):
        raise RuntimeError(f"{run.name} ended with {codes}: " + "\n".join(w.tail() for w in workers.values()))
    found = collect(log, topics_of(run, requests), run.revisions)
    return Figures(
        runner=run.name,
        events=events,
        events_per_second=events / found.seconds,
        cpu_us={
            role: (after[role].cpu_seconds - before[role].cpu_seconds) / (events - done_before) * 1e6 for role in after
        },
        peak_rss_mb={role: after[role].peak_rss_bytes / 1e6 for role in after},
        bytes_per_record=found.sizes,
        verdict=found.verdict,
    )


def used(workers: Mapping[str, Worker], broker_pid: int | None) -> dict[str, Usage]:
    found = {role: worker.usage() for role, worker in workers.items()}
    return found if broker_pid is None else {**found, "broker": usage(broker_pid)}


def topics_of(run: Run, requests: str) -> RunTopics:
    """Return the topics of a run over `requests`."""
    return RunTopics(requests=requests, predictions=run.predictions, outcomes=run.outcomes)
