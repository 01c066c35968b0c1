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

SCENARIOS = {"clean": "promoted", "crash": "rolled back", "slow": "rolled back"}
"""Each scenario and how it must end."""

LIMIT_SECONDS = 90.0
"""A demo ends by itself within this time."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one demo told.

    Its exit code, the first words of its summary, the weights the canary went through, and whether every request was
    answered exactly once.
    """

    code: int
    end: str
    weights: tuple[str, ...]
    exactly_once: bool
    seconds: float


def demo_runs(runs: int = 20) -> bool:
    """Play every scenario `runs` times, print and write the report, and return whether all stories are the same."""
    report = Report("demo", f"`coalmine demo --scenario NAME` without a terminal, {runs} times each, one after the "
                    "other.", command="python -m bench.verify demo")  # fmt: skip
    for scenario, end in SCENARIOS.items():
        plays = [play(scenario) for _ in range(runs)]
        stories = Counter((told.code, told.end, told.weights) for told in plays)
        for (code, told_end, weights), times in stories.most_common():
            report.line(f"{scenario}: {times} x exit {code}, {told_end}, canary at {', '.join(weights)}")
        exact = sum(told.exactly_once for told in plays)
        same = len(stories) == 1 and all(told.code == 0 and told.end == end for told in plays)
        longest = max(told.seconds for told in plays)
        report.bar(f"{scenario}: runs with the same story, {end}", f"{stories.most_common(1)[0][1]} of {runs}",
                   f"{runs} of {runs}", same)  # fmt: skip
        report.bar(f"{scenario}: runs that answered every request exactly once", f"{exact} of {runs}",
                   f"{runs} of {runs}", exact == runs)  # fmt: skip
        report.bar(
            f"{scenario}: longest run", f"{longest:.0f} s", f"<= {LIMIT_SECONDS:.0f} s", longest <= LIMIT_SECONDS
        )
    print(report.text(), flush=True)
    report.write()
    return report.is_met


def play(scenario: str) -> Told:
    """Run the demo once."""
    command = [str(Path(sys.executable).parent / "coalmine"), "demo", "--scenario", scenario]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS * 2, check=False)
    return read(done.returncode, done.stdout, time.monotonic() - began)


def read(code: int, output: str, seconds: float) -> Told:
    """Return the story in the output of a demo: its verdict and the weights in the table of decisions."""
    verdict = re.search(r"^\W*(promoted|rolled back) after [\d.]+ s", output, re.MULTILINE)
    weights = re.findall(r"^\s*[\d.]+ s\s.*?\s(\d[\d.]* %)\s", output, re.MULTILINE)
    exactly_once = "each was answered exactly once" in output
    return Told(code, verdict.group(1) if verdict else "no verdict", tuple(weights), exactly_once, seconds)
