"""What is known of the rollouts of a namespace at one moment, gathered from its topics. Pure: times are arguments."""

from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from coalmine.policies import HEARTBEAT_LIFE_MS, State, advance

from .analysis.looking import rollout_view
from .control.fold import ControlFold, Folded
from .control.live import report_of
from .kafka.reader import LogRecord
from .wire.codec import decode_command
from .wire.messages import Heartbeat, RolloutView

__all__ = ["Confirmation", "Picture", "age"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """Which live scoring workers of a rollout have read the log up to an offset, and which have not."""

    confirmed: tuple[Heartbeat, ...]
    laggards: tuple[Heartbeat, ...]

    @property
    def is_complete(self) -> bool:
        """Whether nobody lags behind."""
        return not self.laggards


class Picture:
    """All that is known of the rollouts of a namespace: the fold of the control log, views and heartbeats by name."""

    def __init__(self) -> None:
        self.views: dict[str, RolloutView] = {}
        self.heartbeats: dict[str, Heartbeat] = {}
        self._folded: list[Folded] = []
        self._control = ControlFold(decode_command, advance, listener=self._folded.append)

    def fold(self, record: LogRecord) -> Folded:
        """Fold the next record of the control log and return what it did."""
        self._control.fold(record)
        return self._folded.pop()

    @property
    def control_offset(self) -> int:
        """The offset of the control log to fold next."""
        return self._control.offset

    @property
    def states(self) -> dict[str, State]:
        """The state of every rollout that any command was ever applied to."""
        return {name: state for name, state in self._control.states.items() if state.revision > 0}

    def live(self, role: str, now: float) -> list[Heartbeat]:
        """Return the last heartbeats of live processes of a role, by their id; `now` is epoch seconds."""
        found = [beat for beat in self.heartbeats.values() if beat.role == role and not beat.stopping]
        return sorted(
            (beat for beat in found if age(beat, now) * 1_000 <= HEARTBEAT_LIFE_MS), key=lambda beat: beat.worker
        )

    def has_judge(self, now: float) -> bool:
        """Tell whether any process that decides automatically is alive."""
        return bool(self.live("analyze", now))

    def workers_of(self, rollout: str, now: float) -> list[Heartbeat]:
        """Return the live scoring workers that serve a rollout."""
        return [beat for beat in self.live("score", now) if rollout in beat.partitions or rollout in beat.models]

    def view(self, rollout: str, now: float) -> RolloutView:
        """Return a rollout as of our own fold, with the figures of the judge's last view of the same attempt.

        So it is right also while no judge is alive, or behind. Raises KeyError for a rollout that is not in the log.
        """
        state, judged = self.states[rollout], self.views.get(rollout)
        if judged is not None and judged.control_offset >= state.control_offset:
            return judged
        reports = [report_of(beat, state, int(age(beat, now) * 1_000)) for beat in self.workers_of(rollout, now)]
        own = rollout_view(
            state, {}, message=state.message, wall_ms=int(now * 1_000), look=None, samples=0, workers=reports
        )
        if judged is None or judged.attempt != state.attempt:
            return own
        return replace(own, look=judged.look, findings=judged.findings, variants=judged.variants, time=judged.time)

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
