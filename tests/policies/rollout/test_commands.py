from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from coalmine.policies import (
    FOREVER_MS,
    Advance,
    Applied,
    Approve,
    At,
    Command,
    Freeze,
    Pause,
    Phase,
    Promote,
    Resume,
    Retry,
    Rollback,
    SetWeight,
    Start,
    Undo,
    Unfreeze,
    advance,
    is_frozen,
)

from .rollouts import (
    PHASES,
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
)


@pytest.mark.parametrize(
    ("phase", "kind", "fields"),
    [
        (Phase.ROLLED_BACK, Start, {"canary": V2}),
        (Phase.ROLLED_BACK, Retry, {}),
        (Phase.PROGRESSING, Promote, {}),
        (Phase.AWAITING_APPROVAL, Approve, {}),
    ],
)
def test_a_freeze_refuses_what_leads_upwards_until_its_end(
    phase: Phase, kind: type[Command], fields: dict[str, object]
) -> None:
    frozen = fold(of(Freeze, until=datetime.fromtimestamp(50, UTC)), state=PHASES[phase]())
    command = of(kind, **fields)

    assert "unfreeze first" in refuse(frozen, command, ms=49_999)
    assert isinstance(put(frozen, command, ms=50_000)[1], Applied)
    assert isinstance(put(fold(of(Unfreeze), state=frozen), command, ms=49_999)[1], Applied)


def test_a_freeze_stops_automation_but_no_rollback() -> None:
    state = fold(of(Freeze), state=on_ramp(1))

    assert "unfreeze first" in refuse(state, enter(2, state))
    assert state.freeze_until_ms == FOREVER_MS
    assert fold(of(Rollback), state=state).phase is Phase.ROLLED_BACK


def test_a_freeze_does_not_stop_the_way_back_to_the_former_model() -> None:
    state = fold(of(Freeze), of(Undo), state=promoted())

    assert fold(by_analyzer(Promote, state), state=state).stable == V1
    assert "unfreeze first" in refuse(state, of(Start, canary=V3, replace=True))


def test_freeze_keeps_phase_weight_and_message() -> None:
    before = on_ramp(2)

    after, effect = put(before, of(Freeze, reason="holidays"))

    assert isinstance(effect, Applied)
    assert effect.message == "frozen until unfreeze: holidays"
    assert (after.phase, after.weight, after.message) == (before.phase, before.weight, before.message)


def test_a_freeze_that_is_over_already_is_refused() -> None:
    past = datetime.fromtimestamp(1, UTC)

    assert "in the past" in refuse(on_ramp(1), of(Freeze, until=past))
    assert "no freeze is on" in refuse(on_ramp(1), of(Unfreeze))
    assert not is_frozen(on_ramp(1), 0)


def test_a_stale_revision_is_refused_with_both_revisions() -> None:
    reason = refuse(on_ramp(2), of(Pause, expected_revision=2))

    assert reason == "revision is 3, the command expected 2: look at the rollout again and repeat"
    assert "expected 4" in refuse(on_ramp(2), of(Pause, expected_revision=4))


@pytest.mark.parametrize("phase", PHASES)
def test_a_copy_has_no_effect_and_no_record(phase: Phase) -> None:
    command = of(Rollback, command_id="once")
    state = fold(command, state=PHASES[phase]())

    after, effects = advance(state, command, At(state.control_offset + 1, 99_000))

    assert effects == ()
    assert after == replace(state, control_offset=state.control_offset + 1)


def test_a_refused_command_is_not_tried_again_by_its_copy() -> None:
    resume = of(Resume, command_id="early")
    refused, _ = put(on_ramp(1), resume)
    paused = fold(of(Pause), state=refused)

    assert advance(paused, resume, At(99, 0))[1] == ()


def test_a_command_without_an_id_is_named_after_its_offset_and_never_a_copy() -> None:
    state = on_ramp(1)
    claimed = fold(of(Pause, command_id=f"control@{state.control_offset + 2}"), state=state)

    _, effect = put(claimed, of(Rollback))

    assert isinstance(effect, Applied)
    assert effect.command_id == f"control@{state.control_offset + 2}"


def test_the_ids_of_copies_are_bounded() -> None:
    state = fold(*[of(Freeze, command_id=str(number)) for number in range(1_500)])

    assert state.seen == tuple(str(number) for number in range(500, 1_500))


def test_a_record_that_was_folded_before_changes_nothing() -> None:
    state = on_ramp(2)

    assert advance(state, of(Rollback), At(state.control_offset, 0)) == (state, ())


def test_a_command_of_another_rollout_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="other"):
        advance(on_ramp(1), Rollback(rollout="other"), At(9, 0))


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 1, 12, tzinfo=UTC),
        datetime(2026, 1, 1, 12),
        datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_a_command_expires_by_the_append_time_of_its_record(moment: datetime) -> None:
    noon_ms = 1_767_268_800_000
    state = on_ramp(1)

    assert isinstance(put(state, of(Rollback, expires=moment), ms=noon_ms)[1], Applied)
    assert "expired at 2026-01-01" in refuse(state, of(Rollback, expires=moment), ms=noon_ms + 1)


@pytest.mark.parametrize("kind", [Start, SetWeight, Resume, Approve, Freeze, Unfreeze, Retry, Undo])
def test_automation_may_not_do_what_is_a_persons(kind: type[Command]) -> None:
    fields: dict[type[Command], dict[str, object]] = {Start: {"canary": V2}, SetWeight: {"weight": 5}}

    reason = refuse(on_ramp(1), by_analyzer(kind, on_ramp(1), **fields.get(kind, {})))

    assert reason == f"automation may not {kind.verb()}: a person must"


def test_a_person_may_not_advance() -> None:
    assert "use promote" in refuse(on_ramp(1), of(Advance, step=2))


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.AWAITING_APPROVAL])
def test_while_a_person_is_waited_for_automation_may_only_roll_back(phase: Phase) -> None:
    state = PHASES[phase]()

    assert "not possible" in refuse(state, enter(state.step + 1, state))
    assert "only a person" in refuse(state, by_analyzer(Promote, state))
    assert fold(by_analyzer(Rollback, state), state=state).phase is Phase.ROLLED_BACK


@pytest.mark.parametrize("fields", [{"full": True}, {}])
def test_automation_promotes_from_the_last_step_only(fields: dict[str, object]) -> None:
    state = on_ramp(1)

    assert "last step only" in refuse(state, by_analyzer(Promote, state, **fields))


def test_automation_must_say_what_it_judged() -> None:
    state = on_ramp(1)

    assert "name the revision" in refuse(state, by_analyzer(Pause, state, expected_revision=None))
    assert "name the attempt" in refuse(state, by_analyzer(Rollback, state, attempt=None))
