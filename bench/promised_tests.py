"""The promises that tests show on a real Kafka, and tests too long for `make test`: all are run, none is skipped."""

import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from .evidence import Report
from .processes import python, run_to_end

__all__ = ["MODULES", "promised_tests"]

ROOT = Path(__file__).parent.parent

MODULES = (
    "tests/kafka/test_rollouts.py",
    "tests/kafka/test_analyzer.py",
    "tests/kafka/test_transport.py",
    "tests/policies/rollout/test_machine.py",
)

LIMIT_SECONDS = 5_400.0
"""Each test has a limit of its own; this one ends a pytest that hangs between them."""

ABOUT = """
The tests on a real Kafka with three workers (promotion, rollback, commands of a person, undo, foreign JSON, copies, no
judge, exactly once, replay), of the exit codes after a bug and a failed delivery, and of the state machine with its
broken controllers; those marked `slow` among them. One line a test: how it ended, its seconds with what it had to set
up, its claim.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a test ended: `passed`, `failed` or `skipped`."""

    module: str
    claim: str
    seconds: float
    end: str


def promised_tests(modules: Sequence[str] = MODULES) -> bool:
    """Run the tests, print and write the report, and return whether all of them ran and passed."""
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "tests.xml"
        report = Report("tests", ABOUT, command="python -m bench.verify tests")
        # What pytest says of a failure names paths of this machine: it is for the terminal, not for the report.
        code = run_to_end(pytest_command(modules, document), sys.stderr, ROOT, LIMIT_SECONDS)
        tell(report, read(document), code)
    return report.publish()


def pytest_command(modules: Sequence[str], document: Path) -> list[str]:
    """Return what runs the tests of `modules`, the slow ones too, and writes how they ended into `document`."""
    # Of several -m the last one counts: an empty one undoes the choice that pyproject.toml makes.
    return python("pytest", "-q", "-m", "", f"--junitxml={document}", *modules)


def read(document: Path) -> list[Outcome]:
    """Return the tests of a JUnit document, none if pytest broke off before it had written a whole one."""
    try:
        cases = ElementTree.parse(document).iter("testcase")
    except (FileNotFoundError, ElementTree.ParseError):
        return []
    return [outcome(case) for case in cases]


def outcome(case: ElementTree.Element) -> Outcome:
    """Return how a test ended; an error in what it sets up or takes down is a failure."""
    tags = {child.tag for child in case}
    end = "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"
    claim = case.get("name", "").removeprefix("test_")
    name, bracket, parameters = claim.partition("[")
    return Outcome(case.get("classname", ""), name.replace("_", " ") + bracket.replace("[", " [") + parameters,
                   float(case.get("time", 0)), end)  # fmt: skip


def tell(report: Report, outcomes: Sequence[Outcome], code: int) -> None:
    """Add the tests to the report, with the bars that they all ran and passed."""
    ends = Counter(outcome.end for outcome in outcomes)
    run = ends["passed"] + ends["failed"]
    report.bar("tests run", str(run), "> 0", run > 0)
    report.bar("tests failed", str(ends["failed"]), "0", ends["failed"] == 0)
    report.bar("tests skipped", str(ends["skipped"]), "0", ends["skipped"] == 0)
    report.bar("exit code of pytest", str(code), "0", code == 0)
    for module, tests in groupby(outcomes, key=lambda outcome: outcome.module):
        report.line(module)
        for test in tests:
            report.line(f"  {test.end}  {test.seconds:7.1f} s  {test.claim}")
