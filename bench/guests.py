"""Scoring workers that begin at once: forked from a process that has imported what they need.

To start Python and import scikit-learn takes seconds of a core. A machine of two that starts a worker every 3 s has
none left for what is to be watched, and the workers come late.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from .installation import Installation
from .processes import STOP_SECONDS

__all__ = ["Guest", "guest"]

IMPORTED = [
    "bench.rebalance",
    "bench.throughput",
    "coalmine.cli.app",
    "coalmine.run",
    "coalmine.streams.scoring.scoring_worker",
    "coalmine.models.sklearn_flavor",
    "sklearn.linear_model",
    "skops.io",
]

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(IMPORTED)


@dataclass(frozen=True, slots=True)
class Guest:
    """A forked worker; its output goes to a file."""

    process: BaseProcess
    output: Path

    def assert_alive(self) -> None:
        """Raise RuntimeError with the end of its output when it has ended."""
        if not self.process.is_alive():
            raise RuntimeError(f"a guest ended with {self.process.exitcode}:\n{self.output.read_text()[-3000:]}")

    def stop(self) -> int:
        """Ask it to stop and return its exit code; one that hangs is killed and gives -9."""
        self.process.terminate()
        self.process.join(STOP_SECONDS)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode


def guest(installation: Installation, name: str) -> Guest:
    """Fork a scoring worker of an installation; it is not waited for."""
    output = installation.log_file("score", name)
    output.touch()
    command = ["coalmine", *installation.arguments("score")]
    process = CONTEXT.Process(target=become, args=(command, installation.settings, output), daemon=True)
    process.start()
    return Guest(process, output)


def become(command: list[str], environment: Mapping[str, str], output: Path) -> None:
    """Be the command line `command` from now on."""
    sink = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.environ.update(environment)
    sys.argv = command
    from coalmine.cli import main

    main()
