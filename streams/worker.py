"""The process of a worker: starts its apps, watches them, stops them in order, ends with a code that says why.

Faust's own runner has no choice of codes and hangs after some crashes; so the loop is ours, every wait in it has a
limit, and the process ends by `os._exit`, because threads of clients may wait for a broker that is gone.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from aiokafka.errors import KafkaConnectionError

from coalmine.errors import BrokerError, ConfigError, ModelError

from .exits import BAD_CONFIG, FAULT, STOPPED, TOO_SLOW, UNREACHABLE

__all__ = ["Work", "run", "step_back"]

DRAIN_SECONDS = 3.0
"""How long a stop waits for the batches in progress, so that it repeats none."""

STOP_SECONDS = 8.0
"""How long the apps may take to stop: after a crash Faust's stop may wait for ever for a dead producer."""

LAST_NET_SECONDS = 13.0
"""The process ends this long after a signal or a fault whatever the event loop does, which a producer with a full queue
may hold for two minutes; above drain and stop together."""

REBALANCE_SECONDS = 150.0
"""How long an app may be between two assignments; above the delivery timeout, the longest wait inside a rebalance."""

REBALANCE_CHECK_SECONDS = 1.0

PARENT_CHECK_SECONDS = 0.3

COLLECTIONS = (50_000, 20, 50)
"""When Python looks for cycles of garbage: by default after every 700 objects, so once a batch of records, and often
through all modules. Batches leave no cycles. Measured at 20,000 outcomes a second: a quarter of the analyzer's CPU."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a worker runs: Faust apps, and coroutines beside them.

    A side task that raises ends the worker as a fault; one that returns is done. Side tasks are cancelled after the
    apps stopped.
    """

    apps: Sequence[Any] = ()
    tasks: Sequence[Coroutine[Any, Any, None]] = ()


SetUp = Callable[[], Awaitable[Work]]
"""Makes the work of this process: follows control, loads models, makes apps. Runs inside the event loop."""


def run(set_up: SetUp, *, watch_parent: bool = False) -> NoReturn:
    """Run the work of this process until a signal or a fault, then end the process with the code that fits.

    SIGTERM and SIGINT stop in order: no new batch, wait for those in progress, commit, leave the group. With
    `watch_parent` the death of the parent process counts as a SIGTERM. Never returns.
    """
    if watch_parent:
        threading.Thread(target=stop_with_parent, args=(os.getppid(),), daemon=True).start()
    asyncio.run(work_and_leave(set_up))
    raise AssertionError("the process has ended")


def step_back() -> None:
    """Let this thread, and those it will start, take no core away from one that works on it (SCHED_BATCH, sched(7)).

    For processes whose work can wait a moment beside some whose cannot. They get the same share of the cores as before,
    in longer pieces. Where the system has no such policy, or denies it, nothing changes.
    """
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


async def work_and_leave(set_up: SetUp) -> NoReturn:
    """End the process from inside the loop: closing the loop would wait for tasks that Faust leaves behind."""
    leave(await supervise(set_up))


def leave(code: int) -> NoReturn:
    """End the process now; threads that wait for a broker cannot hold it."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def stop_with_parent(parent: int) -> None:
    """Send this process a SIGTERM when `parent` is no longer its parent."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


async def supervise(set_up: SetUp) -> int:
    """Set up, run and stop the work of this process; return its exit code, or end the process if the stop hangs."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop_at_signal(loop, stop))
    stopping = asyncio.ensure_future(stop.wait())
    making = asyncio.ensure_future(set_up())
    await asyncio.wait([stopping, making], return_when=asyncio.FIRST_COMPLETED)
    if not making.done():
        return STOPPED
    if error := making.exception():
        return report(error)
    work = making.result()
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)
    sides = [asyncio.ensure_future(task) for task in (*work.tasks, *map(stuck, work.apps))]
    code = await watch(work.apps, sides, stopping)
    return await stop_all(work.apps, sides, code)


def stop_at_signal(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> Callable[[int, Any], None]:
    """Return a handler that sets `stop`; not the loop's own, because that does nothing while the loop is held."""

    def handle(_number: int, _frame: Any) -> None:
        if not stop.is_set():
            spread_net(TOO_SLOW)
        loop.call_soon_threadsafe(stop.set)

    return handle


