"""What is known of the rollouts of a namespace at one moment, gathered from its topics. Pure: times are arguments."""

from dataclasses import dataclass, field
from datetime import datetime

from coalmine.policies import State

from .control_log import ControlLog
from .messages import Heartbeat, RolloutView

__all__ = ["Confirmation", "Picture", "age"]

LIVE_SECONDS = 10.0
"""A process counts as live for this long after its last heartbeat; it sends one every 2 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """Which live scoring workers of a rollout have read the log up to an offset, and which have not."""

    confirmed: tuple[Heartbeat, ...]
    laggards: tuple[Heartbeat, ...]

    @property
    def is_complete(self) -> bool:
        """Whether nobody lags behind."""
        return not self.laggards


@dataclass(slots=True)
class Picture:
    """All that is known of the rollouts of a namespace, gathered from its topics."""

    log: ControlLog = field(default_factory=ControlLog)
    views: dict[str, RolloutView] = field(default_factory=dict)
    heartbeats: dict[str, Heartbeat] = field(default_factory=dict)

    @property
    def states(self) -> dict[str, State]:
        """The state of every rollout that any command was ever applied to."""
        return {name: state for name, state in self.log.states.items() if state.revision > 0}

    def live(self, role: str, now: float) -> list[Heartbeat]:
        """Return the last heartbeats of live processes of a role, by their id; `now` is epoch seconds."""
        found = [beat for beat in self.heartbeats.values() if beat.role == role and not beat.stopping]
        return sorted((beat for beat in found if age(beat, now) <= LIVE_SECONDS), key=lambda beat: beat.worker)

    def has_judge(self, now: float) -> bool:
        """Tell whether any process that decides automatically is alive."""
        return bool(self.live("analyze", now))

    def workers_of(self, rollout: str, now: float) -> list[Heartbeat]:
        """Return the live scoring workers that serve a rollout."""
        return [beat for beat in self.live("score", now) if rollout in beat.partitions or rollout in beat.models]

    def confirmation(self, rollout: str, offset: int, now: float) -> Confirmation:
        """Return who among the workers of a rollout has read the record at `offset` of the log."""
        workers = self.workers_of(rollout, now)
        return Confirmation(
            confirmed=tuple(beat for beat in workers if beat.control_offset >= offset),
            laggards=tuple(beat for beat in workers if beat.control_offset < offset),
        )


def age(beat: Heartbeat, now: float) -> float:
    """Return the seconds since a heartbeat; `now` is epoch seconds."""
    return now - datetime.fromisoformat(beat.time).timestamp()
