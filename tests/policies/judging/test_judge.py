"""What a look decides: when it moves up, when it holds, when it takes the canary back."""

from dataclasses import replace

import pytest

from coalmine.policies import Decision, Memory, OnInsufficient, Phase, Role, State, Status, Step, Sums, Verdict, look

from .looks import ERRORS, FROZEN, MINUTE, SLOW, at_step, cut, growing, judged, plan, run, seen

GOOD_CANARY, GOOD_STABLE = seen(rows=4_000, calls=2_000), seen(rows=36_000, calls=2_000)
BAD_CANARY, BAD_STABLE = seen(rows=400, faults=24, calls=40), seen(rows=3_600, faults=36, calls=40)


# --- upwards ---


def test_a_canary_without_faults_goes_up_one_step() -> None:
    judgement = judged(plan(), GOOD_CANARY, GOOD_STABLE)

    assert (judgement.decision, judgement.verdict) == (Decision.ADVANCE, Verdict.PASS)
    assert judgement.reason == "every check has passed on step 1 of 2"


def test_the_last_step_ends_in_promotion() -> None:
    judgement = judged(plan(), seen(rows=9_000, calls=4_000), seen(rows=9_000, calls=4_000), step=2)

    assert judgement.decision is Decision.PROMOTE


def test_equal_error_rates_are_promoted_too() -> None:
    canary, stable = seen(rows=20_000, faults=100, calls=2_000), seen(rows=180_000, faults=900, calls=2_000)

    assert judged(plan(), canary, stable).decision is Decision.ADVANCE


def test_nothing_goes_up_before_its_hold_is_over() -> None:
    early = judged(plan(), GOOD_CANARY, GOOD_STABLE, after_ms=MINUTE - 1)

    assert (early.decision, early.verdict) == (Decision.HOLD, Verdict.PASS)
    assert early.reason == "step 1 of 2 at 10 %: 60 s of 1 min"


def test_nothing_goes_up_before_its_samples_are_there() -> None:
    wide = plan(replace(ERRORS, margin=0.4))

    early = judged(wide, seen(rows=99, calls=99), seen(rows=900, calls=100))
    later = judged(wide, seen(rows=100, calls=100), seen(rows=900, calls=100))

    assert (early.decision, early.samples) == (Decision.HOLD, 99)
    assert later.decision is Decision.ADVANCE


def test_rows_of_an_earlier_step_are_no_samples_of_this_one() -> None:
    wide = plan(replace(ERRORS, margin=0.4))
    state, sums = at_step(wide, 2), {2: {"canary": GOOD_CANARY, "stable": GOOD_STABLE}}

    entered = look(Memory.empty(wide, FROZEN), replace(cut(Sums(), Sums()), sums=sums), state)
    later = look(entered.memory, replace(cut(Sums(), Sums(), 2, 10 * MINUTE), sums=sums), state)

    assert (later.decision, later.samples) == (Decision.HOLD, 0)


def test_the_hold_counts_from_the_look_that_first_saw_the_step() -> None:
    judged_plan = plan()
    before = judged(judged_plan, GOOD_CANARY, GOOD_STABLE)
    more = cut(GOOD_CANARY + GOOD_CANARY, GOOD_STABLE + GOOD_STABLE, 3, 11 * MINUTE)
    also = replace(more, sums={**more.sums, 3: {"canary": GOOD_STABLE, "stable": GOOD_STABLE}})

    first = look(before.memory, also, at_step(judged_plan, 2))
    second = look(first.memory, replace(also, number=4, now_ms=12 * MINUTE), at_step(judged_plan, 2))

    assert (first.decision, second.decision) == (Decision.HOLD, Decision.PROMOTE)


def test_a_weight_set_by_hand_starts_the_hold_anew() -> None:
    judged_plan = plan()
    before = judged(judged_plan, GOOD_CANARY, GOOD_STABLE)
    by_hand = replace(at_step(judged_plan), weight=20.0)

    first = look(before.memory, cut(GOOD_CANARY, GOOD_STABLE, 3, 11 * MINUTE), by_hand)
    second = look(first.memory, cut(GOOD_CANARY, GOOD_STABLE, 4, 12 * MINUTE), by_hand)

    assert (first.decision, second.decision) == (Decision.HOLD, Decision.ADVANCE)


