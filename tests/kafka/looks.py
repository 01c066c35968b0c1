"""The states of a rollout as the control log gives them, for whoever replays its looks."""

from bench.kafka_log import Log
from coalmine.errors import DecodeError
from coalmine.policies import At, State, advance, initial
from coalmine.streams.wire.codec import decode_command

__all__ = ["states_at"]


def states_at(log: Log, topic: str, rollout: str) -> dict[int, State]:
    """Return the state after each record of the control log, by its offset; what is no command changes nothing."""
    state, states = initial(rollout), {}
    for batch in log.read(topic):
        for message in batch:
            try:
                command = decode_command(message.value())
            except DecodeError:
                command = None
            if command is not None and command.rollout == rollout:
                state, _ = advance(state, command, At(message.offset(), message.timestamp()[1]))
            states[message.offset()] = state
    return states
