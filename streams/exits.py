"""The exit codes of worker processes: they say why one ended, so that a supervisor knows whether to start it again."""

__all__ = ["BAD_CONFIG", "FAULT", "STOPPED", "TOO_SLOW", "UNREACHABLE"]

STOPPED = 0
"""Stopped by a signal, in order."""

BAD_CONFIG = 64
"""A rollout file or the settings cannot be used; to start again does not help."""

UNREACHABLE = 69
"""Kafka or the model store could not be reached at the start."""

FAULT = 70
"""A fault: start me again."""

TOO_SLOW = 71
"""The stop took too long."""
