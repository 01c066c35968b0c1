"""The parent of two children that do nothing real: run as `python -m tests.staged_run ROLE [early]`.

The first child plays the role, the second only waits. With `early` the signal to stop comes before the first child is
started.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from typing import Any

from coalmine import run
from coalmine.settings import Settings
from coalmine.streams.exits import FAULT, UNREACHABLE


def perform(duty: run.Duty, settings: Settings, is_child: bool) -> None:
    role = duty.role
    if role in ENDS:
        ENDS[role]()
    if role in AT_THE_STOP:
        signal.signal(signal.SIGTERM, AT_THE_STOP[role])
    os.write(sys.stdout.fileno(), f"{role}\n".encode())  # at once: the lines of both children go into one pipe
    time.sleep(60)


def raise_error() -> None:
    raise RuntimeError("as staged")


def be_killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


ENDS: dict[str, Callable[[], None]] = {
    "unreachable": lambda: os._exit(UNREACHABLE),
    "fault": lambda: os._exit(FAULT),
    "raised": raise_error,
    "killed": be_killed,
}
"""How the first child ends by itself."""

AT_THE_STOP: dict[str, Any] = {
    "deaf": signal.SIG_IGN,
    "killed-at-the-stop": be_killed,
}
"""What the first child does when it is asked to stop."""


def signal_before_the_start() -> None:
    start = SpawnProcess.start

    def start_later(child: Any) -> None:
        SpawnProcess.start = start  # type: ignore[method-assign]
        os.kill(os.getpid(), signal.SIGTERM)
        start(child)

    SpawnProcess.start = start_later  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    run.perform = perform
    if sys.argv[1] == "deaf":
        run.STOP_SECONDS = 1.0
    if "early" in sys.argv:
        signal_before_the_start()
    sys.exit(run.supervise([run.Duty(sys.argv[1], ()), run.Duty("wait", ())], Settings()))
