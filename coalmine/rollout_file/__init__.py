"""Rollout files: YAML, one rollout each, reviewed in pull requests. Every error at once, each with its place."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from coalmine.errors import ConfigError, Problem, RolloutFileError
from coalmine.policies import By, Plan

from .advice import advice, not_yet, too_short
from .document import Document, path_text, read
from .problems import problems_of
from .schema import RolloutFile
from .writing import write

__all__ = ["Reviewed", "file_digest", "load", "parse", "require_runnable", "review", "unreachable", "warnings", "write"]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A rollout file that can be used: its plan, its digest, and what will surprise, each at its place."""

    plan: Plan
    digest: str
    warnings: tuple[Problem, ...]


def load(path: str | Path) -> tuple[Plan, str]:
    """Return the plan in a file and the file's digest; raise as `review` does."""
    reviewed = review(path)
    return reviewed.plan, reviewed.digest


def review(path: str | Path) -> Reviewed:
    """Return what is in a file; its digest is `sha256:` of its bytes.

    `${NAME}` in a model's address is taken from the environment of this process. Raises ConfigError when the file
    cannot be read and RolloutFileError, with every problem, when it cannot be used as written.
    """
    try:
        content = Path(path).read_bytes()
        text = content.decode()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; name an existing rollout file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    document, plan = understood(text, str(path), os.environ)
    found = (replace(document.at_value(item.path, item.message), severity="warning") for item in advice(plan))
    return Reviewed(plan, file_digest(content), tuple(sorted(found, key=place)))


def file_digest(content: bytes) -> str:
    """Return the digest that names this content of a rollout file."""
    return f"sha256:{sha256(content).hexdigest()}"


def parse(text: str, name: str, environment: Mapping[str, str] | None = None) -> Plan:
    """Return the plan in `text`; `name` stands in errors, `environment` fills `${NAME}` in addresses of models.

    Raises RolloutFileError with every problem that was found, in order of place.
    """
    return understood(text, name, environment or {})[1]


def understood(text: str, name: str, environment: Mapping[str, str]) -> tuple[Document, Plan]:
    """Return a text as a document with places and as a plan; raise as `parse` does."""
    document = read(text, name)
    problems = [document.source.problem(place, path, "this key stands here twice; keep one")
                for path, place in document.repeated]  # fmt: skip
    try:
        file = RolloutFile.model_validate(document.value, context={"environment": environment})
    except ValidationError as error:
        problems += problems_of(document, error)
    else:
        problems += misplaced_roles(document, file)
        problems += [] if problems else conflicts(document, file.value())
        if not problems:
            return document, file.value()
    raise RolloutFileError(sorted(problems, key=place))


def place(problem: Problem) -> tuple[int, int]:
    """Return where a problem stands, for sorting."""
    return problem.line, problem.column


def misplaced_roles(document: Document, file: RolloutFile) -> Iterator[Problem]:
    """Yield the checks whose role their routing does not bear."""
    if file.routing.by is not By.KEY:
        return
    for name, check in (file.analysis.checks or {}).items():
        if check.value(name).is_approximate_by_key:
            yield document.at_value(
                ("analysis", "checks", name, "role"),
                "with routing by key its test is approximate, so it cannot roll back; write signal or info, or route "
                "by: random",
            )


def conflicts(document: Document, plan: Plan) -> Iterator[Problem]:
    """Yield what is wrong only in combination."""
    topics = plan.topics
    names = [topics.requests, topics.predictions, topics.outcomes, topics.feedback, topics.labels, topics.dead_letters]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield document.at_value(("topics",), f"{name} would be two topics at once; give each its own name")


def warnings(plan: Plan) -> list[str]:
    """Return what is allowed but will surprise, as `path: message`."""
    return [f"{path_text(item.path)}: {item.message}" for item in advice(plan)]


def unreachable(plan: Plan) -> list[str]:
    """Return why an attempt with this plan cannot end before its deadline, as `path: message`."""
    return [f"{path_text(item.path)}: {item.message}" for item in too_short(plan)]


def require_runnable(plan: Plan, name: str) -> None:
    """Raise ConfigError for a plan with checks whose evidence this version does not gather; `name` is the file's.

    Such a file is a good one: it can be checked, shown, compared, estimated and simulated.
    """
    reasons = [f"{name}: {path_text(item.path)}: {item.message}" for item in not_yet(plan)]
    if reasons:
        raise ConfigError("\n".join(reasons))
