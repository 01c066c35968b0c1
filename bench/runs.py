"""The three runners of the throughput benchmark, each with topics and a consumer group of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .job import Job, argument
from .kafka_log import Log
from .laws import Cohort
from .measure import OUTPUT_CONFIG
from .processes import Worker, python

__all__ = ["RivalRun"]


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
    revisions: Mapping[int, Cohort] = field(default_factory=lambda: {1: Cohort(10.0)})

    @property
    def predictions(self) -> str:
        return f"{self.tag}.predictions"

    @property
    def outcomes(self) -> str:
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
            commit_seconds=self.commit_seconds,
        )
        return {"score": Worker(python(self.module, argument(job)), self.directory / f"{self.tag}.log")}

    def is_done(self) -> bool:
        """A rival does nothing besides its outputs."""
        return True
