"""The fold of `{ns}.control`: bytes in, states and answers out. Pure; who reads the topic is not its business.

Every reader folds the whole log with `rollout.advance`, so all readers agree on the state at an offset.
"""

from dataclasses import dataclass, field

from coalmine.errors import DecodeError
from coalmine.policies import At, Command, Effect, State, advance, initial

from .codec import decode_command

__all__ = ["Answer", "ControlLog"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one record of the log did.

    `command` is None and `error` says why when the record is not a command. `effect` is None for such a record and
    for a copy of a command that was answered before. `state` is that of the rollout after the record.
    """

    at: At
    command: Command | None = None
    error: str = ""
    effect: Effect | None = None
    state: State | None = None


@dataclass(slots=True)
class ControlLog:
    """The states of all rollouts after the records taken so far; `next_offset` is the one to read next."""

    states: dict[str, State] = field(default_factory=dict)
    next_offset: int = 0

    def take(self, value: bytes | None, at: At) -> Answer:
        """Fold the record at `at` and return what it did; a record below `next_offset` was taken before."""
        self.next_offset = max(self.next_offset, at.offset + 1)
        try:
            command = decode_command(value)
        except DecodeError as error:
            return Answer(at=at, error=error.message)
        before = self.states.get(command.rollout) or initial(command.rollout)
        state, effects = advance(before, command, at)
        self.states[command.rollout] = state
        return Answer(at=at, command=command, effect=effects[0] if effects else None, state=state)
