"""What a process says of itself: one heartbeat every two seconds, and at once when something must be known."""

import os
import resource
from collections.abc import Callable
from datetime import UTC, datetime

from ..wire.codec import encode
from ..wire.messages import Heartbeat

__all__ = ["BEAT_SECONDS", "Pulse", "rfc3339"]

BEAT_SECONDS = 2.0
"""Pause between heartbeats; a worker counts as live for 10 s after its last one."""

PAGE_BYTES = resource.getpagesize()


def rfc3339(seconds: float) -> str:
    """Return an epoch time as RFC 3339 UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def resident_bytes() -> int:
    """Return the resident memory of this process; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


class Pulse:
    """Sends heartbeats.

    Parameters
    ----------
    send
        Takes value and key of a record for `{ns}.workers`.
    describe
        Fills in what only the role knows (partitions, models, breakers, control offset).
    """

    def __init__(
        self, send: Callable[[bytes, bytes], None], describe: Callable[[Heartbeat], None], template: Heartbeat
    ) -> None:
        self.send = send
        self.describe = describe
        self.template = template

    def beat(self, now: float, stopping: bool = False) -> None:
        """Send one heartbeat; `now` is epoch seconds."""
        heartbeat = self.template
        heartbeat.time = rfc3339(now)
        heartbeat.stopping = stopping
        times = os.times()
        heartbeat.cpu_seconds = round(times.user + times.system, 3)
        heartbeat.rss_bytes = resident_bytes()
        self.describe(heartbeat)
        self.send(encode(heartbeat), heartbeat.worker.encode())
