"""The client behind the command line: sends commands, folds the control log itself, reads what others say.

It needs no server and no analyzer: what a command did follows from the log alone, and who obeys from the heartbeats.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from confluent_kafka import KafkaException, Message, Producer

from coalmine.errors import BrokerError, CommandError, DecodeError, DeliveryError
from coalmine.policies import Command

from .control.fold import Folded
from .kafka.client import KafkaSettings
from .kafka.opening import opened
from .kafka.reader import log_record
from .kafka.reading import Reader, client_settings
from .kafka.topics import NamespaceTopics
from .picture import Confirmation, Picture
from .wire.codec import decode_command, decoder, encode_command
from .wire.messages import Event, Heartbeat, Look, RolloutView

__all__ = ["Operator"]

SEND_SECONDS = 10.0
"""How long a command may take to reach the broker before the person is told that it may not have."""

HEARTBEATS_READ = 20_000
"""Newest records of the workers' topic that are looked through: a thousand processes for 40 s."""

HEARTBEAT_AGE_SECONDS = 60.0
"""Heartbeats older than this are not read: far beyond what counts as live, whatever the clocks say."""

VIEWS_READ = 2_000
"""Newest views that are searched for a rollout; past that, its state is shown without the figures."""

RATE_SECONDS = (30, 300)
"""Windows over which the rate of a topic is measured."""

EVENTS_READ = 20_000
"""Newest events that are searched for those of a rollout."""

Record = TypeVar("Record")


