"""The demo, again and again: `coalmine demo` must tell the same story every time."""

import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .evidence import Report

__all__ = ["demo_runs"]

SCENARIOS = {"clean": ("promoted", "every check"), "crash": ("rolled back", "errors"), "slow": ("rolled back", "slow")}
"""Each scenario, how it must end, and the check that must decide it."""

LIMIT_SECONDS = 90.0
"""A demo ends by itself within this time."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one demo told.

    Its exit code, the first words of its summary, the check that decided, the weights the canary went through, and
    whether every request was answered exactly once.
    """

    code: int
    end: str
    decided_by: str
    weights: tuple[str, ...]
    exactly_once: bool
    seconds: float

    def is_as_written(self, scenario: str) -> bool:
        """Tell whether this is how the scenario must end, decided by the check that must decide it."""
        return (self.code, (self.end, self.decided_by)) == (0, SCENARIOS[scenario])


def demo_runs(runs: int = 20) -> bool:
    """Play every scenario `runs` times, print and write the report, and return whether all stories are the same."""
    report = Report("demo", f"`coalmine demo --scenario NAME` without a terminal, {runs} times each, one after the "
                    "other.", command="python -m bench.verify demo")  # fmt: skip
    for scenario, (end, check) in SCENARIOS.items():
        plays = [play(scenario) for _ in range(runs)]
        stories = Counter((told.code, told.end, told.decided_by, told.weights) for told in plays)
        for (code, told_end, decided_by, weights), times in stories.most_common():
            report.line(
                f"{scenario}: {times} x exit {code}, {told_end} by {decided_by}, canary at {', '.join(weights)}"
            )
        exact = sum(told.exactly_once for told in plays)
        same = len(stories) == 1 and all(told.is_as_written(scenario) for told in plays)
        longest = max(told.seconds for told in plays)
        most = stories.most_common(1)[0][1]
        report.bar(
            f"{scenario}: runs with the same story, {end} by {check}", f"{most} of {runs}", f"{runs} of {runs}", same
        )
        report.bar(f"{scenario}: runs that answered every request exactly once", f"{exact} of {runs}",
                   f"{runs} of {runs}", exact == runs)  # fmt: skip
        report.bar(
            f"{scenario}: longest run", f"{longest:.0f} s", f"<= {LIMIT_SECONDS:.0f} s", longest <= LIMIT_SECONDS
        )
    return report.publish()


def play(scenario: str) -> Told:
    """Run the demo once."""
    command = [str(Path(sys.executable).parent / "coalmine"), "demo", "--scenario", scenario]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS * 2, check=False)
    return read(done.returncode, done.stdout, time.monotonic() - began)


def read(code: int, output: str, seconds: float) -> Told:
    """Return the story in the output of a demo: its verdict, who decided, and the weights in the table of decisions."""
    verdict = re.search(r"^\W*(promoted|rolled back) after [\d.]+ s", output, re.MULTILINE)
    weights = re.findall(r"^\s*[\d.]+ s\s.*?\s(\d[\d.]* %)\s", output, re.MULTILINE)
    exactly_once = "each was answered exactly once" in output
    return Told(
        code=code,
        end=verdict.group(1) if verdict else "no verdict",
        decided_by=deciding_check(output),
        weights=tuple(weights),
        exactly_once=exactly_once,
        seconds=seconds,
    )


def deciding_check(output: str) -> str:
    """Return the name of the check that a rollback was decided on; a promotion is decided by every check."""
    if worse := re.search(r"^\[.*\] rolled back from [\d.]+ %: (\S+) got worse", output, re.MULTILINE):
        return worse.group(1)
    passed = re.search(r"^\[.*\] attempt \d+ was promoted: .*\bevery check has passed", output, re.MULTILINE)
    return "every check" if passed else "no check"
