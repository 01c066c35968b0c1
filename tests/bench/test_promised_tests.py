"""A test that failed, was skipped or never ran makes the proof missed; the slow ones are run, wherever they stand."""

import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from bench.evidence import Report
from bench.measure import wait_for
from bench.processes import run_to_end
from bench.promised_tests import MODULES, ROOT, Outcome, pytest_command, read, tell

DOCUMENT = """\
<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">
<testcase classname="tests.kafka.test_rollouts" name="test_undo_brings_stable_back" time="12.5" />
<testcase classname="tests.kafka.test_rollouts" name="test_copies_have_one_effect[ten_copies]" time="0.1">
  <failure message="assert 2 == 1">/home/somebody/coalmine: assert 2 == 1</failure></testcase>
<testcase classname="tests.kafka.test_transport" name="test_a_bug_ends_the_worker" time="0">
  <skipped type="pytest.skip" message="needs a real Kafka">there is no Java</skipped></testcase>
<testcase classname="tests.kafka.test_transport" name="test_kills_lose_nothing" time="0">
  <error message="failed on setup">no broker</error></testcase>
</testsuite></testsuites>
"""

TESTS = """
import pytest

def test_one_is_one():
    assert 1 == 1

@pytest.mark.slow
def test_one_is_one_in_the_long_run():
    assert 1 == 1

def test_one_is_two():
    assert 1 == 2

def test_one_is_elsewhere():
    pytest.skip("not here")
"""

GOOD = Outcome("tests.kafka.test_rollouts", "undo brings stable back", 12.5, "passed")


def told(outcomes: list[Outcome], code: int) -> Report:
    report = Report("tests", "Run.")
    tell(report, outcomes, code)
    return report


def test_a_document_is_read_as_claims_and_how_they_ended(tmp_path: Path) -> None:
    document = tmp_path / "tests.xml"
    document.write_text(DOCUMENT)

    assert read(document) == [
        GOOD,
        Outcome("tests.kafka.test_rollouts", "copies have one effect [ten_copies]", 0.1, "failed"),
        Outcome("tests.kafka.test_transport", "a bug ends the worker", 0.0, "skipped"),
        Outcome("tests.kafka.test_transport", "kills lose nothing", 0.0, "failed"),
    ]


def test_the_report_counts_the_ends_and_has_a_line_for_each_test_but_no_path(tmp_path: Path) -> None:
    document = tmp_path / "tests.xml"
    document.write_text(DOCUMENT)
    text = told(read(document), 1).text()

    assert "| tests run | 3 | > 0 | met |" in text
    assert "| tests failed | 2 | 0 | **missed** |" in text
    assert "| tests skipped | 1 | 0 | **missed** |" in text
    assert "passed     12.5 s  undo brings stable back" in text
    assert "/home" not in text


def test_tests_that_all_passed_meet_the_bars() -> None:
    assert told([GOOD], 0).is_met


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([GOOD, Outcome("tests.kafka", "kills lose nothing", 0.0, "failed")], 1),
        ([GOOD, Outcome("tests.kafka", "kills lose nothing", 0.0, "skipped")], 0),
        ([], 0),
        ([], 5),
        ([GOOD], -9),
    ],
    ids=["a failure", "a skip", "no test", "nothing collected", "killed"],
)
def test_anything_else_is_missed(outcomes: list[Outcome], code: int) -> None:
    assert not told(outcomes, code).is_met


@pytest.mark.parametrize("text", [None, "", DOCUMENT[:300]], ids=["no document", "an empty one", "half of one"])
def test_a_pytest_that_broke_off_told_of_no_test(tmp_path: Path, text: str | None) -> None:
    document = tmp_path / "tests.xml"
    if text is not None:
        document.write_text(text)

    assert read(document) == []


def test_a_real_run_has_the_slow_tests_and_tells_how_each_ended(tmp_path: Path) -> None:
    module, document = tmp_path / "test_written.py", tmp_path / "tests.xml"
    module.write_text(TESTS)
    options = ["-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
    with (tmp_path / "output").open("w") as output:
        code = run_to_end([*pytest_command([str(module)], document), *options], output, tmp_path, 100)

    assert code == 1, (tmp_path / "output").read_text()
    assert [(outcome.claim, outcome.end) for outcome in read(document)] == [
        ("one is one", "passed"),
        ("one is one in the long run", "passed"),
        ("one is two", "failed"),
        ("one is elsewhere", "skipped"),
    ]


def test_every_slow_test_of_the_repository_is_among_them() -> None:
    mark = "pytest.mark." + "slow"
    slow = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py") if mark in path.read_text()}

    assert slow - {str(Path(__file__).relative_to(ROOT))} <= set(MODULES)


def test_the_modules_are_there() -> None:
    assert all((ROOT / module).is_file() for module in MODULES)


def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    mark = f"60{uuid.uuid4().int % 10**9}"
    with (tmp_path / "output").open("w") as output:
        code = run_to_end(["sh", "-c", f"sleep {mark} & wait"], output, tmp_path, 1.0)

    assert code == -9
    wait_for(lambda: not alive(mark), 20, "the end of the children", {})


def alive(mark: str) -> list[str]:
    """Return the processes that have `mark` among their arguments."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended while we looked
            found += [entry.name] if mark.encode() in (entry / "cmdline").read_bytes() else []
    return found
