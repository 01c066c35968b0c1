"""`coalmine demo` as a person runs it: a command that ends by itself, or at Ctrl-C, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coalmine.cli.exits import Exit
from coalmine.demo import performance, play
from coalmine.errors import BrokerError, CoalmineError, ConfigError
from coalmine.streams.kafka import admin

DEMO = [sys.executable, "-c", "from coalmine.cli import main; main()", "demo"]


def environment(folder: Path) -> dict[str, str]:
    """Return an environment by which every process of one demo can be recognised, and without our settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    return {**kept, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}


def alive(folder: Path) -> list[int]:
    """Return the processes that have the environment of `folder`, and are no zombies."""
    mark = f"TMPDIR={folder}".encode()
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and has(entry, mark)]


def has(process: Path, mark: bytes) -> bool:
    try:
        return mark in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def until(fact: Callable[[], bool], seconds: float) -> bool:
    """Wait for `fact`; tell whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def demo(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*DEMO, *arguments], env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def lines_until(process: "subprocess.Popen[str]", words: str) -> list[str]:
    """Read lines of the output up to the one that has `words`."""
    assert process.stdout is not None
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return seen
    raise AssertionError(f"{words!r} was never said: {seen} {process.communicate()}")


@pytest.fixture
def playing(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A demo in which stable answers and nothing is decided yet."""
    process = demo(tmp_path, "--scenario", "clean")
    try:
        lines_until(process, "stable answers")
        yield process
    finally:
        process.kill()
        process.communicate()


def test_crash_is_rolled_back_on_errors_and_every_request_is_answered_once(tmp_path: Path) -> None:
    process = demo(tmp_path, "--scenario", "crash")
    output, errors = process.communicate(timeout=90)

    assert (process.returncode, errors) == (0, "")
    assert "✖ rolled back" in output
    assert re.search(r"^\[.*\] rolled back from 10 %: errors got worse with the canary: ", output, re.MULTILINE)
    assert re.search(r"[\d,]+ requests: each was answered exactly once", output)
    assert "stable stepped in for the canary" in output
    assert alive(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_ends_everything_within_two_seconds(playing: "subprocess.Popen[str]", tmp_path: Path) -> None:
    began = time.monotonic()

    playing.send_signal(signal.SIGINT)
    _, errors = playing.communicate(timeout=10)

    assert (playing.returncode, errors) == (Exit.INTERRUPTED, "")
    assert time.monotonic() - began < 2.0
    assert alive(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_nothing_outlives_a_killed_demo(playing: "subprocess.Popen[str]", tmp_path: Path) -> None:
    assert len(alive(tmp_path)) == 4

    playing.kill()
    playing.wait()

    assert until(lambda: alive(tmp_path) == [], 6.0)


def test_a_dead_broker_ends_the_demo_with_its_reason(playing: "subprocess.Popen[str]", tmp_path: Path) -> None:
    (broker,) = (pid for pid in alive(tmp_path) if b"embedded" in Path(f"/proc/{pid}/cmdline").read_bytes())

    os.kill(broker, signal.SIGKILL)
    _, errors = playing.communicate(timeout=20)

    assert playing.returncode == Exit.FAILED
    assert "the embedded broker ended" in errors
    assert alive(tmp_path) == []


@pytest.mark.kafka
def test_the_demo_plays_on_a_real_kafka(bootstrap: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert play("clean", 4.0, bootstrap) == Exit.DONE

    output = capsys.readouterr().out
    assert "✔ promoted" in output
    assert f"coalmine explain flights --bootstrap-server {bootstrap} --namespace demo-" in output


def test_a_kafka_that_is_not_there_is_an_error_of_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "ADMIN_SECONDS", 0.5)

    with pytest.raises(BrokerError, match="no Kafka answers at 127"):
        play("clean", 1.0, "127.0.0.1:1")


def test_a_speed_the_embedded_broker_cannot_bear_is_refused() -> None:
    with pytest.raises(ConfigError, match="--bootstrap-server"):
        play("clean", 2.5)


def test_workers_that_never_get_ready_end_the_demo_with_their_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance, "READY_SECONDS", 0.0)

    with pytest.raises(CoalmineError, match="not ready within 0 s; score says:"):
        play("clean")