def test_a_clock_that_runs_backwards_neither_ends_nor_restarts_a_hold() -> None:
    judged_plan = plan()
    first = judged(judged_plan, seen(rows=1), seen(rows=9), after_ms=MINUTE)

    second = look(first.memory, cut(GOOD_CANARY, GOOD_STABLE, 3, -MINUTE), at_step(judged_plan))

    assert second.decision is Decision.ADVANCE
    assert second.memory.now_ms == MINUTE


def test_a_margin_is_looser_on_an_early_step() -> None:
    canary, stable = seen(rows=700, calls=700), seen(rows=6_300, calls=700)

    assert judged(plan(), canary, stable, step=1).findings[0].margin == pytest.approx(0.01)
    assert judged(plan(), canary, stable, step=1).decision is Decision.ADVANCE
    assert judged(plan(), canary, stable, step=2).decision is Decision.HOLD


def test_every_unit_must_pass_not_rows_alone() -> None:
    judgement = judged(plan(), seen(rows=4_000, calls=20), seen(rows=36_000, calls=20))

    assert judgement.decision is Decision.HOLD
    assert "20 calls failed whole" in judgement.reason


def test_a_check_that_passed_tells_of_rows_and_one_that_waits_of_what_it_waits_for() -> None:
    passed = judged(plan(), seen(rows=4_000, calls=4_000), seen(rows=36_000, calls=36_000)).findings[0]
    waits = judged(plan(), seen(rows=4_000, calls=20), seen(rows=36_000, calls=20)).findings[0]

    assert (passed.status, passed.measure, passed.n["canary"]) == (Status.PASS, "rows", 4_000)
    assert "of 4,000 rows failed" in passed.reason
    assert (waits.status, waits.measure, waits.n["canary"]) == (Status.INCONCLUSIVE, "calls", 20)


def test_every_guardrail_must_pass() -> None:
    tight = replace(SLOW, margin=0.002)

    judgement = judged(
        plan(ERRORS, tight), replace(GOOD_CANARY, call_ms={600: 20}), replace(GOOD_STABLE, call_ms={600: 20})
    )

    assert judgement.decision is Decision.HOLD
    assert judgement.reason.startswith("slow: not yet shown to be within 0.4 pp")
    assert [finding.status for finding in judgement.findings] == [Status.PASS, Status.INCONCLUSIVE]


def test_a_canary_that_was_good_and_is_bad_now_is_not_promoted() -> None:
    judged_plan = plan(replace(ERRORS, margin=0.02, tolerance=0.02), steps=[Step(weight=10, hold_ms=140_000)])
    state = at_step(judged_plan)
    good = growing(seen(rows=40, calls=40), seen(rows=360, calls=40), 60)
    late = good[-1].sums[2]
    cuts = good + [
        cut(late["canary"] + each.sums[2]["canary"], late["stable"] + each.sums[2]["stable"], 60 + each.number,
            (60 + each.number) * 1_000)
        for each in growing(seen(rows=40, faults=2, calls=40), seen(rows=360, calls=40), 100)
    ]  # fmt: skip

    judgements = run(judged_plan, state, cuts)

    promotion = [j.findings[0].log_e_promotion or 0.0 for j in judgements]
    assert max(promotion) >= 3.0 > promotion[-1]
    assert {j.decision for j in judgements} == {Decision.HOLD}


# --- what holds ---


def test_missing_evidence_holds() -> None:
    judgement = judged(plan(), GOOD_CANARY, GOOD_STABLE, missing=("partition 2 lags behind",))

    assert judgement.decision is Decision.HOLD
    assert judgement.reason == "step 1 of 2 at 10 %: evidence is not complete: partition 2 lags behind"


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.AWAITING_APPROVAL])
def test_a_person_at_the_wheel_leaves_only_rollback_to_automation(phase: Phase) -> None:
    judged_plan = plan()
    state = at_step(judged_plan, phase=phase)

    good = run(judged_plan, state, [cut(GOOD_CANARY, GOOD_STABLE), cut(GOOD_CANARY, GOOD_STABLE, 2, 10 * MINUTE)])
    bad = run(judged_plan, state, [cut(BAD_CANARY, BAD_STABLE)])

    assert [j.decision for j in good] == [Decision.HOLD] * 2
    assert bad[0].decision is Decision.ROLLBACK


