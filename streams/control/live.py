"""What the scoring workers say of themselves: the judge's view of `{ns}.workers`."""

import logging
import time

from coalmine.errors import DecodeError
from coalmine.policies import ModelStatus, State, Variant, WorkerReport

from ..kafka.reader import LogRecord
from ..wire.codec import decoder
from ..wire.messages import Heartbeat, LoadedModel, OpenBreaker

__all__ = ["LiveWorkers"]

REMEMBERED_SECONDS = 60.0
"""A worker that fell silent is told of this long."""

decode_heartbeat = decoder(Heartbeat)

log = logging.getLogger(__name__)


class LiveWorkers:
    """The last heartbeat of every scoring worker, and every breaker that was ever reported.

    What is heard before `caught_up` is history: nobody lives because of it. The clocks of the workers say nothing
    about that; one that is minutes slow would never be seen. A worker that lives says so again within 2 s.
    """

    def __init__(self) -> None:
        self._in_history = True
        self._last: dict[str, tuple[float, Heartbeat]] = {}
        self._breakers: dict[tuple[str, int], tuple[str, OpenBreaker]] = {}

    def caught_up(self) -> None:
        """Take note that what is heard from now on is said now."""
        self._in_history = False

    def hear(self, record: LogRecord) -> None:
        """Take note of a record of the workers' topic; what is no heartbeat is nobody's."""
        if record.value is None:
            return
        try:
            beat = decode_heartbeat(record.value)
        except DecodeError as error:
            log.warning("a record of the workers' topic, offset %d, is no heartbeat: %s", record.offset, error.message)
            return
        if beat.role != "score":
            return
        for breaker in beat.breakers:
            self._breakers.setdefault((breaker.rollout, breaker.attempt), (beat.worker, breaker))
        if beat.stopping or self._in_history:
            self._last.pop(beat.worker, None)
        else:
            self._last[beat.worker] = time.monotonic(), beat
            self._forget()

    def _forget(self) -> None:
        horizon = time.monotonic() - REMEMBERED_SECONDS
        self._last = {worker: known for worker, known in self._last.items() if known[0] >= horizon}

    def of(self, state: State) -> list[WorkerReport]:
        """Return what every worker last said about a rollout, by worker; also those that have fallen silent."""
        now = time.monotonic()
        return [report_of(beat, state, int((now - heard) * 1000)) for _, (heard, beat) in sorted(self._last.items())]

    def breaker(self, state: State) -> tuple[str, OpenBreaker] | None:
        """Return the worker that first cut the canary of the current attempt and why, None if nobody did."""
        return None if state.attempt is None else self._breakers.get((state.rollout, state.attempt))


def report_of(beat: Heartbeat, state: State, age_ms: int) -> WorkerReport:
    """Return what a heartbeat says about one rollout; a canary it does not speak of is still to be loaded."""
    models = {model.role: model for model in beat.models.get(state.rollout, [])}
    stable, canary = models.get(Variant.STABLE.value), models.get(Variant.CANARY.value)
    known = canary is not None and state.canary is not None and canary.uri == state.canary.uri
    return WorkerReport(
        worker=beat.worker,
        host=beat.host,
        age_ms=age_ms,
        control_offset=beat.control_offset,
        partitions=len(beat.partitions.get(state.rollout, [])),
        stable_digest=stable.digest if stable is not None and stable.status == ModelStatus.READY.value else "",
        canary_status=status_of(canary) if known and canary is not None else ModelStatus.LOADING,
        canary_digest=canary.digest if known and canary is not None else "",
        reason=canary.reason if known and canary is not None else "",
    )


def status_of(model: LoadedModel) -> ModelStatus:
    """Return the status a worker gives a model; one that this version does not know is at least not ready."""
    try:
        return ModelStatus(model.status)
    except ValueError:
        return ModelStatus.LOADING
