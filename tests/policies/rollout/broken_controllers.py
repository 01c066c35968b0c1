"""Controllers that are wrong on purpose, one mistake each: the machine must find every one of them.

Each wraps the true `advance`, so it is right but for its mistake.
"""

from collections import Counter
from dataclasses import replace

from coalmine.policies import (
    Advance,
    Applied,
    At,
    Command,
    Effect,
    OnSuccess,
    Pause,
    Phase,
    Promote,
    Refusal,
    Resume,
    Rollback,
    State,
    advance,
    initial,
)
from coalmine.policies.rollout.moves import is_automation

from .machine import Controller, Record

Result = tuple[State, tuple[Effect, ...]]


def refuse(state: State, command: Command, at: At) -> Result:
    """Return a refusal as the true machine would write it."""
    command_id = command.command_id or f"control@{at.offset}"
    refusal = Refusal(verb=command.verb(), command_id=command_id, issued_by=command.issued_by, reason="no")
    return replace(state, control_offset=at.offset, seen=(*state.seen, command_id)), (refusal,)


def is_new(state: State, command: Command) -> bool:
    """Tell whether `command` is not a copy."""
    return command.command_id not in state.seen


def is_applied(result: Result) -> bool:
    """Tell whether the command was applied."""
    return any(isinstance(effect, Applied) for effect in result[1])


def pretend(state: State, other: State, command: Command, at: At) -> Result:
    """Return what happens if `other` is taken for `state` where that makes a command possible."""
    result = advance(other, command, at)
    return result if is_applied(result) else advance(state, command, at)


class RollbackChecksTheRevision(Controller):
    """A rollback typed a moment too late is refused."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        stale = command.expected_revision not in (None, state.revision)
        if isinstance(command, Rollback) and stale and is_new(state, command):
            return refuse(state, command, at)
        return advance(state, command, at)


class PauseBlocksRollback(Controller):
    """While paused nothing may change, a rollback included."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        if isinstance(command, Rollback) and state.phase is Phase.PAUSED and is_new(state, command):
            return refuse(state, command, at)
        return advance(state, command, at)


class RefusalMovesTheRatchet(Controller):
    """A refused command raises the revision."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        after, effects = advance(state, command, at)
        refused = any(isinstance(effect, Refusal) for effect in effects)
        return replace(after, revision=after.revision + refused), effects


class RefusalRestartsTheHold(Controller):
    """A refused command resets the timer of the step."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        after, effects = advance(state, command, at)
        refused = any(isinstance(effect, Refusal) for effect in effects)
        return replace(after, step_since_ms=at.ms if refused else after.step_since_ms), effects


class PauseClearsTheEvidence(Controller):
    """A pause begins a new epoch and forgets the ones before."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        after, effects = advance(state, command, at)
        if not isinstance(command, Pause) or not is_applied((after, effects)):
            return after, effects
        return replace(after, epochs=(replace(after.epochs[-1], first=after.revision),)), effects


class RestartForgetsRollback(Controller):
    """After a crash the log is folded without its rollbacks."""

    def restart(self, log: list[Record]) -> None:
        self.state = initial("flights")
        for command, at in log[: self.position]:
            if not isinstance(command, Rollback):
                self.state, _ = advance(self.state, command, at)


class AppliesItsOwnDecision(Controller):
    """A decision changes the state before it is read back from the log."""

    def published(self, command: Command, at: At) -> None:
        self.state, _ = advance(self.state, command, at)


class TwoCommandsPerRevision(Controller):
    """Automation is believed whatever revision it judged."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        believed = replace(command, expected_revision=state.revision) if is_automation(command) else command
        return advance(state, believed, at)


class CopiesCountAgain(Controller):
    """No id is remembered."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        after, effects = advance(replace(state, seen=()), command, at)
        return replace(after, seen=(*state.seen, *after.seen)), effects


class LateRollbackHitsTheNextAttempt(Controller):
    """A rollback is applied to whatever attempt is on."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        hits = isinstance(command, Rollback) and state.attempt is not None
        return advance(state, replace(command, attempt=state.attempt) if hits else command, at)


