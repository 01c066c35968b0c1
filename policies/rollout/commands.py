"""Commands to a rollout, as values. One class a verb; the class name in snake case is the verb on the wire.

The same dataclasses are decoded from `{ns}.control` and folded by `rollout.advance`; a command changes nothing by
itself. Fields that a person may leave out have defaults.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from ..frozen.numbers import FrozenNumbers
from ..frozen.reference import Reference
from ..plan.plan import ModelRef, Plan, check_name

__all__ = [
    "VERBS",
    "Advance",
    "Approve",
    "Command",
    "Freeze",
    "Pause",
    "Promote",
    "Resume",
    "Retry",
    "Rollback",
    "SetWeight",
    "Start",
    "Undo",
    "Unfreeze",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What all commands have in common.

    `command_id` makes copies recognisable; an empty one means `control@<offset>` and is never a copy. `issued_by` is
    `operator:<name>` or begins with `analyzer`. `expected_revision` None means "whatever the state". `attempt` None
    means "whatever the attempt"; an analyzer must name the attempt it judged, so that a late rollback cannot hit the
    next one. `expires` is compared with the append time of the record; without a zone it is UTC. Raises ValueError for
    a name that no rollout can have.
    """

    rollout: str
    command_id: str = ""
    issued_by: str = ""
    reason: str = ""
    expected_revision: int | None = None
    attempt: int | None = None
    expires: datetime | None = None
    time: datetime | None = None

    def __post_init__(self) -> None:
        check_name("a rollout", self.rollout)

    @classmethod
    def verb(cls) -> str:
        """Return the word on the wire, e.g. `set_weight`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Command):
    """Begin a new attempt with `canary`; `file` is the whole plan, absent: that of the last attempt.

    `references` are how the features of the canary were distributed when it was trained.
    """

    canary: ModelRef
    file: Plan | None = None
    file_digest: str = ""
    replace: bool = False
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance(Command):
    """Automation enters `step` (0 shadow, 1..n, n+1 bake); `look` names the look that decided it."""

    step: int
    look: int | None = None
    frozen: FrozenNumbers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetWeight(Command):
    """Set the weight by hand (percent, below 100) and pause automation until `resume`."""

    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote(Command):
    """Enter the next step, or end the rollout from the last one; `full` ends it from any step."""

    full: bool = False
    look: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(Command):
    """Keep the weight; automation may only roll back."""

    look: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(Command):
    """Let automation go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve(Command):
    """Let a step that waits for a person go on."""

    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze(Command):
    """Refuse start, retry, promote and advance until `until` (append time), or until `unfreeze`."""

    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfreeze(Command):
    """End a freeze."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback(Command):
    """Take the canary off all traffic at once; final for the attempt, accepted in every phase.

    `hard_limit` names the rule when it was not the statistics: `breaker` or `limit`.
    """

    look: int | None = None
    hard_limit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(Command):
    """Begin a new attempt with the same canary and plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo(Command):
    """Bring back the stable model of `to_revision`, or the former one, by an attempt without steps."""

    to_revision: int | None = None


VERBS: dict[str, type[Command]] = {
    kind.verb(): kind
    for kind in (
        Start, Advance, SetWeight, Promote, Pause, Resume, Approve, Freeze, Unfreeze, Rollback, Retry, Undo,
    )
}  # fmt: skip
"""Every command by its word on the wire."""