def spread_net(code: int) -> None:
    """End the process with `code` some seconds from now."""
    net = threading.Timer(LAST_NET_SECONDS, leave, args=(code,))
    net.daemon = True
    net.start()


def report(error: BaseException) -> int:
    """Log why the worker could not start and return the exit code of it."""
    if isinstance(error, ConfigError):
        log.error("cannot start: %s", error)
        return BAD_CONFIG
    if isinstance(error, BrokerError | ModelError | KafkaConnectionError):
        log.error("cannot start: %s", error)
        return UNREACHABLE
    log.error("fault at the start", exc_info=error)
    return FAULT


async def watch(apps: Sequence[Any], sides: Sequence["asyncio.Future[None]"], stopping: "asyncio.Future[Any]") -> int:
    """Start the apps and wait for a signal or the first thing that goes wrong; return the exit code of it.

    `App.start` returns after the start-up; a crash later shows only in `_crashed`.
    """
    for app in apps:
        app.finalize()
    starts = [asyncio.ensure_future(app.start()) for app in apps]
    crashes = [asyncio.ensure_future(app._crashed.wait()) for app in apps]
    while not stopping.done():
        pending = [task for task in (*starts, *sides) if not task.done()]
        await asyncio.wait([stopping, *crashes, *pending], return_when=asyncio.FIRST_COMPLETED)
        for started in starts:
            if started.done() and (error := started.exception()):
                return report(error)
        for side in sides:
            if side.done() and (error := side.exception()):
                log.error("fault beside the streams", exc_info=error)
                return FAULT
        for app, crashed in zip(apps, crashes, strict=True):
            if crashed.done():
                log.error("fault in %s", app.conf.id, exc_info=app.crash_reason)
                return FAULT
    return STOPPED


async def stuck(app: Any) -> None:
    """Raise BrokerError once a rebalance of `app` has lasted too long; otherwise never return.

    Faust's recovery can end without a word when a wait in it times out. The flow then stays stopped while heartbeats
    go on: the worker would keep its partitions and answer nothing.
    """
    settled = time.monotonic()
    while time.monotonic() - settled < REBALANCE_SECONDS:
        if not app.rebalancing:
            settled = time.monotonic()
        await asyncio.sleep(REBALANCE_CHECK_SECONDS)
    raise BrokerError(f"{app.conf.id} did not come out of a rebalance within {REBALANCE_SECONDS:.0f} s")


async def stop_all(apps: Sequence[Any], sides: Sequence["asyncio.Future[None]"], code: int) -> int:
    """Finish the batches in progress, stop the apps, cancel the side tasks; return `code`, or 71 when it hangs."""
    spread_net(code or TOO_SLOW)
    if code == STOPPED:
        await asyncio.gather(*(drain(app) for app in apps))
    stops = asyncio.gather(*(app.stop() for app in apps), return_exceptions=True)
    try:
        results = await asyncio.wait_for(stops, STOP_SECONDS)
    except TimeoutError:
        return code or TOO_SLOW
    for side in sides:
        side.cancel()
    await asyncio.gather(*sides, return_exceptions=True)
    for error in results:
        if isinstance(error, Exception) and code == STOPPED:
            log.error("fault during the stop", exc_info=error)
            code = FAULT
    return code


async def drain(app: Any) -> None:
    """Let an app take no more batches and wait for those in progress, as long as a stop may wait."""
    in_progress = app.transport.in_progress
    in_progress.close()
    if not await in_progress.drain(DRAIN_SECONDS):
        log.warning("%s stops with %d batches in progress; they will be repeated", app.conf.id, len(in_progress))
