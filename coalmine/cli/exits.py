"""Exit codes of commands; those of `run` are the workers', in `streams.exits`."""

from enum import IntEnum

__all__ = ["Exit"]


class Exit(IntEnum):
    """What a script may conclude from the end of a command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    ROLLED_BACK = 3
    TIMED_OUT = 4
    NEEDS_A_PERSON = 5
    INTERRUPTED = 130
