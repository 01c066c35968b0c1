"""Rollout files: YAML, one rollout each, reviewed in pull requests. Every error at once, each with its place."""

import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from coalmine.errors import ConfigError, Problem, RolloutFileError
from coalmine.policies import Clock, Plan

from .document import Document, read
from .problems import problems_of
from .schema import RolloutFile
from .units import format_duration
from .writing import write

__all__ = ["file_digest", "load", "parse", "warnings", "write"]


def load(path: str | Path) -> tuple[Plan, str]:
    """Return the plan in a file and the file's digest, `sha256:` of its bytes.

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
    return parse(text, str(path), os.environ), file_digest(content)


def file_digest(content: bytes) -> str:
    """Return the digest that names this content of a rollout file."""
    return f"sha256:{sha256(content).hexdigest()}"


def parse(text: str, name: str, environment: Mapping[str, str] | None = None) -> Plan:
    """Return the plan in `text`; `name` stands in errors, `environment` fills `${NAME}` in addresses of models.

    Raises RolloutFileError with every problem that was found, in order of place.
    """
    document = read(text, name)
    problems = [document.source.problem(place, path, "this key stands here twice; keep one")
                for path, place in document.repeated]  # fmt: skip
    try:
        file = RolloutFile.model_validate(document.value, context={"environment": environment or {}})
    except ValidationError as error:
        problems += problems_of(document, error)
    else:
        problems += conflicts(document, file.value())
        if not problems:
            return file.value()
    raise RolloutFileError(sorted(problems, key=lambda problem: (problem.line, problem.column)))


def conflicts(document: Document, plan: Plan) -> Iterator[Problem]:
    """Yield what is wrong only in combination."""
    topics = plan.topics
    names = [topics.requests, topics.predictions, topics.outcomes, topics.feedback, topics.labels, topics.dead_letters]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield document.at_value(("topics",), f"{name} would be two topics at once; give each its own name")


def warnings(plan: Plan) -> list[str]:
    """Return what is allowed but will surprise, as `path: message`."""
    holds = sum(step.hold_ms for step in plan.steps)
    if plan.analysis.clock is Clock.WALL and holds > plan.analysis.deadline_ms:
        deadline = format_duration(plan.analysis.deadline_ms)
        message = f"analysis.deadline: {deadline} is over before the holds of the steps ({format_duration(holds)})"
        return [f"{message}; raise it or shorten the holds"]
    return []
