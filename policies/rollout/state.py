"""The state of a rollout, as a value. `rollout.advance` makes the next one; nothing else does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ..frozen.numbers import FrozenNumbers
from ..frozen.reference import Reference
from ..plan.plan import ModelRef, Plan, Step

__all__ = ["Applied", "At", "Effect", "Epoch", "Phase", "Refusal", "State", "initial"]


class Phase(Enum):
    """Where a rollout stands."""

    IDLE = "idle"
    PENDING = "pending"
    SHADOWING = "shadowing"
    PROGRESSING = "progressing"
    PAUSED = "paused"
    AWAITING_APPROVAL = "awaiting_approval"
    BAKING = "baking"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"

    @property
    def has_attempt(self) -> bool:
        """Whether an attempt is on: a canary exists that may still be promoted or rolled back."""
        return self not in (Phase.IDLE, Phase.PROMOTED, Phase.ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class At:
    """Where and when a command stands in the control log: its offset and append time (epoch ms)."""

    offset: int
    ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A run of revisions of one attempt with equal weight and routing.

    `first` and `last` are revisions, inclusive; `last` is None while the epoch is on. `weight` is percent, `step`
    the index of the plan's stage (1..n, n+1 for the bake) it belongs to, 0 before the first.
    """

    first: int
    last: int | None
    weight: float
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The fold of the control log for one rollout.

    `attempt` is the control offset of the `start`, `retry` or `undo` that began the attempt, None before the
    first. `revision` rises by one with every applied command. `step` is 0 before the first step. `weight` is the
    percentage of keys in scope that get the canary. `step_since_ms` and `attempt_since_ms` are append times;
    `entered_look` is the look that entered the current step. `resume_phase` is where `resume` leads.
    `automatic` is False while paused: automation may then only roll back. `epochs` are those of the
    current attempt, `references` those of its canary's features. `undoing` marks an attempt without steps. `stables`
    maps the revision at which a model became stable to that model, oldest first. `seen` holds the ids of applied and
    refused commands, oldest first.
    """

    rollout: str
    phase: Phase = Phase.IDLE
    attempt: int | None = None
    revision: int = 0
    control_offset: int = -1
    weight: float = 0.0
    step: int = 0
    stable: ModelRef | None = None
    canary: ModelRef | None = None
    plan: Plan | None = None
    file_digest: str = ""
    frozen: FrozenNumbers | None = None
    attempt_since_ms: int = 0
    step_since_ms: int = 0
    entered_look: int | None = None
    resume_phase: Phase | None = None
    automatic: bool = True
    freeze_until_ms: int | None = None
    epochs: tuple[Epoch, ...] = ()
    references: tuple[Reference, ...] = ()
    undoing: bool = False
    stables: Mapping[int, ModelRef] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    message: str = "no rollout has been started"

    @property
    def current_step(self) -> Step | None:
        """The plan's step that is on, the bake included; None outside the ramp."""
        if self.plan is None or not 1 <= self.step <= len(self.plan.stages):
            return None
        return self.plan.stages[self.step - 1]


def initial(rollout: str, stable: ModelRef | None = None) -> State:
    """Return the state before any command; `stable` is the bootstrap model of the rollout file."""
    return State(rollout=rollout, stable=stable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The command was applied: the state is now at `revision`; `message` says in one sentence what happened."""

    verb: str
    command_id: str
    issued_by: str
    revision: int
    phase: Phase
    weight: float
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The command changed nothing; `reason` says why and what to do, in one sentence."""

    verb: str
    command_id: str
    issued_by: str
    reason: str


Effect = Applied | Refusal
"""What `advance` reports besides the new state. A copy of a command already seen has no effect at all."""
