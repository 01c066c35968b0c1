"""Recorded looks judged again: the same increments, times and states must give the same decisions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..rollout.state import State
from ..scorecard.sums import Sums
from .judge import look
from .judgement import Cut, Judgement
from .memory import Memory

__all__ = ["RecordedLook", "recorded_cut", "replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedLook:
    """What the log keeps of a look, and the state that the control log gives at its offset.

    `increments` and `missing` are those of the `Judgement`.
    """

    number: int
    now_ms: int
    state: State
    increments: Sequence[Mapping[str, Any]]
    missing: tuple[str, ...] = ()


def replay(memory: Memory, looks: Iterable[RecordedLook]) -> Iterator[Judgement]:
    """Yield the judgement of each look again, oldest first, from the memory before the first of them."""
    for recorded in looks:
        judgement = look(memory, recorded_cut(memory, recorded), recorded.state)
        memory = judgement.memory
        yield judgement


def recorded_cut(memory: Memory, recorded: RecordedLook) -> Cut:
    """Return the cut of a recorded look: what was known before it, and its increments on top."""
    sums = {revision: dict(variants) for revision, variants in memory.last.items()}
    for increment in recorded.increments:
        variants = sums.setdefault(increment["revision"], {})
        before = variants.get(increment["variant"], Sums())
        variants[increment["variant"]] = before + Sums.from_json(increment["sums"])
    return Cut(number=recorded.number, now_ms=recorded.now_ms, sums=sums, missing=recorded.missing)
