"""The parent of two children that do nothing real: run as `python -m tests.staged_run ROLE [early]`.

The first child plays the role, the second only waits. With `early` the signal to stop comes before the first child is
started.
"""

import os
import signal
import sys
import time
from multiprocessing.context import SpawnProcess
from typing import Any

from coalmine import run
from coalmine.settings import Settings


def perform(duty: run.Duty, settings: Settings, is_child: bool) -> None:
    role = duty.role
    if role == "fault":
        os._exit(70)
    if role == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if role == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(role, flush=True)
    time.sleep(60)


def signal_before_the_start() -> None:
    start = SpawnProcess.start

    def start_later(child: Any) -> None:
        SpawnProcess.start = start  # type: ignore[method-assign]
        os.kill(os.getpid(), signal.SIGTERM)
        start(child)

    SpawnProcess.start = start_later  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    run.perform = perform
    run.STOP_SECONDS = 1.0
    if "early" in sys.argv:
        signal_before_the_start()
    sys.exit(run.supervise([run.Duty(sys.argv[1], ()), run.Duty("wait", ())], Settings()))
