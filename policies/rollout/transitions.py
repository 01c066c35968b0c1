"""The rollout as a state machine: a table of what is possible, and the one function that makes the next state.

The state is the fold of the control log. `advance` takes one record of it and returns the next state and what to
tell: applied, or refused with a reason; nothing for a copy of a command that was answered before. Every reader folds
the same log with this function, so all agree without talking to each other.

The rules that hold for every command stand here, those of a single command in `moves`:

- A command that is refused changes nothing: no revision, no weight, no timer. Only its id is remembered.
- An applied command raises the revision by one, whatever else it does.
- Whoever names a revision is refused when the state has moved on. Rollback is exempt: it never comes too late.
- Automation names the revision and the attempt it judged, moves one declared step at a time, and may do nothing that
  is a person's. Its rollback of one attempt does not hit the next.
- A freeze refuses what leads upwards. Rollback works always, and so does an undo, which is the way back after a
  promotion.
- The verbs that make things safer (rollback, pause, freeze) are accepted again when they have nothing left to do.

Phase `shadowing` is not in the table: a plan has no field yet that leads there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import moves
from .commands import Advance, Command
from .moves import epoch_ms, is_automation
from .ramp import is_frozen, step_at
from .state import Applied, At, Effect, Epoch, Phase, Refusal, State

__all__ = ["AUTOMATION_VERBS", "FROZEN_VERBS", "SEEN_KEPT", "TRANSITIONS", "Transition", "advance"]

SEEN_KEPT = 1_000
"""Ids remembered to recognise copies; a copy comes seconds after its original, a rollout has tens of commands."""

AUTOMATION_VERBS = frozenset({"advance", "pause", "promote", "rollback"})
"""What an analyzer may ask for."""

FROZEN_VERBS = frozenset({"advance", "approve", "promote", "retry", "start"})
"""What a freeze refuses: the moves upwards. Approve is one of them: it enters the next step or promotes."""

Move = Callable[[State, Any, At], State | str]
"""A rule of `moves`; the table pairs it with its own class of command."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A cell of the table: the rule, and the phases it may lead to."""

    move: Move
    leads_to: frozenset[Phase]


def to(move: Move, *phases: Phase) -> Transition:
    """Return the cell for `move`."""
    return Transition(move, frozenset(phases))


def row(phase: Phase, **cells: Transition) -> Mapping[str, Transition]:
    """Return the cells of a phase; freeze and unfreeze are possible in each and keep it."""
    return {**cells, "freeze": to(moves.freeze, phase), "unfreeze": to(moves.unfreeze, phase)}


TRANSITIONS: Mapping[Phase, Mapping[str, Transition]] = {
    Phase.IDLE: row(
        Phase.IDLE,
        start=to(moves.start, Phase.PENDING),
        rollback=to(moves.rollback_of_nothing, Phase.IDLE),
    ),
    Phase.PENDING: row(
        Phase.PENDING,
        start=to(moves.start, Phase.PENDING),
        advance=to(moves.advance, Phase.PROGRESSING),
        promote=to(moves.promote, Phase.PROMOTED),
        pause=to(moves.pause, Phase.PAUSED),
        rollback=to(moves.rollback, Phase.ROLLED_BACK),
    ),
    Phase.PROGRESSING: row(
        Phase.PROGRESSING,
        start=to(moves.start, Phase.PENDING),
        advance=to(moves.advance, Phase.PROGRESSING, Phase.AWAITING_APPROVAL, Phase.BAKING),
        promote=to(moves.promote, Phase.PROGRESSING, Phase.AWAITING_APPROVAL, Phase.BAKING, Phase.PROMOTED),
        set_weight=to(moves.set_weight, Phase.PAUSED),
        pause=to(moves.pause, Phase.PAUSED),
        rollback=to(moves.rollback, Phase.ROLLED_BACK),
    ),
    Phase.PAUSED: row(
        Phase.PAUSED,
        start=to(moves.start, Phase.PENDING),
        promote=to(moves.promote, Phase.PAUSED, Phase.PROMOTED),
        set_weight=to(moves.set_weight, Phase.PAUSED),
        pause=to(moves.pause, Phase.PAUSED),
        resume=to(moves.resume, Phase.PENDING, Phase.PROGRESSING, Phase.AWAITING_APPROVAL, Phase.BAKING),
        rollback=to(moves.rollback, Phase.ROLLED_BACK),
    ),
    Phase.AWAITING_APPROVAL: row(
        Phase.AWAITING_APPROVAL,
        start=to(moves.start, Phase.PENDING),
        approve=to(moves.approve, Phase.PROGRESSING, Phase.BAKING, Phase.PROMOTED),
        promote=to(moves.promote, Phase.PROGRESSING, Phase.BAKING, Phase.PROMOTED),
        set_weight=to(moves.set_weight, Phase.PAUSED),
        pause=to(moves.pause, Phase.PAUSED),
        rollback=to(moves.rollback, Phase.ROLLED_BACK),
    ),
    Phase.BAKING: row(
        Phase.BAKING,
        start=to(moves.start, Phase.PENDING),
        promote=to(moves.promote, Phase.AWAITING_APPROVAL, Phase.PROMOTED),
        set_weight=to(moves.set_weight, Phase.PAUSED),
        pause=to(moves.pause, Phase.PAUSED),
        rollback=to(moves.rollback, Phase.ROLLED_BACK),
    ),
    Phase.PROMOTED: row(
        Phase.PROMOTED,
        start=to(moves.start, Phase.PENDING),
        undo=to(moves.undo, Phase.PENDING),
        rollback=to(moves.rollback_of_nothing, Phase.PROMOTED),
    ),
    Phase.ROLLED_BACK: row(
        Phase.ROLLED_BACK,
        start=to(moves.start, Phase.PENDING),
        retry=to(moves.retry, Phase.PENDING),
        undo=to(moves.undo, Phase.PENDING),
        rollback=to(moves.rollback_of_nothing, Phase.ROLLED_BACK),
    ),
}
"""Phase and verb to what happens; what is not here is refused. The diagram in the docs is drawn from it."""


