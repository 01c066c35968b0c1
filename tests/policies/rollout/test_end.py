"""The end of an attempt: the bake before the promotion, and the person who decides."""

from dataclasses import replace

import pytest

from coalmine.policies import (
    Approve,
    Bake,
    ModelRef,
    OnSuccess,
    Pause,
    Phase,
    Promote,
    Resume,
    Rollback,
    SetWeight,
    State,
    Step,
    Undo,
    is_bake,
    is_last_step,
    next_step,
    stage_name,
)

from .rollouts import ASKED, BAKED, PLAN, V1, V2, by_analyzer, enter, fold, of, on_ramp, refuse

BAKED_AND_ASKED = replace(BAKED, on_success=OnSuccess.APPROVAL)


def baking() -> State:
    return on_ramp(4, BAKED)


def test_after_the_last_step_the_canary_gets_all_but_the_holdback() -> None:
    state = baking()

    assert (state.phase, state.weight, state.step) == (Phase.BAKING, 95, 4)
    assert state.message == "the bake: the canary gets 95 %"
    assert state.current_step == Step(weight=95, hold_ms=60_000, samples=300, margin_factor=1)
    assert (is_last_step(state), next_step(state)) == (True, None)


def test_the_last_step_is_not_the_last_one_where_a_bake_follows() -> None:
    state = on_ramp(3, BAKED)

    assert (is_last_step(state), next_step(state)) == (False, 4)
    assert "last step only" in refuse(state, by_analyzer(Promote, state))


def test_automation_and_a_person_end_the_bake_with_the_promotion() -> None:
    state = baking()

    assert fold(by_analyzer(Promote, state), state=state).stable == V2
    assert fold(of(Promote), state=state).phase is Phase.PROMOTED
    assert "not possible" in refuse(state, enter(5, state))


def test_a_person_enters_the_bake_from_the_last_step() -> None:
    assert fold(of(Promote), state=on_ramp(3, BAKED)).phase is Phase.BAKING


def test_a_bake_is_paused_resumed_and_rolled_back_as_a_step_is() -> None:
    paused = fold(of(Pause), state=baking())

    assert (paused.phase, paused.weight) == (Phase.PAUSED, 95)
    assert fold(of(Resume), state=paused).phase is Phase.BAKING
    assert fold(of(Promote), state=paused).phase is Phase.PROMOTED
    assert (fold(of(Rollback), state=baking()).phase, fold(of(Rollback), state=baking()).weight) == (
        Phase.ROLLED_BACK,
        0,
    )


@pytest.mark.parametrize(
    ("weight", "phase", "message"),
    [
        (60, Phase.PROGRESSING, "after resume comes the bake (95 %)"),
        (30, Phase.PROGRESSING, "after resume comes step 3 (50 %)"),
        (97, Phase.BAKING, "no step is above it, so the promotion comes next after resume"),
    ],
)
def test_a_weight_by_hand_leaves_the_bake_or_stays_in_it(weight: float, phase: Phase, message: str) -> None:
    by_hand = fold(of(SetWeight, weight=weight), state=baking())

    assert message in by_hand.message
    assert fold(of(Resume), state=by_hand).phase is phase


def test_a_person_who_climbs_into_the_bake_while_paused_resumes_in_it() -> None:
    climbed = fold(of(Pause), of(Promote), state=on_ramp(3, BAKED))

    assert (climbed.phase, climbed.weight) == (Phase.PAUSED, 95)
    assert fold(of(Resume), state=climbed).phase is Phase.BAKING


def test_an_approved_last_step_leads_into_the_bake() -> None:
    plan = replace(BAKED, steps=(Step(weight=50, approval=True),))
    state = on_ramp(1, plan)
    waiting = fold(enter(2, state), state=state)

    assert waiting.message == "step 1 of 1 has passed and waits for a person: approve, or roll back"
    assert fold(of(Approve), state=waiting).phase is Phase.BAKING


@pytest.mark.parametrize(("plan", "steps", "stage"), [(ASKED, 3, "step 3 of 3"), (BAKED_AND_ASKED, 4, "the bake")])
def test_where_the_plan_says_so_a_person_decides_once_every_check_has_passed(
    plan: object, steps: int, stage: str
) -> None:
    state = on_ramp(steps, plan)  # type: ignore[arg-type]
    waiting = fold(by_analyzer(Promote, state), state=state)

    assert (waiting.phase, waiting.weight, waiting.stable) == (Phase.AWAITING_APPROVAL, state.weight, V1)
    assert waiting.message == (
        f"every check has passed on {stage}, the last one; a person decides: approve to promote, or roll back"
    )
    assert fold(of(Approve), state=waiting).stable == V2
    assert fold(of(Rollback), state=waiting).stable == V1


def test_an_undo_asks_nobody_and_does_not_bake() -> None:
    promoted = fold(of(Approve), state=fold(by_analyzer(Promote, asked := on_ramp(4, BAKED_AND_ASKED)), state=asked))
    undoing = fold(of(Undo), state=promoted)

    assert fold(by_analyzer(Promote, undoing), state=undoing).stable == ModelRef(uri=V1.uri, digest=V1.digest)


@pytest.mark.parametrize("holdback", [0, 100, -5, 50, 60, 0.00001, float("nan")])
def test_a_holdback_leaves_the_canary_more_than_the_last_step_and_stable_something(holdback: float) -> None:
    with pytest.raises(ValueError, match=r"holdback|bake"):
        replace(PLAN, bake=Bake(holdback=holdback))


def test_people_call_the_last_stage_the_bake() -> None:
    assert [stage_name(BAKED, step) for step in (1, 3, 4)] == ["step 1 of 3", "step 3 of 3", "the bake"]
    assert [is_bake(BAKED, step) for step in (3, 4)] == [False, True]
