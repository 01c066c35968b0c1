"""What the judge is given and what it answers, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..checks.finding import Decision, Finding, Verdict
from ..scorecard.sums import Sums
from .memory import Memory

__all__ = ["Cut", "Judgement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The evidence as of one look.

    `number` counts the looks of the attempt from 1; `now_ms` is the time of the look in the clock of the plan
    (wall or event), the only time the judge knows. `sums` are cumulative, {revision: {variant: sums}}, over all
    partitions, of the revisions of the current attempt; revisions the state has not reached yet are left for a
    later look. `missing` says why evidence is stale or behind: not empty, nothing moves up.
    """

    number: int
    now_ms: int
    sums: Mapping[int, Mapping[str, Sums]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The answer of one look.

    `reason` is one sentence for the person on call. `hard_limit` names the rule (`limit`) when a rollback was not
    decided by a comparison. `samples` are the canary rows of the step that are evidence. `increments` is what the
    look consumed, as JSON: together with the cut's number, its time and its `missing` it lets `replay` judge again.
    `missing` here adds to that of the cut what the look itself found incomplete. `log_e_rollback` is the natural
    logarithm of the mean e-value over the checks that can roll back, -inf without such a check.
    """

    findings: tuple[Finding, ...]
    verdict: Verdict
    decision: Decision
    reason: str
    memory: Memory
    hard_limit: str | None = None
    samples: int
    effective_keys: float
    log_e_rollback: float
    increments: tuple[dict[str, Any], ...]
    missing: tuple[str, ...]
