"""A worker process without Kafka: run as `python -m tests.streams.staged_worker SCENE`; the app is a stand-in."""

import asyncio
import os
import subprocess
import sys
import time
from types import SimpleNamespace

from coalmine.errors import BrokerError, ConfigError, ModelError
from coalmine.streams import worker
from coalmine.streams.transport.batches import InProgress
from coalmine.streams.worker import Work, run

SLOW = 60.0


class StandIn:
    """What the runner needs of a Faust app; prints what is asked of it."""

    def __init__(self, stop_seconds: float = 0.0) -> None:
        self.conf = SimpleNamespace(id="stand-in")
        self.transport = SimpleNamespace(in_progress=InProgress())
        self.rebalancing = False
        self.crash_reason: BaseException | None = None
        self._crashed = asyncio.Event()
        self.stop_seconds = stop_seconds

    def finalize(self) -> None:
        pass

    async def start(self) -> None:
        print("started", flush=True)

    async def stop(self) -> None:
        print("stops, batches refused:", self.transport.in_progress.closed, flush=True)
        await asyncio.sleep(self.stop_seconds)

    def crash(self) -> None:
        self.crash_reason = ZeroDivisionError("a bug")
        self._crashed.set()


async def fail() -> None:
    raise ZeroDivisionError("a bug beside the streams")


async def hold_the_loop() -> None:
    print("holds", flush=True)
    time.sleep(SLOW)


async def end() -> None:
    pass


async def set_up(scene: str) -> Work:
    errors = {"config": ConfigError("x"), "broker": BrokerError("x"), "model": ModelError("x"), "bug": ValueError("x")}
    if scene in errors:
        raise errors[scene]
    if scene == "slow set-up":
        print("started", flush=True)
        await asyncio.sleep(SLOW)
    app = StandIn(stop_seconds=SLOW if scene == "hanging stop" else 0.0)
    app.rebalancing = scene == "stuck"
    if scene == "crash":
        asyncio.get_running_loop().call_later(0.05, app.crash)
    side = {"side": fail, "held loop": hold_the_loop}.get(scene, end)
    return Work(apps=[app], tasks=[side()])


def main(scene: str) -> None:
    if scene == "orphan":
        child = subprocess.Popen([sys.executable, "-m", __spec__.name, "run"])
        print(child.pid, flush=True)
        sys.stdin.readline()
        os._exit(0)
    worker.STOP_SECONDS = 0.2
    worker.LAST_NET_SECONDS = 0.5 if scene == "held loop" else worker.LAST_NET_SECONDS
    if scene == "stuck":
        worker.REBALANCE_SECONDS = worker.REBALANCE_CHECK_SECONDS = 0.1
    run(lambda: set_up(scene), watch_parent=True)


if __name__ == "__main__":
    main(sys.argv[1])
