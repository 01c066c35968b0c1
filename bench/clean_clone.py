"""A clean clone: `make demo` and `make test` work in it with nothing done before and nothing at home.

The last commit is cloned, so there is neither `.venv` nor Kafka. Set-up does not count apart: `make demo` includes
making `.venv`. `make test` comes after it, has ten minutes of wall time, and includes fetching Kafka.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .demo_runs import read
from .evidence import Report
from .processes import run_to_end

__all__ = ["clean_clone"]

ROOT = Path(__file__).parent.parent

TEST_SECONDS = 600.0
"""`make test` ends within this time."""

LIMIT_SECONDS = 2_400.0
"""A command that takes longer is killed."""

KEPT = re.compile(r"PATH|(PIP|MAVEN)_.*|JAVA_HOME|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|(https?|no)_proxy|(HTTPS?|NO)_PROXY")
"""The variables that the commands get: what finds programs, and what pip, Maven and TLS need to fetch packages."""

KEEPS_OLD_WORK = {"PIP_CACHE_DIR"}

ABOUT = """
The last commit is cloned into a folder of its own, and `make demo`, then `make test`, are run in it with an empty home
and no variables but `PATH` and what pip, Maven and TLS need to fetch packages. `make demo` makes `.venv`, `make test`
fetches Kafka: their times include it.
"""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a target of make; `setup_seconds` until what it needs was there, None if it never was."""

    code: int
    output: str
    seconds: float
    setup_seconds: float | None


def clean_clone() -> bool:
    """Try a clean clone of this repository, print and write the report, and return whether both commands worked."""
    report = Report("clean-clone", ABOUT, command="python -m bench.verify clean-clone")
    with tempfile.TemporaryDirectory() as folder:
        try_clone(report, ROOT, Path(folder))
    return report.publish()


def try_clone(report: Report, repository: Path, folder: Path) -> None:
    """Clone into `folder`, make demo and tests there, and add what came out to the report."""
    home, clone = folder / "home", folder / "coalmine"
    home.mkdir()
    commit, changed = git(repository, "rev-parse", "HEAD"), git(repository, "status", "--porcelain").splitlines()
    git(folder, "clone", "--quiet", "--no-hardlinks", str(repository), str(clone))
    git(clone, "checkout", "--quiet", "--detach", commit)
    report.figure("commit", commit[:12])
    report.figure("files with changes that are not in it", str(len(changed)))
    environment = clean_environment(os.environ, home)
    tell_demo(report, make("demo", clone, environment, ".venv/.ready"))
    tell_tests(report, make("test", clone, environment, "build/*/.ready"))


def git(folder: Path, *arguments: str) -> str:
    """Return what git says in `folder`; raise CalledProcessError when it fails."""
    return subprocess.run(["git", *arguments], cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def clean_environment(given: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the variables of somebody who just came: of those `given` what is `KEPT`, and `home`."""
    kept = {name: value for name, value in given.items() if KEPT.fullmatch(name) and name not in KEEPS_OLD_WORK}
    # Java takes the home from the user's account, not from HOME: Maven would find what it fetched before.
    maven = f"{given.get('MAVEN_OPTS', '')} -Duser.home={home}".strip()
    return {**kept, "HOME": str(home), "MAVEN_OPTS": maven}


def make(target: str, clone: Path, environment: Mapping[str, str], ready: str) -> Made:
    """Make a target; `ready` matches the file that is written when all it needs is there."""
    began, start = time.time(), time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        code = run_to_end(["make", target], output, clone, LIMIT_SECONDS, environment)
        seconds = time.monotonic() - start
        output.seek(0)
        said = output.read()
    if code:
        print(f"make {target} ended with {code}:\n{said[-10_000:]}", file=sys.stderr, flush=True)
    marks = [mark.stat().st_mtime - began for mark in clone.glob(ready)]
    return Made(code, said, seconds, max(0.0, *marks) if marks else None)


def tell_demo(report: Report, demo: Made) -> None:
    """Add the demo, with the bar that it told its story."""
    told = read(demo.code, demo.output, demo.seconds)
    report.bar("make demo: exit code", str(demo.code), "0", demo.code == 0)
    report.bar("make demo: end of its story", told.end, "promoted", told.end == "promoted")
    report.figure("make demo: wall time", f"{demo.seconds:.0f} s")
    report.figure("make demo: until `.venv` was made", seconds_or_never(demo.setup_seconds))


def tell_tests(report: Report, tests: Made) -> None:
    """Add the tests, with the bars that all of them ran and passed in time."""
    totals = re.findall(r"^=*\s*(\d+ [a-z]+.* in [\d.]+s.*?)\s*=*$", tests.output, re.MULTILINE)
    passed, skipped = counted("passed", totals), counted("skipped", totals)
    report.bar("make test: exit code", str(tests.code), "0", tests.code == 0)
    report.bar("make test: tests passed", str(passed), "> 0", passed > 0)
    report.bar("make test: tests skipped", str(skipped), "0", skipped == 0)
    report.bar("make test: wall time", f"{tests.seconds:.0f} s", f"<= {TEST_SECONDS:.0f} s",
               tests.seconds <= TEST_SECONDS)  # fmt: skip
    report.figure("make test: until Kafka was fetched", seconds_or_never(tests.setup_seconds))
    report.lines += [f"make test: {total}" for total in totals]


def counted(end: str, totals: list[str]) -> int:
    """Return how many tests ended so, by the last lines of pytest."""
    return sum(int(count) for total in totals for count in re.findall(rf"(\d+) {end}\b", total))


def seconds_or_never(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f} s"
