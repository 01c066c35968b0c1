"""The runners of the throughput benchmark, each with topics and a consumer group of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .installation import Installation
from .job import Job, argument
from .kafka_log import Log
from .laws import Cohort
from .measure import OUTPUT_CONFIG
from .processes import Worker, python

__all__ = ["CoalmineRun", "RivalRun", "bench_file"]

WEIGHT = 10.0


@dataclass
class RivalRun:
    """A run of `bench.bare` or `bench.plain_faust`."""

    log: Log
    name: str
    module: str
    requests: str
    partitions: int
    models: tuple[Path, Path]
    directory: Path
    tag: str
    commit_seconds: float = 0.0
    revisions: Mapping[int, Cohort] = field(default_factory=lambda: {1: Cohort(WEIGHT)})

    @property
    def predictions(self) -> str:
        """The topic of its predictions."""
        return f"{self.tag}.predictions"

    @property
    def outcomes(self) -> str:
        """The topic of its outcomes."""
        return f"{self.tag}.outcomes"

    def start(self) -> dict[str, Worker]:
        """Create the output topics and start the one process."""
        self.log.create([self.predictions, self.outcomes], self.partitions, OUTPUT_CONFIG)
        job = Job(
            bootstrap=self.log.bootstrap,
            group=self.tag,
            requests=self.requests,
            predictions=self.predictions,
            outcomes=self.outcomes,
            stable=str(self.models[0]),
            canary=str(self.models[1]),
            weight=WEIGHT,
            commit_seconds=self.commit_seconds,
        )
        return {"score": Worker(python(self.module, argument(job)), self.directory / f"{self.tag}.log")}

    def is_done(self) -> bool:
        """Tell that it does nothing besides its outputs."""
        return True


def bench_file(tag: str, requests: str, stable: Path) -> str:
    """Return a rollout file that stays at 10 % with the default checks on."""
    return f"""\
apiVersion: coalmine.dev/v1
kind: Rollout
name: bench
topics: {{requests: {requests}, predictions: {tag}.predictions, outcomes: {tag}.outcomes}}
stable: {{uri: {stable}}}
steps:
  - {{weight: {WEIGHT:g}%, hold: 24h, samples: 100}}
analysis:
  every: 1s
  deadline: 48h
  checks:
    errors: {{metric: error_rate, margin: 0.5pp}}
    slow: {{metric: slow_rate, slower_than: 250ms, margin: 2pp}}
"""


@dataclass
class CoalmineRun:
    """coalmine with everything on: a scoring worker and an analyzer, a rollout in its first step."""

    log: Log
    requests: str
    partitions: int
    models: tuple[Path, Path]
    directory: Path
    tag: str
    name: str = "coalmine"

    def __post_init__(self) -> None:
        text = bench_file(self.tag, self.requests, self.models[0])
        self.installation = Installation(self.log, self.tag, text, self.directory, self.partitions)
        self.predictions = self.installation.plan.topics.predictions
        self.outcomes = self.installation.plan.topics.outcomes

    @property
    def revisions(self) -> Mapping[int, Cohort]:
        """What the control log says of routing."""
        return self.installation.revisions()

    def start(self) -> dict[str, Worker]:
        """Set the rollout to 10 %, start the analyzer, and once it is ready the scoring worker."""
        installation = self.installation
        installation.create_topics()
        installation.start(self.models[1])
        installation.enter_first_step()
        analyzer = installation.worker("analyze")
        try:
            installation.await_ready(analyzer)
        except BaseException:
            analyzer.stop()
            raise
        return {"score": installation.worker("score"), "analyze": analyzer}

    def is_done(self) -> bool:
        """Tell whether the analyzer has read all outcomes."""
        outcomes = self.outcomes
        return self.log.committed(self.installation.tally_group, outcomes) == self.log.ends(outcomes)
