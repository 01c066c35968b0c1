"""Whether the workers are ready for an attempt: all of them have its canary loaded, or one says it never will.

A package that fails its digest or its golden rows is the same package everywhere, so one refusal ends the attempt
before any traffic. A machine that cannot reach the store is a matter of that machine: the attempt waits, and ends only
if nobody could load the package in time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from ..plan.plan import ModelRef
from .state import State

__all__ = [
    "HEARTBEAT_LIFE_MS",
    "ModelStatus",
    "NeverReady",
    "Readiness",
    "Ready",
    "Waiting",
    "WorkerReport",
    "readiness",
]

HEARTBEAT_LIFE_MS = 10_000
"""A worker whose last heartbeat is older is not counted as alive; heartbeats come every 2 s."""


class ModelStatus(Enum):
    """How it stands with a model on a worker."""

    READY = "ready"
    LOADING = "loading"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What the last heartbeat of a scoring worker says about one rollout.

    `age_ms` is the age of the heartbeat, `control_offset` the last record of the log it has folded, `partitions` how
    many partitions of the requests it holds. Digests are empty while nothing is loaded. `reason` belongs to a canary
    that is refused or unavailable.
    """

    worker: str
    host: str
    age_ms: int
    control_offset: int
    partitions: int
    stable_digest: str
    canary_status: ModelStatus
    canary_digest: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """All live workers (so many) have the canary loaded and its golden rows passed."""

    workers: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not yet, and may come; `reason` is one sentence that names the hosts it hangs on."""

    reason: str


@dataclass(frozen=True, slots=True)
class NeverReady:
    """The attempt must end: `reason` is one sentence for the owner of the model."""

    reason: str


Readiness = Ready | Waiting | NeverReady


def readiness(state: State, reports: Sequence[WorkerReport], *, waited_ms: int, load_timeout_ms: int) -> Readiness:
    """Return how ready the workers are for the attempt of `state`, `waited_ms` after it began.

    Only workers that are alive and hold a partition must be ready. A refusal counts from any that is alive, for
    workers load before they join. Reports from before the attempt say nothing about it.
    """
    canary, attempt = state.canary, state.attempt
    assert canary is not None, "only an attempt is waited for"
    assert attempt is not None, "only an attempt is waited for"
    alive = [report for report in reports if report.age_ms <= HEARTBEAT_LIFE_MS]
    serving = [report for report in alive if report.partitions > 0]
    return (
        refused(canary, [report for report in alive if report.control_offset >= attempt])
        or nobody_serves(serving)
        or has_not_read(attempt, serving)
        or stable_differs(state.stable, serving)
        or cannot_load(canary, serving, timed_out=waited_ms >= load_timeout_ms)
        or still_loads(canary, serving)
        or canary_differs(serving)
        or Ready(len(serving))
    )


def hosts(reports: Iterable[WorkerReport]) -> str:
    """Return the names of the hosts, each once."""
    return ", ".join(sorted({report.host for report in reports}))


def refused(canary: ModelRef, informed: Sequence[WorkerReport]) -> NeverReady | None:
    """End the attempt when any worker that knows of it has refused the package."""
    refusing = [report for report in informed if report.canary_status is ModelStatus.REFUSED]
    if not refusing:
        return None
    return NeverReady(f"{canary.uri} was refused on {hosts(refusing)}: {refusing[0].reason}")


def nobody_serves(serving: Sequence[WorkerReport]) -> Waiting | None:
    """Wait while no worker is alive: none is not all."""
    return None if serving else Waiting("no live scoring worker holds a partition: start one with `coalmine run`")


def has_not_read(attempt: int, serving: Sequence[WorkerReport]) -> Waiting | None:
    """Wait for workers that do not know of the attempt."""
    behind = [report for report in serving if report.control_offset < attempt]
    return Waiting(f"{hosts(behind)} has not read of attempt {attempt} yet") if behind else None


def stable_differs(stable: ModelRef | None, serving: Sequence[WorkerReport]) -> Waiting | None:
    """Wait while workers answer with another stable model than the log says, or than each other."""
    assert stable is not None, "an attempt has a stable model"
    right = stable.digest or max(report.stable_digest for report in serving)
    other = [report for report in serving if report.stable_digest != right]
    return Waiting(f"{hosts(other)} has not loaded the stable model {stable.uri} of this rollout") if other else None


def cannot_load(canary: ModelRef, serving: Sequence[WorkerReport], *, timed_out: bool) -> Waiting | NeverReady | None:
    """Wait for machines that cannot load the package now; end the attempt if none could in time."""
    failing = [report for report in serving if report.canary_status is ModelStatus.UNAVAILABLE]
    if not failing:
        return None
    reason = f"{hosts(failing)} cannot load {canary.uri}: {failing[0].reason}"
    if timed_out and len(failing) == len(serving):
        return NeverReady(f"no worker could load it in time; {reason}")
    return Waiting(reason)


def still_loads(canary: ModelRef, serving: Sequence[WorkerReport]) -> Waiting | None:
    """Wait for workers that have not finished, or still report another package."""
    loading = [
        report
        for report in serving
        if report.canary_status is not ModelStatus.READY or (canary.digest and report.canary_digest != canary.digest)
    ]
    return Waiting(f"{hosts(loading)} is still loading {canary.uri}") if loading else None


def canary_differs(serving: Sequence[WorkerReport]) -> Waiting | None:
    """Wait while an address without a digest means different packages on different machines."""
    digests = {report.canary_digest for report in serving}
    if len(digests) == 1:
        return None
    return Waiting(f"{hosts(serving)} loaded {len(digests)} different packages from one address: pin its digest")
