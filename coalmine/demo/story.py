"""What a spectator of one rollout knows: answers counted, moves with their looks. Pure: records in.

The spectator learns everything from topics, as any user could; nothing here asks a process of the demo.
"""

from collections import Counter
from dataclasses import dataclass, field

from coalmine.errors import DecodeError
from coalmine.policies import Applied, At, Command, Phase, State, Topics
from coalmine.streams.kafka.reader import LogRecord
from coalmine.streams.kafka.topics import NamespaceTopics
from coalmine.streams.picture import Picture
from coalmine.streams.wire.codec import decoder
from coalmine.streams.wire.messages import ErrorRecord, Event, Heartbeat, Look, Prediction, RolloutView

__all__ = ["Answers", "Move", "Story"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A command that was applied: when by the wall and by the flights (epoch ms), the state after it, and what it did.

    `event_ms` is the departure that was sent last when the command was seen, None before the first.
    """

    wall_ms: int
    event_ms: int | None
    command: Command
    state: State
    message: str


@dataclass(slots=True)
class Answers:
    """Who answered how many requests. `ids` are those answered; a second record of one counts as `repeated`."""

    ids: set[str] = field(default_factory=set)
    repeated: int = 0
    by_variant: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def take(self, record: Prediction | ErrorRecord) -> None:
        """Count what a request got. A fallback is stable's answer, whoever was assigned."""
        if record.id in self.ids:
            self.repeated += 1
            return
        self.ids.add(record.id)
        if isinstance(record, ErrorRecord):
            self.errors[record.error_code] += 1
        elif record.fallback is None:
            self.by_variant[record.variant] += 1
        else:
            self.by_variant["stable"] += 1
            self.fallbacks[record.fallback] += 1


class Story:
    """The records of one rollout so far, folded. `departed_ms` (epoch ms) is told by who sends the flights."""

    def __init__(self, rollout: str, namespace: NamespaceTopics, topics: Topics) -> None:
        self.rollout = rollout
        self.namespace = namespace
        self.topics = topics
        self.picture = Picture()
        self.answers = Answers()
        self.events: list[Event] = []
        self.moves: list[Move] = []
        self.looks: dict[tuple[int, int], Look] = {}
        self.departed_ms: int | None = None

    @property
    def watched(self) -> tuple[str, ...]:
        """The topics whose records belong here."""
        shared = self.namespace
        return (shared.control, shared.looks, shared.events, shared.rollouts, shared.workers, self.topics.predictions)

    @property
    def state(self) -> State | None:
        """The state of the rollout, None before its first command."""
        return self.picture.states.get(self.rollout)

    @property
    def view(self) -> RolloutView | None:
        """What the judge last said of the rollout."""
        return self.picture.views.get(self.rollout)

    @property
    def phase(self) -> Phase:
        """The phase of the rollout."""
        return self.state.phase if self.state else Phase.IDLE

    @property
    def is_served(self) -> bool:
        """Whether a scoring worker holds partitions with stable loaded, and an analyzer has reported."""
        beats = self.picture.heartbeats.values()
        ready = any(
            model.role == "stable" and model.status == "ready"
            for beat in beats if beat.partitions.get(self.rollout)
            for model in beat.models.get(self.rollout, [])
        )  # fmt: skip
        return ready and any(beat.role == "analyze" for beat in beats)

    def look_of(self, move: Move) -> Look | None:
        """Return the look that decided a move, None for a person's command."""
        number: int | None = getattr(move.command, "look", None)
        if number is None or move.state.attempt is None:
            return None
        return self.looks.get((move.state.attempt, number))

    def take(self, topic: str, at: At, value: bytes) -> None:
        """Fold one record; one that is not ours is passed over: a spectator must not die of a stranger's bytes."""
        try:
            self._take(topic, at, value)
        except DecodeError:
            return

    def _take(self, topic: str, at: At, value: bytes) -> None:
        shared = self.namespace
        if topic == self.topics.predictions:
            self.answers.take(answer_in(value))
        elif topic == shared.control:
            self._take_command(at, value)
        elif topic == shared.looks:
            look = decode_look(value)
            self.looks[look.attempt, look.look] = look
        elif topic == shared.events:
            self.events.append(decode_event(value))
        elif topic == shared.rollouts:
            view = decode_view(value)
            self.picture.views[view.rollout] = view
        elif topic == shared.workers:
            beat = decode_heartbeat(value)
            self.picture.heartbeats[beat.worker] = beat

    def _take_command(self, at: At, value: bytes) -> None:
        folded = self.picture.fold(LogRecord(at.offset, at.ms, True, None, value, ()))
        [effect] = folded.effects or [None]
        if isinstance(effect, Applied) and folded.command is not None and folded.after is not None:
            move = Move(wall_ms=at.ms, event_ms=self.departed_ms, command=folded.command, state=folded.after,
                        message=effect.message)  # fmt: skip
            self.moves.append(move)


def answer_in(value: bytes) -> Prediction | ErrorRecord:
    """Return the answer or the error record in `value`; raise DecodeError if it is neither."""
    try:
        return decode_prediction(value)
    except DecodeError:
        return decode_error(value)


decode_error = decoder(ErrorRecord)
decode_event = decoder(Event)
decode_heartbeat = decoder(Heartbeat)
decode_look = decoder(Look)
decode_prediction = decoder(Prediction)
decode_view = decoder(RolloutView)
