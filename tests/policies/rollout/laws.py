"""What must hold for every record of a control log, whoever wrote it: the invariants of the controller.

Written against states before and after only, with tables of their own, so that an error in `policies.rollout` cannot
hide in them.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

from coalmine.policies import Applied, At, Command, Effect, OnSuccess, Phase, Plan, Refusal, State
from coalmine.policies.rollout.moves import epoch_ms

AUTOMATION_MAY = {"advance", "promote", "rollback", "pause"}
BEGINS = {"start", "retry", "undo"}
UPWARDS = {"start", "retry", "promote", "advance", "approve"}
OVER = {Phase.IDLE, Phase.PROMOTED, Phase.ROLLED_BACK}


@dataclass(frozen=True)
class Folded:
    """One record after it was folded.

    `is_copy`: its id was answered before. `rows` are the canary's rows in the step before, counted by revision; `need`
    how many the step asks for.
    """

    before: State
    command: Command
    at: At
    after: State
    effects: tuple[Effect, ...]
    is_copy: bool
    rows: int
    need: int

    @property
    def verb(self) -> str:
        return self.command.verb()

    @property
    def is_automatic(self) -> bool:
        return self.command.issued_by.startswith("analyzer")

    @property
    def is_applied(self) -> bool:
        return any(isinstance(effect, Applied) for effect in self.effects)

    @property
    def is_in_time(self) -> bool:
        return self.command.expires is None or self.at.ms <= epoch_ms(self.command.expires)

    @property
    def is_for_this_attempt(self) -> bool:
        return self.command.attempt in (None, self.before.attempt)

    @property
    def goes_up(self) -> bool:
        return self.after.weight > self.before.weight or self.after.stable != self.before.stable


def check(folded: Folded) -> None:
    """Raise AssertionError, naming the invariant, if `folded` breaks one."""
    for law in LAWS:
        assert law(folded), law.__doc__


def stages(plan: Plan) -> list[float]:
    """Return the weights that automation walks through, the bake last."""
    return [step.weight for step in plan.steps] + ([100 - plan.bake.holdback] if plan.bake else [])


def revisions_rise_by_one(folded: Folded) -> bool:
    """I13: an applied command raises the revision by one, nothing else does."""
    return folded.after.revision == folded.before.revision + folded.is_applied


def automation_moves_one_step(folded: Folded) -> bool:
    """I14: automation moves up one declared step at a time, and ends from the last."""
    before, after = folded.before, folded.after
    if not folded.is_automatic or not folded.goes_up or before.undoing:
        return True
    assert before.plan is not None
    weights = stages(before.plan)
    if after.phase is Phase.PROMOTED:
        return before.weight >= weights[-1]
    return after.weight == min(weight for weight in weights if weight > before.weight)


def a_step_with_approval_is_left_by_a_person(folded: Folded) -> bool:
    """I14: automation does not leave a step that needs approval upwards."""
    step = folded.before.current_step
    return not (folded.is_automatic and folded.goes_up and step is not None and step.approval)


def a_person_decides_at_the_end_where_the_plan_says_so(folded: Folded) -> bool:
    """I14: automation does not promote where `on_success` asks a person; an undo asks nobody."""
    plan = folded.before.plan
    asks = plan is not None and plan.on_success is OnSuccess.APPROVAL and not folded.before.undoing
    return not (asks and folded.is_automatic and folded.after.stable != folded.before.stable)


def baking_is_the_phase_of_the_last_weight(folded: Folded) -> bool:
    """I14: automation works in phase baking at the weight of the bake and above, below it in progressing."""
    after = folded.after
    if after.phase not in (Phase.PROGRESSING, Phase.BAKING):
        return True
    assert after.plan is not None
    bakes = after.plan.bake is not None and after.weight >= 100 - after.plan.bake.holdback
    return bakes == (after.phase is Phase.BAKING)


def rollback_is_always_accepted(folded: Folded) -> bool:
    """I15: a rollback in time is applied in every phase, whatever revision it expected, and leaves weight 0."""
    if folded.verb != "rollback" or folded.is_copy or not (folded.is_in_time and folded.is_for_this_attempt):
        return True
    named = not folded.is_automatic or folded.command.attempt is not None
    return not named or (folded.is_applied and folded.after.weight == 0 and folded.after.phase in OVER)


def rollback_stays(folded: Folded) -> bool:
    """I16: after a rollback only a person's start, retry or undo leads on, and as another attempt."""
    if folded.before.phase is not Phase.ROLLED_BACK or folded.after.phase is Phase.ROLLED_BACK:
        return folded.before.phase is not Phase.ROLLED_BACK or folded.after.weight == 0
    begun = folded.verb in BEGINS and not folded.is_automatic
    return begun and folded.after.weight == 0 and folded.after.attempt != folded.before.attempt


