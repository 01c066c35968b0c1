"""Whether this worker may ask the canary right now: its own breaker, the reports of others, the age of its control.

All three cut the canary locally, at once, without a command. A tripped breaker latches for the attempt: the report
in the heartbeat outlives the process, and a worker that finds a report of the attempt when it starts cuts, too.
"""

from collections.abc import Callable

from coalmine.policies import Breaker, State

from ..wire.messages import Fallback, Fault, Heartbeat, OpenBreaker
from .pipeline import Settled

__all__ = ["CONTROL_STALE_SECONDS", "Guard"]

CONTROL_STALE_SECONDS = 30.0
"""A worker that cannot be told to roll back must not expose anybody: the hard limit for using an old revision."""

REPORTS_THAT_CUT = 2
"""Workers that must have cut by themselves before all others follow, should no analyzer answer with a rollback."""


class Guard:
    """Watches over the canary of one rollout on one worker.

    Parameters
    ----------
    worker
        Id of this worker; its own reports are told from those of others by it.
    control_age
        Returns the seconds since the broker last confirmed that this worker has read all of control.
    on_trip
        Called once when the breaker of this worker opens, so that its heartbeat leaves at once.
    """

    def __init__(
        self, rollout: str, worker: str, control_age: Callable[[], float], on_trip: Callable[[], None]
    ) -> None:
        self.rollout = rollout
        self.worker = worker
        self.control_age = control_age
        self.on_trip = on_trip
        self.state: State | None = None
        self.breaker = Breaker()
        self.open: OpenBreaker | None = None
        self.heard: dict[str, OpenBreaker] = {}

    def follow(self, state: State) -> None:
        """Take note of a new state; a new attempt begins with a closed breaker."""
        if self.state is None or state.attempt != self.state.attempt:
            self.breaker, self.open = Breaker(), None
        self.state = state

    def observe(self, canary: Settled, attempt: int | None) -> None:
        """Feed the breaker with what the canary of `attempt` made of its rows, in order; an earlier one is history."""
        if self.open is not None or self.state is None or self.state.plan is None or not self.state.plan.breaker:
            return
        if attempt != self.state.attempt:
            return
        self.breaker = self.breaker.after(failures(canary), timeouts(canary))
        if self.breaker.tripped:
            assert self.state.attempt is not None
            self.open = OpenBreaker(
                rollout=self.rollout,
                attempt=self.state.attempt,
                revision=self.state.revision,
                code=next(iter(canary.faults.values())),
                count=self.breaker.failures,
            )
            self.on_trip()

    def hear(self, heartbeat: Heartbeat) -> None:
        """Take note of the breakers that another worker, or a former life of this one, reports."""
        for report in heartbeat.breakers:
            if report.rollout == self.rollout:
                self.heard[heartbeat.worker] = report

    def adopt(self) -> None:
        """Cut if anybody reported a breaker of this attempt; called once, before this worker takes traffic."""
        reports = self.reports()
        if reports and self.open is None:
            self.open = reports[0]

    def reports(self) -> list[OpenBreaker]:
        """Return what was heard of the current attempt."""
        attempt = self.state.attempt if self.state else None
        return [report for report in self.heard.values() if report.attempt == attempt]

    def blocked(self) -> Fallback | None:
        """Return why the canary may not be asked, None if it may."""
        if self.open is not None or len(self.reports()) >= REPORTS_THAT_CUT:
            return Fallback.BREAKER_OPEN
        if self.control_age() > CONTROL_STALE_SECONDS:
            return Fallback.CONTROL_STALE
        return None


def failures(canary: Settled) -> list[bool]:
    """Return for each row of the canary, in offset order, whether it failed; a call that failed whole is one entry."""
    rows = sorted({*canary.values, *canary.faults} - canary.by_call)
    together = [True] if canary.by_call else []
    return together + [row in canary.faults for row in rows]


def timeouts(canary: Settled) -> int:
    """Return how many calls ran out of time."""
    return sum(call.fault == Fault.MODEL_TIMEOUT.value for call in canary.calls.values())