class Operator:
    """One person's view of, and hand on, the rollouts of a namespace.

    Parameters
    ----------
    kafka
        The settings of the clients.
    namespace
        First part of the names of the shared topics.
    clock
        Epoch seconds; heartbeats are compared with it.

    Every method raises BrokerError when Kafka does not answer or the namespace has no topics.
    """

    def __init__(self, kafka: KafkaSettings, namespace: str, clock: Callable[[], float] = time.time) -> None:
        self.kafka = kafka
        self.topics = NamespaceTopics(namespace)
        self.clock = clock
        self.picture = Picture()
        self._read_to: dict[str, int] = {}
        self._reader = Reader(kafka)
        self._known = self._reader.topics()
        if self.topics.control not in self._known:
            self._reader.close()
            raise BrokerError(
                f"topic {self.topics.control} does not exist at {self._reader.address}; "
                "create it with `coalmine topics apply FILE`, or name the right --namespace"
            )

    def close(self) -> None:
        """Leave."""
        self._reader.close()

    def __enter__(self) -> "Operator":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def look(self, rollout: str | None = None) -> Picture:
        """Return the picture as of now: the log folded, views, heartbeats, and the events of a rollout (all: None)."""
        self.fold()
        self.read_heartbeats()
        wanted = {rollout} if rollout else set(self.picture.states)
        self.picture.views.update(self.newest_views(wanted))
        return self.picture

    def fold(self) -> None:
        """Fold the control log up to its present end."""
        self._fold_until(self._reader.bounds(self.topics.control)[1])

    def _fold_until(self, end: int) -> list[Folded]:
        messages = self._reader.read(self.topics.control, self.picture.control_offset, end)
        return [self.picture.fold(log_record(message)) for message in messages]

    def read_heartbeats(self) -> None:
        """Read the heartbeats that are recent enough to count."""
        newest: dict[str, Heartbeat] = {}
        oldest_ms = (self.clock() - HEARTBEAT_AGE_SECONDS) * 1_000
        for message in self._newest(self.topics.workers, HEARTBEATS_READ):
            if message.timestamp()[1] < oldest_ms:
                break
            if (beat := decoded(decode_heartbeat, message)) is not None:
                newest.setdefault(beat.worker, beat)
        self.picture.heartbeats.update(newest)

    def newest_views(self, rollouts: set[str]) -> dict[str, RolloutView]:
        """Return the newest view of each rollout that has one."""
        found: dict[str, RolloutView] = {}
        for message in self._newest(self.topics.rollouts, VIEWS_READ):
            if found.keys() >= rollouts:
                break
            view = decoded(decode_view, message)
            if view is not None and view.rollout in rollouts and view.rollout not in found:
                found[view.rollout] = view
        return found

    def newest_events(self, rollout: str | None, count: int, since: datetime | None = None) -> list[Event]:
        """Return the last `count` events of a rollout (all: None) that are not older than `since`, oldest first."""
        found: list[Event] = []
        for message in self._newest(self.topics.events, EVENTS_READ):
            event = decoded(decode_event, message)
            if event is None or rollout not in (None, event.rollout):
                continue
            if len(found) == count or (since and datetime.fromisoformat(event.time) < since):
                break
            found.append(event)
        return found[::-1]

    def newest_look(self, rollout: str) -> Look | None:
        """Return the last look of a rollout, None when there was none (or only long ago)."""
        for message in self._newest(self.topics.looks, EVENTS_READ):
            look = decoded(decode_look, message)
            if look is not None and look.rollout == rollout:
                return look
        return None

    def rate(self, topic: str) -> float:
        """Return how many records a second a topic takes now; 0.0 when nothing came in the last minutes.

        The highest mean over the windows: traffic that has only just begun would be diluted by the silence before.
        """
        now_ms = int(self.clock() * 1_000)
        return max(self._reader.appended(topic, now_ms - 1_000 * seconds) / seconds for seconds in RATE_SECONDS)

    def _newest(self, topic: str, limit: int) -> Iterator[Message]:
        """Yield at most `limit` records of a topic, the newest first, and note where it ended."""
        if topic not in self._known:
            return
        low, end = self._reader.bounds(topic)
        self._read_to[topic] = end
        for count, message in enumerate(self._reader.backwards(topic, low, end)):
            if count >= limit:
                return
            yield message

    def follow(self) -> Iterator[Sequence[Event]]:
        """Keep the picture up to date for ever; yield the events that came in, every 0.2 s an empty list if none did.

        Goes on where the past was read to, so nothing falls between.
        """
        starts = {self.topics.control: self.picture.control_offset}
        for topic in (self.topics.rollouts, self.topics.workers, self.topics.events):
            if topic in self._known:
                starts[topic] = self._read_to.get(topic) or self._reader.bounds(topic)[1]
        for messages in self._reader.follow(starts):
            yield [event for message in messages if (event := self._note(message)) is not None]

    def _note(self, message: Message) -> Event | None:
        """Take one record of any topic into the picture; return it if it is an event."""
        topic = message.topic()
        if topic == self.topics.control:
            self.picture.fold(log_record(message))
        elif topic == self.topics.rollouts and (view := decoded(decode_view, message)) is not None:
            self.picture.views[view.rollout] = view
        elif topic == self.topics.workers and (beat := decoded(decode_heartbeat, message)) is not None:
            self.picture.heartbeats[beat.worker] = beat
        elif topic == self.topics.events:
            return decoded(decode_event, message)
        return None

    def send(self, command: Command) -> Folded:
        """Write a command to the log, fold the log up to it, and return what it did.

        A command without an id gets one: should the client have to repeat itself, the copy has no effect. Raises
        CommandError, before anything is written, for a command that no process could read, and DeliveryError when the
        broker did not confirm it: then it may or may not arrive later.
        """
        identified = command if command.command_id else replace(command, command_id=uuid.uuid4().hex)
        folded = self._fold_until(self._produce(identified) + 1)
        mine = [item for item in folded if item.command and item.command.command_id == identified.command_id]
        return next((item for item in mine if item.effects), mine[-1])

    def _produce(self, command: Command) -> int:
        value = readable(command)
        settings = {
            **client_settings(self.kafka.producer()),
            "linger.ms": 0,
            "delivery.timeout.ms": int(SEND_SECONDS * 1_000),
        }
        confirmed: list[Any] = []
        producer = opened(Producer, settings)
        try:
            producer.produce(
                self.topics.control,
                key=command.rollout,
                value=value,
                partition=0,
                on_delivery=lambda error, message: confirmed.append(error or message.offset()),
            )
            producer.flush(SEND_SECONDS + 1)
        except KafkaException as error:
            raise BrokerError(f"the command was not sent: {error.args[0].str()}") from error
        if not confirmed or not isinstance(confirmed[0], int):
            why = confirmed[0].str() if confirmed else f"no answer within {SEND_SECONDS:.0f} s"
            raise DeliveryError(
                f"{self._reader.address} did not confirm the command ({why}); it may still arrive: "
                f"see `coalmine get {command.rollout}` before you repeat it"
            )
        return confirmed[0]

    def confirm(self, rollout: str, offset: int, seconds: float) -> Confirmation:
        """Wait until all live workers of a rollout have read the log up to `offset`, at most `seconds`."""
        self.read_heartbeats()
        state = self.picture.confirmation(rollout, offset, self.clock())
        deadline = self.clock() + seconds
        following = self.follow()
        while not state.is_complete and self.clock() < deadline:
            next(following)
            state = self.picture.confirmation(rollout, offset, self.clock())
        return state


def readable(command: Command) -> bytes:
    """Return the bytes of a command that every process will read; raise CommandError if none would."""
    value = encode_command(command)
    try:
        decode_command(value)
    except DecodeError as error:
        raise CommandError(f"the command was not sent, for nobody could read it: {error.message}") from error
    return value


def decoded(decode: Callable[[bytes], Record], message: Message) -> Record | None:
    """Return the record in a message, None for one that is not ours: a view must not die of a stranger's bytes."""
    value = message.value()
    if value is None:
        return None
    try:
        return decode(value)
    except DecodeError:
        return None


decode_event = decoder(Event)
decode_heartbeat = decoder(Heartbeat)
decode_look = decoder(Look)
decode_view = decoder(RolloutView)
