"""Exit codes of commands; those of `run` are its own (64 bad file or settings, 69, 70, 71)."""

from enum import IntEnum

__all__ = ["RUN_BAD_CONFIG", "RUN_UNREACHABLE", "Exit"]


class Exit(IntEnum):
    """What a script may conclude from the end of a command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    ROLLED_BACK = 3
    TIMED_OUT = 4
    NEEDS_A_PERSON = 5
    INTERRUPTED = 130


RUN_BAD_CONFIG = 64
"""`run` cannot begin: a rollout file or the settings are wrong; starting it again does not help."""

RUN_UNREACHABLE = 69
"""`run` cannot begin: Kafka or the model store does not answer."""
