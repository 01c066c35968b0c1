from dataclasses import replace

import pytest

from coalmine.policies import (
    Applied,
    Approve,
    Command,
    ModelRef,
    Pause,
    Phase,
    Plan,
    Promote,
    Resume,
    Retry,
    Rollback,
    Routing,
    Start,
    State,
    Topics,
    Undo,
    is_last_step,
    next_step,
    receives_traffic,
)

from .rollouts import (
    PHASES,
    PLAN,
    V1,
    V2,
    V3,
    by_analyzer,
    enter,
    fold,
    of,
    on_ramp,
    promoted,
    put,
    refuse,
    rolled_back,
    start,
)


@pytest.mark.parametrize("phase", PHASES)
def test_rollback_is_accepted_in_every_phase_and_leaves_weight_0(phase: Phase) -> None:
    state = fold(of(Rollback, expected_revision=999), state=PHASES[phase]())

    assert state.weight == 0
    assert not state.phase.has_attempt
    assert not receives_traffic(state)


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.PROMOTED, Phase.ROLLED_BACK])
def test_rollback_with_no_attempt_says_that_it_did_nothing(phase: Phase) -> None:
    before = PHASES[phase]()

    after, effect = put(before, of(Rollback))

    assert isinstance(effect, Applied)
    assert "nothing to roll back" in effect.message
    assert (after.phase, after.message, after.stable) == (before.phase, before.message, before.stable)


@pytest.mark.parametrize("kind", [Promote, Resume, Approve, Pause])
def test_after_a_rollback_only_a_new_attempt_leads_on(kind: type[Command]) -> None:
    assert "possible are freeze, retry, rollback, start, undo, unfreeze" in refuse(rolled_back(), of(kind))


def test_a_late_decision_of_automation_does_not_revive_a_rollback() -> None:
    state = on_ramp(2)
    after = fold(of(Rollback), state=state)

    assert "revision is 4, the command expected 3" in refuse(after, enter(3, state))
    assert "not possible" in refuse(after, enter(3, after))


def test_a_late_rollback_of_automation_spares_the_next_attempt() -> None:
    judged = on_ramp(2)
    late = by_analyzer(Rollback, judged, hard_limit="breaker")
    state = fold(of(Rollback), of(Retry), state=judged)

    assert f"attempt 0 is not the current one ({state.attempt})" in refuse(state, late)
    assert fold(by_analyzer(Rollback, state, expected_revision=None), state=state).phase is Phase.ROLLED_BACK


def test_start_during_an_attempt_needs_replace() -> None:
    state = on_ramp(2)
    other = of(Start, canary=V3)
    replaced = fold(of(Start, canary=V3, replace=True), state=state)

    assert "attempt 0 is on" in refuse(state, other)
    assert (replaced.phase, replaced.weight, replaced.attempt, replaced.canary) == (Phase.PENDING, 0, 3, V3)
    assert (replaced.frozen, replaced.plan) == (None, PLAN)


def test_start_without_a_known_plan_is_refused() -> None:
    assert "needs the rollout file" in refuse(State(rollout="flights"), of(Start, canary=V2))


@pytest.mark.parametrize(
    ("file", "part"),
    [
        (replace(PLAN, topics=Topics.of("other")), "topics"),
        (replace(PLAN, routing=Routing(key="tail")), "key field"),
        (replace(PLAN, name="other"), "other"),
        (replace(PLAN, canary=V3), "flights/3"),
        (replace(PLAN, canary=replace(V2, digest="sha256:" + "9" * 64)), "flights/2"),
    ],
)
def test_start_with_a_file_that_does_not_fit_is_refused(file: Plan, part: str) -> None:
    assert part in refuse(rolled_back(), start(file))


def test_start_accepts_a_file_that_names_the_same_canary() -> None:
    assert fold(start(replace(PLAN, canary=ModelRef(uri=V2.uri)))).canary == V2


def test_retry_tries_the_same_canary_again_from_the_beginning() -> None:
    state = fold(of(Retry), state=rolled_back())

    assert (state.phase, state.canary, state.weight, state.frozen) == (Phase.PENDING, V2, 0, None)
    assert state.attempt == 4


def test_undo_brings_back_the_former_stable_model_without_steps() -> None:
    state = fold(of(Undo), state=promoted())
    undone = fold(by_analyzer(Promote, state), state=state)

    assert (state.phase, state.canary, state.undoing, next_step(state)) == (Phase.PENDING, V1, True, None)
    assert is_last_step(state)
    assert (undone.stable, undone.undoing, undone.stables) == (V1, False, {1: V1, 5: V2, 7: V1})
    assert fold(of(Undo), state=undone).canary == V2


def test_undo_takes_any_model_that_was_stable() -> None:
    third = fold(of(Start, canary=V3), state=promoted())
    third = fold(enter(1, third), of(Promote, full=True), state=third)

    assert fold(of(Undo), state=third).canary == V2
    assert fold(of(Undo, to_revision=1), state=third).canary == V1
    assert "1 (flights/1), 5 (flights/2)" in refuse(third, of(Undo, to_revision=2))


def test_without_another_stable_model_there_is_nothing_to_undo() -> None:
    assert "nothing to bring back" in refuse(rolled_back(), of(Undo))


def test_an_undo_is_promoted_by_automation_only() -> None:
    state = fold(of(Undo), state=promoted())

    assert "by itself" in refuse(state, of(Promote))
    assert "no steps" in refuse(state, enter(1, state))


def test_an_undo_that_was_rolled_back_is_retried_as_an_undo() -> None:
    assert fold(of(Undo), of(Rollback), of(Retry), state=promoted()).undoing
