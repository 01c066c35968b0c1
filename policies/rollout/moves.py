"""What each command does to a rollout: the rules behind the cells of `rollout.TRANSITIONS`.

A move gets the state before, the command, and where it stands in the log, and returns the state after or, as a
string, the reason why not together with the next step to take. It decides phase, weight, models and message only;
`rollout.advance` has checked issuer, revision, attempt, expiry and freeze before, and keeps revision, step, epochs
and times afterwards, the same way for every move.
"""

from dataclasses import replace
from datetime import UTC, datetime

from ..frozen.reference import fitting
from ..plan.plan import ModelRef, OnSuccess, Plan, is_routable
from .commands import (
    Advance,
    Approve,
    Command,
    Freeze,
    Pause,
    Promote,
    Resume,
    Retry,
    Rollback,
    SetWeight,
    Start,
    Undo,
    Unfreeze,
)
from .ramp import FOREVER_MS, is_bake, is_frozen, is_last_step, next_step, stage_name, step_at
from .state import At, Phase, State

__all__ = [
    "advance",
    "approve",
    "epoch_ms",
    "freeze",
    "is_automation",
    "pause",
    "promote",
    "resume",
    "retry",
    "rollback",
    "rollback_of_nothing",
    "set_weight",
    "start",
    "undo",
    "unfreeze",
]

Moved = State | str
"""The state after a move, or the reason why it is not possible."""


def is_automation(command: Command) -> bool:
    """Tell whether an analyzer, not a person, issued the command."""
    return command.issued_by.startswith("analyzer")


def epoch_ms(moment: datetime) -> int:
    """Return epoch milliseconds; a moment without a zone is UTC, so that every reader folds the same."""
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(zoned.timestamp() * 1_000)


def start(before: State, command: Start, at: At) -> Moved:
    """Begin an attempt with a new canary; the first one brings the stable model of the file."""
    plan = command.file or before.plan
    if plan is None:
        return "no plan is known yet: the first start needs the rollout file"
    if refusal := start_refusal(before, command, plan):
        return refusal
    stable = before.stable or plan.stable
    planned = replace(
        before,
        plan=plan,
        file_digest=command.file_digest or before.file_digest,
        stable=stable,
        stables=before.stables or {before.revision + 1: stable},
        undoing=False,
        references=fitting(command.references),
    )
    return begin(planned, command.canary, at)


def start_refusal(before: State, command: Start, plan: Plan) -> str | None:
    """Return why `plan` cannot start now, None if it can."""
    if before.phase.has_attempt and not command.replace:
        return f"attempt {before.attempt} is on: roll it back first, or start with replace"
    if plan.name != before.rollout:
        return f"the file is for rollout {plan.name!r}: start that one, or correct its name"
    if before.plan and plan.topics != before.plan.topics:
        return "the file changes the topics, which workers read only when they begin: use a rollout of another name"
    if before.plan and plan.routing.key != before.plan.routing.key:
        return "the file changes the key field, which workers read only when they begin: use a rollout of another name"
    if command.file and command.file.canary and differ(command.file.canary, command.canary):
        return f"the file names canary {command.file.canary.uri}, the command {command.canary.uri}: give one of them"
    return None


def differ(one: ModelRef, other: ModelRef) -> bool:
    """Tell whether two references cannot mean the same package; an unresolved one has no digest yet."""
    return one.uri != other.uri or bool(one.digest and other.digest and one.digest != other.digest)


def begin(before: State, canary: ModelRef, at: At) -> State:
    """Return a new attempt that waits for its model and numbers."""
    return replace(
        before,
        phase=Phase.PENDING,
        attempt=at.offset,
        attempt_since_ms=at.ms,
        weight=0.0,
        canary=canary,
        frozen=None,
        resume_phase=None,
        automatic=True,
        message=f"attempt {at.offset} waits until every worker has loaded {canary.uri}",
    )


def retry(before: State, command: Retry, at: At) -> Moved:
    """Begin an attempt like the one that was rolled back."""
    assert before.canary is not None, "a rollout that was rolled back has a canary"
    return begin(before, before.canary, at)


