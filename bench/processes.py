"""Processes under measurement: started in a session of their own, so that their children count too."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

__all__ = ["Usage", "Worker", "python", "run_to_end", "usage"]

TICKS = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 20.0
"""A clean stop may take this long before it counts as hanging."""

CPU_FIELDS = slice(13, 17)
"""utime, stime, cutime, cstime in /proc/PID/stat."""

SESSION_FIELD = 5


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds of a session so far, ended children included, and its peak resident memory in bytes."""

    cpu_seconds: float
    peak_rss_bytes: int


def python(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def run_to_end(
    command: Sequence[str], output: IO[str], folder: Path, seconds: float, environment: Mapping[str, str] | None = None
) -> int:
    """Run a command in `folder` and return its exit code; one that takes longer is killed and gives -9.

    It gets nothing to read, a session of its own, and `environment` in place of ours if there is one.
    """
    process = subprocess.Popen(
        list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, start_new_session=True,
        env=None if environment is None else dict(environment),
    )  # fmt: skip
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL
    finally:
        # Ctrl-C comes by here too: a session of its own does not hear it.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def usage(session: int) -> Usage:
    """Return what all processes of a session have used. Resolution of CPU: one clock tick (10 ms) a process."""
    ticks = peak = 0
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            # The name in parentheses may contain anything, so count fields from its end.
            stat = ["", "", *(directory / "stat").read_text().rpartition(") ")[2].split()]
            if int(stat[SESSION_FIELD]) != session:
                continue
            ticks += sum(map(int, stat[CPU_FIELDS]))
            peak += peak_rss(directory)
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
    return Usage(ticks / TICKS, peak)


def peak_rss(directory: Path) -> int:
    lines = (directory / "status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


class Worker:
    """One process under measurement; its output goes to a file."""

    def __init__(self, command: Sequence[str], output: Path, environment: Mapping[str, str] | None = None) -> None:
        self.output = output
        self.command = list(command)
        with output.open("ab") as sink:
            self.process = subprocess.Popen(
                self.command, stdout=sink, stderr=sink, start_new_session=True,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process id, which is its session too."""
        return self.process.pid

    def usage(self) -> Usage:
        """Return what it has used so far."""
        return usage(self.pid)

    def assert_alive(self) -> None:
        """Raise RuntimeError with the end of its output when it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.command} ended with {self.process.returncode}:\n{self.tail()}")

    def kill(self) -> None:
        """End it and its children at once, as a crash would."""
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ask it to stop and return its exit code; one that hangs is killed and gives -9."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def tail(self, characters: int = 3000) -> str:
        """Return the end of its output."""
        return self.output.read_text(errors="replace")[-characters:]
