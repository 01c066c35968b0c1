"""What a rival runner is told: one JSON argument, so that each runs in a process of its own."""

import sys

import msgspec

__all__ = ["Job", "argument", "read_job"]


class Job(msgspec.Struct, kw_only=True):
    """Topics, models and routing of a run.

    `stable`, `canary`: directories of model packages. `weight` is percent. `commit_seconds`: how often offsets are
    committed, 0 after every batch.
    """

    bootstrap: str
    group: str
    requests: str
    predictions: str
    outcomes: str
    stable: str
    canary: str
    weight: float = 10.0
    commit_seconds: float = 0.0


def argument(job: Job) -> str:
    """Return the job as a command line argument."""
    return msgspec.json.encode(job).decode()


def read_job() -> Job:
    """Return the job of this process."""
    return msgspec.json.decode(sys.argv[1], type=Job)
