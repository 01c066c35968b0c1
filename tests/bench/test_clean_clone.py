"""The clone that is tried holds the last commit and nobody's habits; what does not work in it is told."""

import subprocess
from pathlib import Path

import pytest

from bench.clean_clone import Made, clean_environment, tell_tests, try_clone
from bench.evidence import Report

MAKEFILE = """\
demo:
\t@test -z "$$(ls -A $$HOME)" && test ! -e .venv && mkdir .venv && touch .venv/.ready
\t@echo "✔ promoted after 28.2 s: flights 2 is the new stable model"
test:
\t@test -e .venv/.ready && mkdir -p build/kafka && touch build/kafka/.ready
\t@echo "1,200 dots"; echo "812 passed in 101.20s (0:01:41)"; echo "300 passed, 2 warnings in 201.20s (0:03:21)"
"""

GREEN = "812 passed in 101.20s (0:01:41)\n300 passed in 201.20s\n"


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments], cwd=folder, check=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose demo and tests work where nothing was done before."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    commit(folder, MAKEFILE)
    return folder


def commit(repository: Path, makefile: str) -> None:
    (repository / "Makefile").write_text(makefile)
    git(repository, "add", "Makefile")
    git(repository, "commit", "--quiet", "-m", "Make it")


def tried(repository: Path) -> Report:
    folder = repository.parent / "tried"
    folder.mkdir()
    report = Report("clean-clone", "Cloned.")
    try_clone(report, repository, folder)
    return report


def test_a_repository_that_works_from_nothing_meets_the_bars(repository: Path) -> None:
    report = tried(repository)

    assert report.is_met, report.figures
    assert ("make test: tests passed", "1112", "> 0", "met") in report.figures
    assert ("make demo: until `.venv` was made", "0 s", "", "") in report.figures
    assert ("make test: until Kafka was fetched", "0 s", "", "") in report.figures


@pytest.mark.parametrize(
    ("works", "broken"),
    [
        ("✔ promoted", "✖ rolled back"),
        ("test -z", "test -n"),
        ("mkdir -p build/kafka", "false"),
        ("812 passed", "812 passed, 9 skipped"),
    ],
    ids=["another story", "no demo", "red tests", "skipped tests"],
)
def test_what_does_not_work_in_the_clone_is_missed(repository: Path, works: str, broken: str) -> None:
    commit(repository, MAKEFILE.replace(works, broken))

    assert not tried(repository).is_met


def test_changes_that_are_not_committed_are_not_cloned_but_told(repository: Path) -> None:
    (repository / "Makefile").write_text("broken")
    (repository / "new").write_text("")
    report = tried(repository)

    assert report.is_met
    assert ("files with changes that are not in it", "2", "", "") in report.figures


def test_the_commit_that_is_checked_out_is_cloned_also_off_every_branch(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    commit(repository, MAKEFILE + "# detached\n")
    report = tried(repository)

    assert report.is_met
    assert (repository.parent / "tried" / "coalmine" / "Makefile").read_text().endswith("# detached\n")


@pytest.mark.parametrize(
    "tests",
    [Made(2, GREEN, 300.0, 9.0), Made(0, GREEN, 601.0, 9.0), Made(0, "", 3.0, None)],
    ids=["exit code", "too slow", "no tests"],
)
def test_tests_that_are_red_slow_or_none_are_missed(tests: Made) -> None:
    report = Report("clean-clone", "Cloned.")
    tell_tests(report, tests)

    assert not report.is_met


def test_only_what_finds_programs_and_packages_is_taken_along(tmp_path: Path) -> None:
    taken = {"PATH": "/usr/bin", "PIP_INDEX_URL": "https://example.org", "https_proxy": "http://example.org:3128",
             "SSL_CERT_FILE": "/etc/certificates", "JAVA_HOME": "/usr/lib/java"}  # fmt: skip
    left = {"HOME": "/home/a", "PYTHONPATH": "/home/a/lib", "MAKEFLAGS": "-i", "COALMINE_TEST_BOOTSTRAP": "far:9092",
            "PIP_CACHE_DIR": "/home/a/cache", "VIRTUAL_ENV": "/home/a/env", "MY_PATH": "/home/a"}  # fmt: skip

    environment = clean_environment({**taken, **left, "MAVEN_OPTS": "-Xmx1g"}, tmp_path)

    assert environment == {**taken, "HOME": str(tmp_path), "MAVEN_OPTS": f"-Xmx1g -Duser.home={tmp_path}"}