def undo(before: State, command: Undo, at: At) -> Moved:
    """Begin an attempt without steps that brings back an earlier stable model."""
    model = earlier_stable(before, command.to_revision)
    return model if isinstance(model, str) else begin(replace(before, undoing=True, references=()), model, at)


def earlier_stable(state: State, revision: int | None) -> ModelRef | str:
    """Return the model that became stable at `revision` (None: the last one before the current), or why not."""
    known = {since: model for since, model in state.stables.items() if model != state.stable}
    if not known:
        return "no other model has been stable before: there is nothing to bring back"
    if revision is None:
        return known[max(known)]
    if revision not in known:
        choice = ", ".join(f"{since} ({model.uri})" for since, model in known.items())
        return f"no other model became stable at revision {revision}: choose one of {choice}"
    return known[revision]


def advance(before: State, command: Advance, at: At) -> Moved:
    """Enter the next step, once its gate has passed; a step with approval waits for a person instead."""
    if before.undoing:
        return "an undo has no steps: promote it once every worker has loaded the model"
    if command.step != next_step(before):
        return f"step {command.step} does not follow step {before.step}: look at the rollout again"
    if before.frozen is None and command.frozen is None:
        return "the numbers of stable are not frozen yet: the advance into step 1 must carry them"
    if before.current_step and before.current_step.approval:
        return wait_for_approval(before)
    return enter(replace(before, frozen=before.frozen or command.frozen), command.step)


def enter(before: State, step: int) -> State:
    """Return the state in `step`; a paused rollout stays paused, for only `resume` ends a pause."""
    plan = plan_of(before)
    weight, phase = plan.stages[step - 1].weight, phase_of(plan, step)
    message = f"{stage_name(plan, step)}: the canary gets {weight:g} %"
    if before.phase is Phase.PAUSED:
        message += "; automation stays paused until resume"
        return replace(before, weight=weight, resume_phase=phase, message=message)
    return replace(before, phase=phase, weight=weight, message=message)


def plan_of(state: State) -> Plan:
    """Return the plan of an attempt."""
    assert state.plan is not None, "an attempt has a plan"
    return state.plan


def phase_of(plan: Plan, step: int) -> Phase:
    """Return the phase in which automation works on `step`."""
    return Phase.BAKING if is_bake(plan, step) else Phase.PROGRESSING


def wait_for_approval(before: State) -> State:
    """Return the state in which automation has done its part of the step."""
    stage = stage_name(plan_of(before), before.step)
    message = f"{stage} has passed and waits for a person: approve, or roll back"
    if is_last_step(before):
        message = f"every check has passed on {stage}, the last one; a person decides: approve to promote, or roll back"
    return replace(before, phase=Phase.AWAITING_APPROVAL, message=message)


def promote(before: State, command: Promote, at: At) -> Moved:
    """Enter the next step or end the attempt; automation only ends it, from the last step."""
    if is_automation(command):
        return promote_by_automation(before, command)
    if before.undoing:
        return "an undo is promoted by itself once every worker has loaded the model: wait for it, or roll back"
    if before.frozen is None:
        return "the numbers of stable are not frozen yet: wait for step 1, or roll back"
    return up(before, full=command.full)


def promote_by_automation(before: State, command: Promote) -> Moved:
    """End the attempt from its last step, or ask for the approval that is due before."""
    if before.phase not in (Phase.PENDING, Phase.PROGRESSING, Phase.BAKING):
        return f"the rollout is {before.phase.value}: only a person may promote now"
    if command.full or not is_last_step(before):
        return "automation promotes from the last step only: advance to the next one"
    if asks_a_person(before):
        return wait_for_approval(before)
    return end(before)


def asks_a_person(before: State) -> bool:
    """Tell whether the last move of an attempt is a person's; an undo brings back what has been stable already."""
    if before.undoing:
        return False
    by_step = before.current_step is not None and before.current_step.approval
    return by_step or plan_of(before).on_success is OnSuccess.APPROVAL


def up(before: State, *, full: bool = False) -> State:
    """Return the state one step up, or after the end; `full` skips the steps between."""
    step = next_step(before)
    return end(before) if full or step is None else enter(before, step)


