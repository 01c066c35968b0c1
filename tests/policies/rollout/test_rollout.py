import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from coalmine.policies import (
    TRANSITIONS,
    VERBS,
    Advance,
    Approve,
    Command,
    Epoch,
    Freeze,
    Pause,
    Phase,
    Promote,
    Resume,
    Retry,
    Rollback,
    SetWeight,
    State,
    next_step,
    step_at,
)

from .rollouts import (
    FROZEN,
    PHASES,
    PLAN,
    V1,
    V2,
    V3,
    awaiting,
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


def test_the_first_start_brings_the_stable_model_of_the_file_and_waits() -> None:
    state = fold(start())

    assert (state.phase, state.attempt, state.weight) == (Phase.PENDING, 0, 0.0)
    assert (state.stable, state.canary, state.stables) == (V1, V2, {1: V1})


def test_a_stable_model_that_is_known_is_not_replaced_by_the_one_of_the_file() -> None:
    other_stable = replace(PLAN, stable=V3)

    assert fold(start(), of(Rollback), start(other_stable)).stable == V1


def test_automation_climbs_the_declared_steps_and_promotes_from_the_last() -> None:
    weights = [on_ramp(step).weight for step in range(4)]

    assert weights == [0, 10, 25, 50]
    assert (promoted().phase, promoted().weight, promoted().stable, promoted().canary) == (Phase.PROMOTED, 0, V2, None)
    assert promoted().stables == {1: V1, 5: V2}


def test_entering_a_step_notes_its_time_its_look_and_the_frozen_numbers() -> None:
    state = on_ramp(2)

    assert (state.step, state.step_since_ms, state.entered_look, state.frozen) == (2, 2_000, 7, FROZEN)


def test_a_message_says_where_the_rollout_is_and_why() -> None:
    assert on_ramp(2).message == "step 2 of 3: the canary gets 25 %"
    state = fold(of(Rollback, reason="errors rose"), state=on_ramp(2))
    assert state.message == "rolled back from 25 %: errors rose"


@pytest.mark.parametrize(("step", "at"), [(1, 1), (3, 1), (0, 1), (2, 0), (2, 3)])
def test_automation_enters_no_step_but_the_next(step: int, at: int) -> None:
    state = on_ramp(at)

    assert "does not follow" in refuse(state, enter(step, state))


def test_step_1_needs_the_frozen_numbers() -> None:
    state = on_ramp(0)

    assert "frozen" in refuse(state, by_analyzer(Advance, state, step=1))


def test_the_numbers_frozen_at_step_1_never_change_in_the_attempt() -> None:
    state = on_ramp(1)
    others = replace(FROZEN, error_rate=0.5)

    assert fold(by_analyzer(Advance, state, step=2, frozen=others), state=state).frozen == FROZEN


def test_a_step_with_approval_waits_for_a_person_at_its_weight() -> None:
    waiting = awaiting()

    assert (waiting.phase, waiting.step, waiting.weight) == (Phase.AWAITING_APPROVAL, 2, 25)
    assert fold(of(Approve, step=2), state=waiting).weight == 50
    assert "not step 3" in refuse(waiting, of(Approve, step=3))


def test_the_last_step_with_approval_is_promoted_by_a_person() -> None:
    last = fold(of(Approve), state=awaiting())
    waiting = fold(by_analyzer(Promote, last), state=last)

    assert waiting.phase is Phase.AWAITING_APPROVAL
    assert fold(of(Approve), state=waiting).phase is Phase.PROMOTED


def test_a_person_promotes_to_the_next_step_and_from_the_last_to_the_end() -> None:
    assert fold(of(Promote), state=on_ramp(1)).weight == 25
    assert fold(of(Promote), state=on_ramp(3)).phase is Phase.PROMOTED
    assert fold(of(Promote), state=awaiting()).weight == 50


def test_promote_full_ends_the_attempt_from_any_step() -> None:
    assert fold(of(Promote, full=True), state=on_ramp(1)).stable == V2


def test_nobody_promotes_before_the_numbers_are_frozen() -> None:
    pending = on_ramp(0)
    paused = fold(of(Pause), state=pending)

    assert "not frozen" in refuse(pending, of(Promote, full=True))
    assert "not frozen" in refuse(paused, of(Promote))
    assert "last step only" in refuse(pending, by_analyzer(Promote, pending))


def test_a_pause_keeps_the_weight_and_resume_goes_on_where_it_was() -> None:
    paused = fold(of(Pause), state=on_ramp(2))
    resumed = fold(of(Resume), state=paused)

    assert (paused.phase, paused.weight, paused.automatic) == (Phase.PAUSED, 25, False)
    assert (resumed.phase, resumed.weight, resumed.automatic) == (Phase.PROGRESSING, 25, True)
    assert resumed.step_since_ms == on_ramp(2).step_since_ms


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.PROGRESSING, Phase.AWAITING_APPROVAL, Phase.BAKING])
def test_resume_leads_back_to_the_phase_before_even_after_two_pauses(phase: Phase) -> None:
    assert fold(of(Pause), of(Pause), of(Resume), state=PHASES[phase]()).phase is phase


