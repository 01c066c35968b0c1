"""What differs between two plans, in the words and units of the file, and what it takes to make it so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from coalmine.policies import ModelRef, Plan

from .writing import plain_file

__all__ = ["Change", "Needs", "changes"]


class Needs(Enum):
    """What a change takes."""

    ATTEMPT = "a new attempt"
    NAME = "a rollout of another name: workers read this only when they begin"
    BOOTSTRAP = "nothing: after the first start the control log decides which model is stable"
    NOTHING = "nothing: it is for people"


NEEDS = {
    "name": Needs.NAME,
    "topics": Needs.NAME,
    "routing.key": Needs.NAME,
    "stable": Needs.BOOTSTRAP,
    "description": Needs.NOTHING,
}
"""What a change of these takes, and of everything below them; all others change what was fixed beforehand."""


@dataclass(frozen=True, slots=True)
class Change:
    """A key whose value differs; `before` and `after` are as the file writes them, None where there is none."""

    path: str
    before: str | None
    after: str | None

    @property
    def needs(self) -> Needs:
        """What it takes to make this change."""
        found = [needs for path, needs in NEEDS.items() if f"{self.path}.".startswith(f"{path}.")]
        return found[0] if found else Needs.ATTEMPT


def changes(before: Plan, after: Plan) -> list[Change]:
    """Return what differs, in the order of the file.

    Steps are known by their weights and checks by their names, so an added one shifts no other. A model without a
    digest was not read yet: that alone is no difference.
    """
    stable = alike(before.stable, after.stable)
    canary = alike(before.canary, after.canary) if before.canary and after.canary else before.canary
    return list(compared("", keyed(replace(before, stable=stable, canary=canary)), keyed(after)))


def alike(one: ModelRef, other: ModelRef) -> ModelRef:
    """Return the reference of `one`; the other one where they name the same package and one was not read yet."""
    return other if one.uri == other.uri and not (one.digest and other.digest) else one


def keyed(plan: Plan) -> dict[str, Any]:
    """Return the file of a plan with its steps by their weights."""
    file = plain_file(plan)
    file["steps"] = {f"[{step['weight']}]": step for step in file["steps"]}
    return file


def compared(path: str, before: Any, after: Any) -> Iterator[Change]:
    """Yield what differs below a path; a mapping that is new or gone is one change."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        if before != after:
            yield Change(path, *(None if value is None else inline(value) for value in (before, after)))
        return
    for key in [*before, *(key for key in after if key not in before)]:
        below = path + key if key.startswith("[") else f"{path}.{key}".removeprefix(".")
        yield from compared(below, before.get(key), after.get(key))


def inline(value: Any) -> str:
    """Return a value as a file may write it on one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {inline(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(inline(item) for item in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
