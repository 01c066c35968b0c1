"""Rows that stable answered for the canary: counted whatever the reason, held against a limit, never rolled back."""

import random
from dataclasses import replace

import msgspec
import pytest

from coalmine.policies import (
    By,
    Check,
    Counting,
    Cut,
    Decision,
    Judgement,
    Losses,
    Memory,
    Metric,
    Role,
    Status,
    Sums,
    Tally,
    counting_of,
    look,
)
from coalmine.streams.wire.messages import Outcome
from tests.policies.judging.looks import ERRORS, FROZEN, MINUTE, at_step, plan, seen
from tests.policies.scorecard.test_scorecard import row

RESCUED = Check(name="rescued", metric=Metric.FALLBACK_RATE, margin=0.05, limit=0.05, role=Role.SIGNAL)


def judged(rows: int, rescued: int, check: Check = RESCUED, by: By = By.KEY) -> Judgement:
    """Judge the second of two looks: by then stable has answered `rescued` of as many rows of the canary."""
    judged_plan = plan(replace(ERRORS, margin=0.02), check, by=by)
    state = at_step(judged_plan)
    canary = replace(seen(rows=4_000, calls=4_000), losses={"rescued": Losses.of_events(rows, rescued)})
    sums = {2: {"canary": canary, "stable": seen(rows=36_000, calls=4_000)}}
    entered = look(Memory.empty(judged_plan, FROZEN), Cut(number=1, now_ms=0), state)
    return look(entered.memory, Cut(number=2, now_ms=10 * MINUTE, sums=sums), state)


@pytest.mark.parametrize("by", list(By))
def test_fallbacks_above_the_limit_hold_the_ramp_and_are_named(by: By) -> None:
    judgement = judged(4_000, 400, by=by)

    assert (judgement.decision, judgement.reason) == (Decision.HOLD, "held by rescued until it is well again")
    assert judgement.findings[1].status is Status.FAIL
    assert "stable answered 10 % of 4,000 rows assigned to the canary" in judgement.findings[1].reason


def test_fallbacks_below_the_limit_do_not() -> None:
    judgement = judged(4_000, 100)

    assert (judgement.decision, judgement.findings[1].status) == (Decision.ADVANCE, Status.PASS)


def test_a_rate_above_the_limit_for_now_holds_before_it_is_certain() -> None:
    judgement = judged(30, 2)

    assert (judgement.decision, judgement.findings[1].status) == (Decision.HOLD, Status.INCONCLUSIVE)


def test_without_a_row_there_is_nothing_to_hold() -> None:
    judgement = judged(0, 0)

    assert (judgement.decision, judgement.findings[1].status) == (Decision.ADVANCE, Status.NO_DATA)


def test_as_information_they_hold_nothing() -> None:
    assert judged(4_000, 400, replace(RESCUED, role=Role.INFO)).decision is Decision.ADVANCE


@pytest.mark.parametrize("change", [{"role": Role.GUARDRAIL}, {"limit": None}, {"segment_by": "origin"}])
def test_a_check_on_fallbacks_has_a_limit_and_takes_nothing_back(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="fallback_rate"):
        replace(RESCUED, **change)  # type: ignore[arg-type]


def outcomes(number: int) -> list[Outcome]:
    rng = random.Random(16)
    return [row(rng, index) for index in range(number)]


def test_every_randomised_row_of_the_canary_is_counted_for_whatever_reason_stable_answered() -> None:
    rows = outcomes(400)
    tally = Tally()
    tally.fold(rows, counting_of(plan(ERRORS, RESCUED).analysis))
    mine = [r for r in rows if (r.revision, r.variant, r.mode, r.cohort) == (3, "canary", "live", None)]

    sums = tally.sums()[3]

    assert any(not r.evidence for r in mine)
    assert sums["canary"].losses == {"rescued": Losses.of_events(len(mine), sum(not r.ok for r in mine))}
    assert not sums["stable"].losses
    assert not sums.get("shadow", Sums()).losses


def test_a_batch_that_is_no_evidence_reaches_the_judge() -> None:
    lost = {"variant": "canary", "mode": "live", "cohort": None, "evidence": False, "ok": False, "revision": 2}
    blocked = [msgspec.structs.replace(each, **lost) for each in outcomes(100)]
    tally = Tally()
    tally.fold(blocked, Counting(fallbacks=("rescued",)))
    judged_plan = plan(ERRORS, RESCUED)

    judgement = look(
        Memory.empty(judged_plan, FROZEN), Cut(number=1, now_ms=0, sums=tally.sums()), at_step(judged_plan)
    )

    assert judgement.findings[1].n["canary"] == 100
    assert judgement.findings[1].status is Status.FAIL