def test_without_a_canary_row_there_is_no_data_and_no_move() -> None:
    judgement = judged(plan(), Sums(), GOOD_STABLE)

    assert judgement.findings[0].status is Status.NO_DATA
    assert (judgement.decision, judgement.verdict) == (Decision.HOLD, Verdict.UNDECIDED)


def test_a_failing_signal_holds_and_lets_go_by_itself() -> None:
    judged_plan = plan(ERRORS, replace(SLOW, role=Role.SIGNAL))

    held = judged(judged_plan, seen(rows=4_000, calls=2_000, slow=90), GOOD_STABLE)
    well = judged(judged_plan, seen(rows=4_000, calls=2_000), GOOD_STABLE)

    assert (held.decision, held.reason) == (Decision.HOLD, "held by slow until it is well again")
    assert well.decision is Decision.ADVANCE


@pytest.mark.parametrize("change", [{"role": Role.INFO}, {"dry_run": True}])
def test_what_is_only_shown_neither_holds_nor_rolls_back(change: dict[str, object]) -> None:
    judged_plan = plan(ERRORS, replace(SLOW, **change))  # type: ignore[arg-type]

    judgement = judged(judged_plan, seen(rows=4_000, calls=2_000, slow=1_500), GOOD_STABLE)

    assert judgement.decision is Decision.ADVANCE
    assert judgement.findings[1].status is Status.FAIL


# --- rollback ---


def test_a_worse_canary_is_taken_back_before_its_samples_are_there() -> None:
    judgement = judged(plan(), seen(rows=60, faults=9), seen(rows=540, faults=5), after_ms=1)

    assert (judgement.decision, judgement.verdict) == (Decision.ROLLBACK, Verdict.FAIL)
    assert judgement.reason == "errors got worse with the canary: canary 15 % of 60 rows failed, stable 0.93 % of 540"
    assert judgement.hard_limit is None


def test_calls_that_fail_whole_take_a_canary_back() -> None:
    judgement = judged(plan(), seen(rows=400, calls=40, failed=9), seen(rows=3_600, calls=40))

    assert judgement.decision is Decision.ROLLBACK
    assert "22 % of 40 calls failed whole" in judgement.reason


def test_slow_calls_take_a_canary_back() -> None:
    judgement = judged(plan(SLOW), seen(calls=60, slow=12), seen(calls=60, slow=1))

    assert judgement.decision is Decision.ROLLBACK
    assert "took longer than 50 ms" in judgement.reason


def test_missing_evidence_does_not_stop_a_rollback() -> None:
    assert judged(plan(), BAD_CANARY, BAD_STABLE, missing=("partition 2 lags",)).decision is Decision.ROLLBACK


def test_a_better_canary_is_never_taken_back() -> None:
    assert judged(plan(), seen(rows=400), seen(rows=3_600, faults=360)).decision is Decision.HOLD


def test_a_tolerated_difference_is_no_reason_for_rollback() -> None:
    canary, stable = seen(rows=20_000, faults=260, calls=99), seen(rows=180_000, faults=1_800, calls=99)

    assert judged(plan(), canary, stable).decision is Decision.ROLLBACK
    assert judged(plan(replace(ERRORS, tolerance=0.005)), canary, stable).decision is Decision.HOLD


def test_a_difference_beyond_the_tolerance_is_one() -> None:
    canary, stable = seen(rows=20_000, faults=600, calls=99), seen(rows=180_000, faults=1_800, calls=99)

    judgement = judged(plan(replace(ERRORS, tolerance=0.005)), canary, stable)

    assert judgement.decision is Decision.ROLLBACK
    assert "worse than stable by more than 0.5 pp" in judgement.findings[0].reason


def test_one_loud_check_must_outweigh_the_silent_ones() -> None:
    canary, stable = seen(rows=130, faults=8, calls=40), seen(rows=1_170, faults=9, calls=40)
    silent = [replace(SLOW, name=f"slow{n}", slower_than_ms=50.0) for n in range(7)]

    alone, among_many = judged(plan(), canary, stable), judged(plan(ERRORS, *silent), canary, stable)

    assert alone.decision is Decision.ROLLBACK
    assert among_many.decision is Decision.HOLD
    assert among_many.log_e_rollback < alone.log_e_rollback