def a_rollback_of_automation_hits_its_own_attempt_only(folded: Folded) -> bool:
    """I16: an attempt is rolled back by automation only if it is the one that was judged."""
    hit = folded.is_automatic and folded.verb == "rollback" and folded.is_applied
    return not hit or folded.command.attempt == folded.before.attempt


def automation_respects_a_pause(folded: Folded) -> bool:
    """I17: while paused, automation changes nothing but to roll back."""
    if folded.before.phase is not Phase.PAUSED or not folded.is_automatic or folded.verb == "rollback":
        return True
    return not folded.goes_up and folded.after.automatic == folded.before.automatic


def automation_needs_the_samples_of_the_step(folded: Folded) -> bool:
    """I18: no automated move up under the samples of the step; entering step 1 and an undo need none."""
    if not (folded.is_automatic and folded.goes_up) or folded.before.step == 0:
        return True
    return folded.rows >= folded.need


def promotion_is_the_only_way_to_stable(folded: Folded) -> bool:
    """I21: the canary becomes stable by its promotion only, and the old one stays known."""
    before, after = folded.before, folded.after
    if before.stable == after.stable or before.stable is None:
        return True
    promoted = after.phase is Phase.PROMOTED and before.phase not in OVER and after.stable == before.canary
    return promoted and before.stable in after.stables.values()


def a_copy_has_no_result(folded: Folded) -> bool:
    """I23: a copy has no result, any other record exactly one."""
    return len(folded.effects) == (0 if folded.is_copy else 1)


def applied_means_allowed(folded: Folded) -> bool:
    """I24: an applied command expected this revision, came in time, from who may, and not against a freeze."""
    if not folded.is_applied:
        return True
    command, before = folded.command, folded.before
    fresh = command.expected_revision in (None, before.revision) or folded.verb == "rollback"
    allowed = folded.verb in AUTOMATION_MAY if folded.is_automatic else folded.verb != "advance"
    frozen = before.freeze_until_ms is not None and folded.at.ms < before.freeze_until_ms
    held = frozen and folded.verb in UPWARDS and not (before.undoing and folded.verb == "promote")
    return fresh and allowed and folded.is_in_time and folded.is_for_this_attempt and not held


def a_refusal_changes_nothing(folded: Folded) -> bool:
    """I25: what is not applied changes nothing but what is remembered of the log."""
    unchanged = replace(folded.after, control_offset=folded.before.control_offset, seen=folded.before.seen)
    return folded.is_applied or unchanged == folded.before


def a_refusal_says_why(folded: Folded) -> bool:
    """I23: a refusal has a reason."""
    return all(effect.reason for effect in folded.effects if isinstance(effect, Refusal))


def the_epochs_are_the_revisions_of_the_attempt(folded: Folded) -> bool:
    """Epochs follow each other without a gap, differ in weight, and only that of an attempt that is on is open."""
    epochs, after = folded.after.epochs, folded.after
    joined = all(one.last is not None and one.last + 1 == two.first for one, two in pairwise(epochs))
    split = all(one.weight != two.weight for one, two in pairwise(epochs))
    is_open = bool(epochs) and epochs[-1].last is None
    right = not is_open or (epochs[-1].weight, epochs[-1].step) == (after.weight, after.step)
    return joined and split and right and is_open == (after.phase not in OVER)


LAWS = (
    revisions_rise_by_one,
    automation_moves_one_step,
    a_step_with_approval_is_left_by_a_person,
    a_person_decides_at_the_end_where_the_plan_says_so,
    baking_is_the_phase_of_the_last_weight,
    rollback_is_always_accepted,
    rollback_stays,
    a_rollback_of_automation_hits_its_own_attempt_only,
    automation_respects_a_pause,
    automation_needs_the_samples_of_the_step,
    promotion_is_the_only_way_to_stable,
    a_copy_has_no_result,
    applied_means_allowed,
    a_refusal_changes_nothing,
    a_refusal_says_why,
    the_epochs_are_the_revisions_of_the_attempt,
)