def end(before: State) -> State:
    """Return the rollout after its promotion: the canary is the stable model and nobody's canary any more."""
    assert before.canary is not None, "an attempt has a canary"
    return replace(
        before,
        phase=Phase.PROMOTED,
        weight=0.0,
        stable=before.canary,
        canary=None,
        stables={**before.stables, before.revision + 1: before.canary},
        resume_phase=None,
        automatic=True,
        undoing=False,
        message=f"attempt {before.attempt} was promoted: {before.canary.uri} is stable",
    )


def approve(before: State, command: Approve, at: At) -> Moved:
    """Let the step that waits for a person go on."""
    if command.step not in (None, before.step):
        return f"step {before.step} waits for approval, not step {command.step}: look at the rollout again"
    return up(before)


def set_weight(before: State, command: SetWeight, at: At) -> Moved:
    """Set the weight by hand; automation is paused until `resume`."""
    weight = command.weight
    if not is_routable(weight) or not 0 <= weight < 100:
        return f"{weight:g} is not a weight from 0 to below 100 % with at most 4 decimals; for all traffic use promote"
    if before.frozen is None:
        return "the canary is not ready for traffic yet: wait for step 1, or roll back"
    plan = plan_of(before)
    by_hand = replace(before, weight=float(weight), resume_phase=phase_of(plan, step_at(plan, weight)))
    return paused(by_hand, f"the weight was set to {weight:g} % by hand; {after_resume(plan, weight)}")


def after_resume(plan: Plan, weight: float) -> str:
    """Say where automation goes on from `weight`."""
    step = step_at(plan, weight)
    if step == len(plan.stages):
        return "no step is above it, so the promotion comes next after resume"
    name = "the bake" if is_bake(plan, step + 1) else f"step {step + 1}"
    return f"after resume comes {name} ({plan.stages[step].weight:g} %)"


def pause(before: State, command: Pause, at: At) -> Moved:
    """Keep the weight and stop automation, rollback excepted; harmless when paused already."""
    resume_phase = before.resume_phase if before.phase is Phase.PAUSED else before.phase
    return paused(replace(before, resume_phase=resume_phase), f"paused at {before.weight:g} %{why(command)}")


def paused(before: State, message: str) -> State:
    """Return `before` with automation stopped."""
    return replace(before, phase=Phase.PAUSED, automatic=False, message=message)


def resume(before: State, command: Resume, at: At) -> Moved:
    """Let automation go on where it was."""
    assert before.resume_phase is not None, "a pause knows where it came from"
    message = f"resumed at {before.weight:g} %{why(command)}"
    return replace(before, phase=before.resume_phase, resume_phase=None, automatic=True, message=message)


def rollback(before: State, command: Rollback, at: At) -> Moved:
    """Take the canary off all traffic; it stays known for `retry`."""
    return replace(
        before,
        phase=Phase.ROLLED_BACK,
        weight=0.0,
        resume_phase=None,
        automatic=True,
        message=f"rolled back from {before.weight:g} %{why(command)}",
    )


def rollback_of_nothing(before: State, command: Rollback, at: At) -> Moved:
    """Accept a rollback with no attempt on, and say that stable has all traffic already."""
    return replace(before, message="no attempt is on: stable answers everything, there is nothing to roll back")


def freeze(before: State, command: Freeze, at: At) -> Moved:
    """Stop everything that leads upwards until a time or `unfreeze`."""
    until_ms = FOREVER_MS if command.until is None else epoch_ms(command.until)
    if until_ms <= at.ms:
        return "the end of the freeze is in the past: give a later one, or none"
    until = "unfreeze" if command.until is None else command.until.isoformat()
    return replace(before, freeze_until_ms=until_ms, message=f"frozen until {until}{why(command)}")


def unfreeze(before: State, command: Unfreeze, at: At) -> Moved:
    """End a freeze before its time."""
    if not is_frozen(before, at.ms):
        return "no freeze is on: there is nothing to end"
    return replace(before, freeze_until_ms=None, message=f"the freeze ended{why(command)}")


def why(command: Command) -> str:
    """Return the end of a sentence: the reason given, else who asked."""
    if command.reason:
        return f": {command.reason}"
    return f" by {command.issued_by}" if command.issued_by else ""
