"""The control log as every process sees it: the fold of all its commands, rollout by rollout.

One partition, in append order, with the append time as the only clock. The fold itself is `policies.advance`; here
are the bytes in front of it and the facts behind it. A record that is no command changes nothing and is reported like
any other, so that whoever answers commands can answer it too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from coalmine.errors import BrokerError, DecodeError
from coalmine.policies import At, Command, Effect, State, initial

from ..kafka.client import KafkaSettings
from ..kafka.opening import opened
from ..kafka.reader import LogRecord

__all__ = ["ControlFold", "Folded", "check_append_time"]

ANSWER_SECONDS = 10.0
"""How long the broker may take to tell the settings of a topic."""

Advance = Callable[[State, Command, At], tuple[State, tuple[Effect, ...]]]
Decode = Callable[[bytes | None], Command]


@dataclass(frozen=True, slots=True)
class Folded:
    """What one record of the control log did.

    `command` and `after` are None and `error` says why where the record is no command; then nothing changed. Its
    `command_id` is never empty. `before` is `after` where the command was refused or a copy.
    """

    at: At
    record: LogRecord
    command: Command | None = None
    before: State | None = None
    after: State | None = None
    effects: tuple[Effect, ...] = ()
    error: DecodeError | None = None


Listener = Callable[[Folded], None]


class ControlFold:
    """The state of every rollout named on the control log, up to `offset`, which is the next to fold.

    `fold` is what a `TopicFollower` or a reader calls with every record, in order. Nothing but the log enters, so all
    readers agree: which stable a rollout file names counts only where the log names none.

    Examples
    --------
    >>> from coalmine.policies import Rollback
    >>> fold = ControlFold(decode=lambda value: Rollback(rollout="r"), advance=lambda state, command, at: (state, ()))
    >>> fold.fold(LogRecord(0, 1_700_000_000_000, True, b"r", b"{}", ()))
    >>> fold.state("r").phase.value, fold.offset
    ('idle', 1)
    """

    def __init__(
        self,
        decode: Decode,
        advance: Advance,
        listener: Listener | None = None,
    ) -> None:
        self.offset = 0
        self.states: dict[str, State] = {}
        self._decode = decode
        self._advance = advance
        self._listener = listener

    def state(self, rollout: str) -> State:
        """Return the state of a rollout, the initial one if the log never named it."""
        return self.states.get(rollout) or initial(rollout)

    def fold(self, record: LogRecord) -> None:
        """Fold one record and tell the listener what it did."""
        at = At(record.offset, record.ms)
        self.offset = record.offset + 1
        try:
            command = self._decode(record.value)
        except DecodeError as error:
            self._tell(Folded(at, record, error=error))
            return
        if not command.command_id:
            command = replace(command, command_id=f"control@{record.offset}")
        before = self.state(command.rollout)
        after, effects = self._advance(before, command, at)
        self.states[command.rollout] = after
        self._tell(Folded(at, record, command, before, after, effects))

    def _tell(self, folded: Folded) -> None:
        if self._listener is not None:
            self._listener(folded)


def check_append_time(kafka: KafkaSettings, topic: str) -> None:
    """Raise BrokerError unless the broker stamps the records of `topic` itself; else writers could set the clock."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    admin = opened(AdminClient, kafka.admin())
    try:
        settings = admin.describe_configs([resource])[resource].result(ANSWER_SECONDS)
    except KafkaException as error:
        raise BrokerError(
            f"Kafka does not tell the settings of {topic}: {error.args[0].str()}; "
            "is it there? `coalmine topics plan` shows it"
        ) from error
    except TimeoutError as error:
        raise BrokerError(f"no Kafka answers at {kafka.bootstrap} within {ANSWER_SECONDS:.0f} s") from error
    found = settings["message.timestamp.type"].value
    if found != "LogAppendTime":
        raise BrokerError(
            f"topic {topic} has message.timestamp.type={found}; its order in time needs LogAppendTime: "
            "run `coalmine topics apply`"
        )