class AutomationClimbsWhilePaused(Controller):
    """A pause does not stop automation."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        if state.phase is not Phase.PAUSED or not isinstance(command, Advance):
            return advance(state, command, at)
        return pretend(state, replace(state, phase=Phase.PROGRESSING), command, at)


class ApprovalIsSkipped(Controller):
    """Automation leaves a step that needs approval by itself."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        if state.plan is None or not isinstance(command, Advance | Promote):
            return advance(state, command, at)
        unasked = replace(state.plan, steps=tuple(replace(step, approval=False) for step in state.plan.steps))
        after, effects = advance(replace(state, plan=unasked), command, at)
        return replace(after, plan=state.plan), effects


class NobodyIsAsked(Controller):
    """Automation promotes where a person should decide."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        if state.plan is None or not isinstance(command, Promote):
            return advance(state, command, at)
        unasked = replace(state.plan, on_success=OnSuccess.PROMOTE)
        after, effects = advance(replace(state, plan=unasked), command, at)
        return replace(after, plan=state.plan), effects


class BakeIsSkipped(Controller):
    """Automation promotes from the last step although a bake follows."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        bakes = isinstance(command, Advance) and state.plan is not None and command.step > len(state.plan.steps)
        if not bakes or not is_new(state, command) or command.expected_revision != state.revision:
            return advance(state, command, at)
        return advance(state, Promote(rollout=command.rollout, command_id=command.command_id, full=True), at)


class ResumeLeavesTheBake(Controller):
    """Whoever resumes is back on the ramp, whatever the weight."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        after, effects = advance(state, command, at)
        leaves = isinstance(command, Resume) and after.phase is Phase.BAKING
        return replace(after, phase=Phase.PROGRESSING) if leaves else after, effects


class FreezeIsIgnored(Controller):
    """A freeze stops nothing."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        if command.verb() in ("freeze", "unfreeze"):
            return advance(state, command, at)
        after, effects = advance(replace(state, freeze_until_ms=None), command, at)
        return replace(after, freeze_until_ms=state.freeze_until_ms), effects


class ExpiryIsIgnored(Controller):
    """A command is obeyed however old it is."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        return advance(state, replace(command, expires=None), at)


class RollbackIsNotFinal(Controller):
    """A rollback is taken for a pause: who resumes or promotes goes on."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        if state.phase is not Phase.ROLLED_BACK or not isinstance(command, Promote | Resume):
            return advance(state, command, at)
        return pretend(state, replace(state, phase=Phase.PAUSED, resume_phase=Phase.PROGRESSING), command, at)


class AutomationSkipsSteps(Controller):
    """Automation goes from the first step right to the end."""

    def advance(self, state: State, command: Command, at: At) -> Result:
        skips = isinstance(command, Advance) and command.step == 2 and state.step == 1 and is_new(state, command)
        if not skips or command.expected_revision != state.revision:
            return advance(state, command, at)
        full = Promote(rollout=command.rollout, command_id=command.command_id, full=True)
        return advance(state, full, at)


class SamplesAreNotAwaited(Controller):
    """Decisions are taken without counting rows."""

    def decide(self, by_revision: Counter[int], ms: int) -> Command | None:
        return super().decide(Counter({self.state.revision: 1_000_000}), ms)


BROKEN: dict[type[Controller], str] = {
    RollbackChecksTheRevision: "I15",
    PauseBlocksRollback: "I15",
    RefusalMovesTheRatchet: "I13",
    RefusalRestartsTheHold: "I25",
    PauseClearsTheEvidence: "I18",
    RestartForgetsRollback: "I26",
    AppliesItsOwnDecision: "I26",
    TwoCommandsPerRevision: "I24",
    CopiesCountAgain: "I23",
    LateRollbackHitsTheNextAttempt: "I16",
    AutomationClimbsWhilePaused: "I17",
    ApprovalIsSkipped: "I14",
    NobodyIsAsked: "I14",
    BakeIsSkipped: "I14",
    ResumeLeavesTheBake: "I14",
    FreezeIsIgnored: "I24",
    ExpiryIsIgnored: "I24",
    RollbackIsNotFinal: "I16",
    AutomationSkipsSteps: "I14",
    SamplesAreNotAwaited: "I18",
}
"""Each with the invariant it breaks."""