def advance(state: State, command: Command, at: At) -> tuple[State, tuple[Effect, ...]]:
    """Fold one record of the control log.

    Returns the next state and at most one effect; none for a copy of a command that was answered before, and for a
    record that was folded before (`at.offset` not above the state's), so reading the log again does no harm. Raises
    ValueError for a command of another rollout.
    """
    if command.rollout != state.rollout:
        raise ValueError(f"a command for {command.rollout!r} cannot be folded into {state.rollout!r}")
    if at.offset <= state.control_offset:
        return state, ()
    if command.command_id and command.command_id in state.seen:
        return replace(state, control_offset=at.offset), ()
    command_id = command.command_id or f"control@{at.offset}"
    read = replace(state, control_offset=at.offset, seen=(*state.seen, command_id)[-SEEN_KEPT:])
    moved = objection(read, command, at) or move(read, command, at)
    if isinstance(moved, str):
        return read, (Refusal(verb=command.verb(), command_id=command_id, issued_by=command.issued_by, reason=moved),)
    after = settle(read, moved, command, at)
    applied = Applied(
        verb=command.verb(),
        command_id=command_id,
        issued_by=command.issued_by,
        revision=after.revision,
        phase=after.phase,
        weight=after.weight,
        message=moved.message,
    )
    return after, (applied,)


def objection(state: State, command: Command, at: At) -> str | None:
    """Return what speaks against `command` whatever the phase, None if nothing does."""
    return (
        forbidden(command)
        or expired(command, at)
        or meant_for_another_attempt(state, command)
        or decided_on_another_revision(state, command)
        or held_by_freeze(state, command, at)
    )


def forbidden(command: Command) -> str | None:
    """Object to what the issuer may not do, and to automation that does not say what it judged."""
    verb = command.verb()
    if not is_automation(command):
        return "only automation may advance: use promote" if verb == "advance" else None
    if verb not in AUTOMATION_VERBS:
        return f"automation may not {verb}: a person must"
    if command.attempt is None:
        return "a command of automation must name the attempt it judged"
    if command.expected_revision is None and verb != "rollback":
        return "a command of automation must name the revision it judged"
    return None


def expired(command: Command, at: At) -> str | None:
    """Object to a command whose time is over at its append time."""
    if command.expires is None or at.ms <= epoch_ms(command.expires):
        return None
    return f"the command expired at {command.expires.isoformat()}: look at the rollout again and repeat it"


def meant_for_another_attempt(state: State, command: Command) -> str | None:
    """Object to a command that names an attempt which is not the current one."""
    if command.attempt in (None, state.attempt):
        return None
    return f"attempt {command.attempt} is not the current one ({state.attempt}): look at the rollout again"


def decided_on_another_revision(state: State, command: Command) -> str | None:
    """Object to a command that was decided before the state moved on; a rollback never comes too late."""
    if command.expected_revision in (None, state.revision) or command.verb() == "rollback":
        return None
    return (
        f"revision is {state.revision}, the command expected {command.expected_revision}: "
        "look at the rollout again and repeat"
    )


def held_by_freeze(state: State, command: Command, at: At) -> str | None:
    """Object to moves upwards while a freeze is on; the way back to an earlier stable model stays open."""
    verb = command.verb()
    way_back = state.undoing and verb == "promote"
    if not is_frozen(state, at.ms) or verb not in FROZEN_VERBS or way_back:
        return None
    return f"the rollout is frozen, so {verb} is refused: unfreeze first"


def move(state: State, command: Command, at: At) -> State | str:
    """Apply the cell of the table, or say what is possible instead."""
    cells = TRANSITIONS[state.phase]
    if (cell := cells.get(command.verb())) is not None:
        return cell.move(state, command, at)
    possible = ", ".join(sorted(cells.keys() - {"advance"}))
    return f"{command.verb()} is not possible while the rollout is {state.phase.value}: possible are {possible}"


def settle(before: State, moved: State, command: Command, at: At) -> State:
    """Return `moved` with what follows from it: revision, step, epochs, and the time of entry at a new weight.

    The message of a state says why the rollout is where it is, so it stays when the rollout did not move.
    """
    revision = before.revision + 1
    after = replace(
        moved,
        revision=revision,
        step=step_at(moved.plan, moved.weight),
        epochs=epochs_after(before, moved, revision),
    )
    if (moved.attempt, moved.weight) == (before.attempt, before.weight):
        return replace(after, message=before.message if moved.phase is before.phase else moved.message)
    look = command.look if isinstance(command, Advance) else None
    return replace(after, step_since_ms=at.ms, entered_look=look)


def epochs_after(before: State, moved: State, revision: int) -> tuple[Epoch, ...]:
    """Return the epochs of the attempt once `moved` is `revision`; all are closed when the attempt is over.

    Only a change of weight splits them: routing changes with the attempt, pause and resume change nothing.
    """
    opened = Epoch(first=revision, last=None, weight=moved.weight, step=step_at(moved.plan, moved.weight))
    if moved.attempt != before.attempt:
        return (opened,)
    if not before.phase.has_attempt or (moved.phase.has_attempt and moved.weight == before.weight):
        return before.epochs
    closed = (*before.epochs[:-1], replace(before.epochs[-1], last=revision - 1))
    return (*closed, opened) if moved.phase.has_attempt else closed
