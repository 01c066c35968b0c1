"""What a look decides at the end of a plan: in the bake, outside the windows, and where a person decides."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from coalmine.policies import (
    Bake,
    Day,
    Decision,
    Judgement,
    Memory,
    OnInsufficient,
    OnSuccess,
    Phase,
    Plan,
    Step,
    Sums,
    Verdict,
    Window,
    look,
)

from .looks import FROZEN, MINUTE, at_step, cut, judged, plan, seen

GOOD = seen(rows=9_000, calls=4_000), seen(rows=9_000, calls=4_000)
TENTH = seen(rows=4_000, calls=2_000), seen(rows=36_000, calls=2_000)
BAKED = replace(plan(steps=(Step(weight=50, hold_ms=MINUTE, margin_factor=2),)), bake=Bake(hold_ms=10 * MINUTE))
OFFICE = Window(days=(Day.MON,), opens_minute=9 * 60, closes_minute=17 * 60, zone="Europe/Berlin")
MONDAY_8_UTC = int(datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp()) * 1_000
"""9 o'clock in Berlin."""


def judged_at(
    judged_plan: Plan, ms: int, canary: Sums = TENTH[0], stable: Sums = TENTH[1], **more: object
) -> Judgement:
    """Judge step 1 ten minutes after it was entered, at `ms`."""
    state = at_step(judged_plan)
    entered = look(Memory.empty(judged_plan, FROZEN), cut(Sums(), Sums(), now_ms=ms - 10 * MINUTE), state)
    return look(entered.memory, cut(canary, stable, 2, ms), state)


def baked(canary: Sums, stable: Sums, after_ms: int = 11 * MINUTE) -> Judgement:
    """Judge the bake of `BAKED` some time after it was entered."""
    state = at_step(BAKED, 2, Phase.BAKING)
    entered = look(Memory.empty(BAKED, FROZEN), cut(Sums(), Sums()), state)
    return look(entered.memory, cut(canary, stable, 2, after_ms, revision=3), state)


def test_the_last_step_leads_into_the_bake() -> None:
    judgement = judged(BAKED, *GOOD)

    assert (judgement.decision, judgement.reason) == (Decision.ADVANCE, "every check has passed on step 1 of 1")


def test_the_bake_is_promoted_with_stable_as_the_small_side() -> None:
    judgement = baked(seen(rows=190_000, calls=20_000), seen(rows=10_000, calls=10_000))

    assert judgement.decision is Decision.PROMOTE
    assert judgement.reason == "every check has passed on the bake, the last one"


def test_the_bake_claims_the_whole_margin_whatever_the_last_step_claimed() -> None:
    assert judged(BAKED, *GOOD).findings[0].margin == pytest.approx(0.01)
    assert baked(*GOOD).findings[0].margin == pytest.approx(0.005)


def test_the_bake_is_held_for_its_time() -> None:
    early = baked(seen(rows=190_000, calls=20_000), seen(rows=10_000, calls=10_000), after_ms=5 * MINUTE)

    assert (early.decision, early.reason) == (Decision.HOLD, "the bake at 95 %: 5 min of 10 min")


def test_a_canary_that_gets_worse_in_the_bake_is_rolled_back() -> None:
    judgement = baked(seen(rows=19_000, faults=1_140, calls=2_000), seen(rows=1_000, faults=10, calls=1_000))

    assert judgement.decision is Decision.ROLLBACK


def test_where_a_person_decides_the_look_says_so() -> None:
    asked = replace(plan(), on_success=OnSuccess.APPROVAL)

    last = judged(asked, *GOOD, step=2)

    assert last.decision is Decision.PROMOTE
    assert last.reason == "every check has passed on step 2 of 2, the last one; a person decides"


def test_outside_the_windows_a_canary_that_has_passed_waits_and_the_look_says_until_when() -> None:
    judgement = judged_at(replace(plan(), windows=(OFFICE,)), MONDAY_8_UTC - 1)

    assert (judgement.decision, judgement.verdict) == (Decision.HOLD, Verdict.PASS)
    assert judgement.reason == (
        "every check has passed on step 1 of 2; outside the windows until Mon 2026-03-02 09:00 Europe/Berlin"
    )


def test_inside_the_windows_it_goes_up() -> None:
    assert judged_at(replace(plan(), windows=(OFFICE,)), MONDAY_8_UTC).decision is Decision.ADVANCE


def test_a_rollback_knows_no_windows() -> None:
    bad = seen(rows=400, faults=24, calls=40), seen(rows=3_600, faults=36, calls=40)

    assert judged_at(replace(plan(), windows=(OFFICE,)), MONDAY_8_UTC - 1, *bad).decision is Decision.ROLLBACK


def test_what_else_is_missing_is_told_before_the_windows() -> None:
    few = seen(rows=10, calls=10), seen(rows=90, calls=10)

    assert "10 of 100 canary rows" in judged_at(replace(plan(), windows=(OFFICE,)), MONDAY_8_UTC - 1, *few).reason


def test_a_canary_that_waits_for_a_window_only_has_its_answer_although_the_deadline_is_over() -> None:
    late = plan(
        steps=(Step(weight=50, hold_ms=MINUTE),), deadline_ms=5 * MINUTE, on_insufficient=OnInsufficient.ROLLBACK
    )

    judgement = judged_at(replace(late, windows=(OFFICE,)), MONDAY_8_UTC - 1, *GOOD)

    assert (judgement.decision, judgement.verdict) == (Decision.HOLD, Verdict.PASS)
