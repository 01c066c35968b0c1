"""The runner of worker processes: exit codes, order of a stop, death of the parent."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from coalmine.errors import BrokerError
from coalmine.streams import worker
from coalmine.streams.exits import BAD_CONFIG, FAULT, STOPPED, TOO_SLOW, UNREACHABLE
from tests.kafka.relay import Orders
from tests.kafka.traffic import Relay


class Stage:
    """Processes of one test; none outlives it."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[str]] = []

    def play(self, scene: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.streams.staged_worker", scene]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def clear(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.clear()


@pytest.mark.parametrize(
    ("scene", "code"),
    [
        ("config", BAD_CONFIG),
        ("broker", UNREACHABLE),
        ("model", UNREACHABLE),
        ("bug", FAULT),
        ("side", FAULT),
        ("crash", FAULT),
        ("stuck", FAULT),
    ],
)
def test_the_exit_code_says_who_must_act(stage: Stage, scene: str, code: int) -> None:
    assert stage.play(scene).wait(20) == code


def test_a_broker_that_cannot_be_reached_is_told_from_a_fault() -> None:
    relay = Relay(Orders("127.0.0.1:9", "source", "target", "group", kafka={"log_level": "0"}))

    assert relay.wait(45) == UNREACHABLE


@pytest.mark.parametrize(
    ("scene", "number"),
    [("run", signal.SIGTERM), ("run", signal.SIGINT), ("slow set-up", signal.SIGTERM)],
)
def test_a_signal_stops_the_worker_with_success(stage: Stage, scene: str, number: signal.Signals) -> None:
    process = stage.play(scene)
    assert process.stdout is not None
    process.stdout.readline()

    process.send_signal(number)

    assert process.wait(20) == STOPPED


def test_rebalances_that_end_in_time_may_go_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(worker, "time", clock)
    monkeypatch.setattr(worker, "asyncio", clock)
    app = SimpleNamespace(conf=SimpleNamespace(id="flights.score"), rebalancing=True)
    clock.at[worker.REBALANCE_SECONDS - 2] = lambda: setattr(app, "rebalancing", False)
    clock.at[worker.REBALANCE_SECONDS] = lambda: setattr(app, "rebalancing", True)

    with pytest.raises(BrokerError, match=r"flights\.score did not come out of a rebalance within 150 s"):
        asyncio.run(worker.stuck(app))

    assert clock.now == pytest.approx(2 * worker.REBALANCE_SECONDS, abs=2)


class Clock:
    """Time that passes only by sleeping; `at` says what happens when."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: dict[float, Callable[[], None]] = {}

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.at.pop(self.now, lambda: None)()


def test_no_batch_is_taken_once_the_apps_stop(stage: Stage) -> None:
    process = stage.play("run")
    assert process.stdout is not None
    process.stdout.readline()

    process.terminate()

    assert process.stdout.readline() == "stops, batches refused: True\n"


def test_a_stop_that_hangs_ends_with_a_code_of_its_own(stage: Stage) -> None:
    process = stage.play("hanging stop")
    assert process.stdout is not None
    process.stdout.readline()

    process.terminate()

    assert process.wait(20) == TOO_SLOW


def test_a_signal_ends_a_worker_whose_loop_is_held(stage: Stage) -> None:
    process = stage.play("held loop")
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"

    process.terminate()

    assert process.wait(20) == TOO_SLOW


def test_a_worker_ends_when_its_parent_was_killed(stage: Stage) -> None:
    parent = stage.play("orphan")
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert parent.stdout.readline() == "started\n"

    parent.kill()

    deadline = time.monotonic() + 10
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended but was never waited for does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


SCHEDULING = """
import os, threading
from coalmine.streams.worker import step_back

step_back()
found = [os.sched_getscheduler(0)]
thread = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0)))
thread.start()
thread.join()
print([each == os.SCHED_BATCH for each in found])
"""


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="this system has no such policy")
def test_a_process_that_steps_back_takes_no_core_away_and_its_threads_neither() -> None:
    done = subprocess.run([sys.executable, "-c", SCHEDULING], check=True, capture_output=True, text=True)

    assert done.stdout == "[True, True]\n"


def test_where_there_is_no_such_policy_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", denied)

    worker.step_back()