def test_two_bad_variants_break_an_absolute_limit() -> None:
    both_bad = seen(rows=400, faults=60, calls=40), seen(rows=3_600, faults=540, calls=40)

    limited = judged(plan(replace(ERRORS, limit=0.05)), *both_bad)

    assert judged(plan(), *both_bad).decision is Decision.HOLD
    assert (limited.decision, limited.hard_limit) == (Decision.ROLLBACK, "limit")
    assert limited.reason.startswith("errors is above its limit of 5.0 %: canary 15 % of 400 rows failed")
    assert (limited.findings[0].measure, limited.findings[0].n["canary"]) == ("rows", 400)


def test_one_fault_in_three_rows_breaks_no_limit() -> None:
    assert judged(plan(replace(ERRORS, limit=0.05)), seen(rows=3, faults=1), seen(rows=27)).decision is Decision.HOLD


def test_a_canary_above_its_limit_for_now_is_not_promoted() -> None:
    canary, stable = seen(rows=9_000, faults=460, calls=2_000), seen(rows=81_000, faults=4_200, calls=2_000)

    judgement = judged(plan(replace(ERRORS, margin=0.05, limit=0.05)), canary, stable)

    assert judgement.decision is Decision.HOLD
    finding = judgement.findings[0]
    assert "above the limit of 5.0 % now" in finding.reason
    assert f"of {finding.n['canary']:,} {finding.measure}" in finding.reason


# --- the deadline ---

LATE = {
    OnInsufficient.HOLD: Decision.HOLD,
    OnInsufficient.PAUSE: Decision.PAUSE,
    OnInsufficient.ROLLBACK: Decision.ROLLBACK,
}


@pytest.mark.parametrize("wanted", list(OnInsufficient))
def test_a_deadline_without_an_answer_ends_as_the_plan_wants(wanted: OnInsufficient) -> None:
    judged_plan = plan(on_insufficient=wanted, deadline_ms=5 * MINUTE)

    judgement = judged(judged_plan, seen(rows=120, calls=9), seen(rows=900, calls=9))

    assert (judgement.decision, judgement.verdict) == (LATE[wanted], Verdict.INCONCLUSIVE)


@pytest.mark.parametrize("wanted", [OnInsufficient.PAUSE, OnInsufficient.ROLLBACK])
def test_a_deadline_ends_a_ramp_in_the_middle_but_not_at_its_last_gate(wanted: OnInsufficient) -> None:
    judged_plan = plan(on_insufficient=wanted, deadline_ms=5 * MINUTE)

    middle = judged(judged_plan, GOOD_CANARY, GOOD_STABLE)
    last = judged(judged_plan, GOOD_STABLE, GOOD_STABLE, step=2)

    assert middle.decision is LATE[wanted]
    assert last.decision is Decision.PROMOTE


def test_a_deadline_does_not_run_against_a_person() -> None:
    judged_plan = plan(on_insufficient=OnInsufficient.ROLLBACK, deadline_ms=5 * MINUTE)
    paused = at_step(judged_plan, phase=Phase.PAUSED)

    judgements = run(judged_plan, paused, [cut(Sums(), Sums()), cut(Sums(), Sums(), 2, 9 * MINUTE)])

    assert [j.decision for j in judgements] == [Decision.HOLD] * 2


# --- findings ---


def test_a_finding_carries_what_explains_it() -> None:
    limited = plan(replace(ERRORS, limit=0.2), replace(SLOW, tolerance=0.01))

    errors, slow = judged(limited, seen(rows=900, faults=9, calls=90), seen(rows=8_100, faults=81, calls=90)).findings

    assert errors.values["rows.canary_events"] == 9
    assert errors.values["rows.log_e_promotion"] >= (errors.log_e_promotion or 0.0)
    assert errors.values["limit"] == 0.2
    assert (errors.n, errors.estimate) == ({"stable": 90, "canary": 90}, 0.0)
    assert errors.interval is not None
    assert errors.interval[0] < 0.0 < errors.interval[1]
    assert slow.values["slower_than_ms"] == 50.0
    assert slow.values["weight"] == errors.values["weight"] == 0.5


def test_a_state_without_a_plan_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="no plan"):
        look(Memory.empty(plan(), FROZEN), cut(Sums(), Sums()), State(rollout="flights"))