def test_a_person_may_climb_while_paused_and_automation_stays_paused() -> None:
    state = fold(of(Pause), of(Promote), state=on_ramp(1))

    assert (state.phase, state.weight) == (Phase.PAUSED, 25)
    assert fold(of(Resume), state=state).phase is Phase.PROGRESSING


@pytest.mark.parametrize(
    ("weight", "step", "following"),
    [(0, 0, 1), (5, 0, 1), (10, 1, 2), (12.5, 1, 2), (30, 2, 3), (50, 3, None), (99.9999, 3, None)],
)
def test_after_a_weight_by_hand_the_first_higher_step_comes_next(
    weight: float, step: int, following: int | None
) -> None:
    by_hand = fold(of(SetWeight, weight=weight), state=on_ramp(2))
    resumed = fold(of(Resume), state=by_hand)

    assert (by_hand.phase, by_hand.automatic, by_hand.weight) == (Phase.PAUSED, False, weight)
    assert (resumed.weight, resumed.step, next_step(resumed)) == (weight, step, following)


def test_the_message_of_a_weight_by_hand_says_what_comes_after_resume() -> None:
    by_hand = fold(of(SetWeight, weight=12.5), state=on_ramp(2))
    above = fold(of(SetWeight, weight=60), state=on_ramp(2))

    assert by_hand.message == "the weight was set to 12.5 % by hand; after resume comes step 2 (25 %)"
    assert "promotion comes next" in above.message


@pytest.mark.parametrize("weight", [-1, 100, 100.5, 0.00001, float("nan"), float("inf")])
def test_a_weight_that_cannot_be_routed_is_refused(weight: float) -> None:
    assert "with at most 4 decimals" in refuse(on_ramp(1), of(SetWeight, weight=weight))


def test_no_weight_is_set_before_the_canary_is_ready() -> None:
    paused = fold(of(Pause), state=on_ramp(0))

    assert "not ready" in refuse(paused, of(SetWeight, weight=5))
    assert "not possible" in refuse(on_ramp(0), of(SetWeight, weight=5))


def test_after_a_weight_by_hand_approval_is_still_asked_for() -> None:
    state = fold(of(SetWeight, weight=30), of(Resume), state=awaiting())

    assert fold(enter(3, state), state=state).phase is Phase.AWAITING_APPROVAL


def test_epochs_are_the_runs_of_equal_weight_of_the_attempt() -> None:
    state = fold(of(Pause), of(Freeze), of(Resume), of(SetWeight, weight=5), of(Rollback), state=on_ramp(2))

    assert state.epochs == (
        Epoch(first=1, last=1, weight=0, step=0),
        Epoch(first=2, last=2, weight=10, step=1),
        Epoch(first=3, last=6, weight=25, step=2),
        Epoch(first=7, last=7, weight=5, step=0),
    )


def test_the_epochs_of_an_attempt_that_is_on_end_open_and_begin_with_it() -> None:
    state = fold(of(Retry), state=rolled_back())

    assert state.epochs == (Epoch(first=5, last=None, weight=0, step=0),)


ANY_FIELDS: dict[str, dict[str, object]] = {"start": {"canary": V3, "replace": True}, "set_weight": {"weight": 20}}


def any_command(verb: str, state: State) -> Command:
    """Return a command that is right but for the phase."""
    return enter(state.step + 1, state) if verb == "advance" else of(VERBS[verb], **ANY_FIELDS.get(verb, {}))


OUTSIDE = [(phase, verb) for phase in TRANSITIONS for verb in VERBS if verb not in TRANSITIONS[phase]]
INSIDE = [(phase, verb) for phase in TRANSITIONS for verb in TRANSITIONS[phase]]


@pytest.mark.parametrize(("phase", "verb"), OUTSIDE)
def test_a_verb_outside_the_table_is_refused(phase: Phase, verb: str) -> None:
    state = PHASES[phase]()

    assert refuse(state, any_command(verb, state))


@pytest.mark.parametrize(("phase", "verb"), INSIDE)
def test_a_verb_of_the_table_leads_to_its_phases_only(phase: Phase, verb: str) -> None:
    state = PHASES[phase]()

    after, _ = put(state, any_command(verb, state))

    assert after.phase in TRANSITIONS[phase][verb].leads_to | {phase}


def test_the_table_has_every_phase_a_plan_can_reach() -> None:
    assert set(Phase) - set(TRANSITIONS) == {Phase.SHADOWING}
    reached = {phase for cells in TRANSITIONS.values() for cell in cells.values() for phase in cell.leads_to}
    assert reached == set(TRANSITIONS)


def test_a_step_is_the_last_one_whose_weight_is_reached() -> None:
    assert [step_at(PLAN, weight) for weight in (0, 9.9999, 10, 49, 50, 100)] == [0, 0, 1, 2, 3, 3]
    assert step_at(None, 50) == 0


def test_the_diagram_in_the_docs_is_drawn_from_the_table() -> None:
    drawing = runpy.run_path(str(Path(__file__).parents[3] / "docs" / "draw_rollout_states.py"))

    assert drawing["PAGE"].read_text(encoding="utf-8") == drawing["page"](), "run docs/draw_rollout_states.py"
