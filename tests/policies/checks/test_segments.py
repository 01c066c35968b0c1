"""Segments: frozen values, a gate of their own in the last steps, and a reason that names the worst of them."""

from dataclasses import replace

from coalmine.policies import (
    Cut,
    Decision,
    FrozenNumbers,
    Judgement,
    Losses,
    Memory,
    Metric,
    Plan,
    Step,
    Sums,
    Verdict,
    frozen_numbers,
    look,
)
from coalmine.policies.judging.freezing import MOST_SEGMENTS
from tests.policies.judging.looks import ERRORS, MINUTE, at_step, plan, seen

BY_CARRIER = replace(ERRORS, name="by-carrier", margin=0.05, segment_by="carrier")
STEPS = tuple(Step(weight=weight, hold_ms=0) for weight in (10, 25, 50))
CARRIERS = ("UA", "MQ")


def history(**rows: int) -> Sums:
    losses = {f"by-carrier/{value}": Losses.of_events(n, n // 100) for value, n in rows.items()}
    return replace(seen(rows=5_000, faults=50, calls=500), losses=losses)


def numbers() -> FrozenNumbers:
    frozen = frozen_numbers(history(UA=4_000, MQ=500, tiny=20), plan(ERRORS, BY_CARRIER))
    assert isinstance(frozen, FrozenNumbers)
    return replace(frozen, segments={"by-carrier": CARRIERS})


def traffic(rows: int, rates: dict[str, float]) -> Sums:
    """Rows of UA, and a twelfth as many of MQ, that fail at these rates."""
    counts = {"UA": rows * 12 // 13, "MQ": rows // 13}
    losses = {f"by-carrier/{value}": Losses.of_events(n, round(n * rates[value])) for value, n in counts.items()}
    faults = sum(round(each.loss) for each in losses.values())
    return replace(seen(rows=rows, faults=faults, calls=rows), losses=losses)


def judged_in(step: int, canary: dict[str, float], judged_plan: Plan | None = None) -> Judgement:
    """Judge the last of 20 looks in a step whose canary fails at these rates, stable at 1 %."""
    judged_plan = judged_plan or plan(ERRORS, BY_CARRIER, steps=STEPS)
    state, memory = at_step(judged_plan, step), Memory.empty(judged_plan, numbers())
    beside = (100 - state.weight) / state.weight
    for number in range(1, 21):
        mine = traffic(650 * number, canary)
        others = traffic(round(650 * number * beside), {"UA": 0.01, "MQ": 0.01})
        sums = {step + 1: {"canary": mine, "stable": others}}
        judgement = look(memory, Cut(number=number, now_ms=number * MINUTE, sums=sums), state)
        memory = judgement.memory
    return judgement


def test_the_values_with_most_traffic_are_compared_and_all_others_together() -> None:
    many = {f"C{n:02}": 100 + n for n in range(30)}

    frozen = frozen_numbers(history(**many, other=9_000), plan(ERRORS, BY_CARRIER))

    assert isinstance(frozen, FrozenNumbers)
    assert frozen.segments["by-carrier"] == tuple(f"C{n:02}" for n in range(29, 29 - MOST_SEGMENTS, -1))


def test_a_segment_that_got_worse_takes_the_canary_back_although_the_total_got_better() -> None:
    judgement = judged_in(3, {"UA": 0.0, "MQ": 0.16})

    assert judgement.decision is Decision.ROLLBACK
    assert "where carrier is MQ" in judgement.reason


def test_segments_do_not_hold_the_first_steps() -> None:
    rare = {"UA": 0.01, "MQ": 0.01}

    assert judged_in(1, rare).decision is Decision.ADVANCE


def test_a_segment_without_evidence_holds_the_last_steps_and_is_named() -> None:
    judged_plan = plan(ERRORS, replace(BY_CARRIER, margin=0.006), steps=STEPS)

    judgement = judged_in(3, {"UA": 0.01, "MQ": 0.01}, judged_plan)

    assert judgement.verdict is Verdict.UNDECIDED
    assert "by-carrier: not yet shown to be within 0.6 pp: where carrier is MQ" in judgement.reason


def test_rows_of_a_value_that_was_not_frozen_are_compared_as_other() -> None:
    judged_plan = plan(ERRORS, BY_CARRIER, steps=STEPS)
    state = at_step(judged_plan, 3)
    losses = {"by-carrier/new": Losses.of_events(70, 7), "by-carrier/other": Losses.of_events(30, 1)}
    sums = {4: {"canary": replace(seen(rows=100), losses=losses), "stable": seen(rows=100)}}

    judgement = look(Memory.empty(judged_plan, numbers()), Cut(number=1, now_ms=0, sums=sums), state)

    values = judgement.findings[1].values
    assert (values["rows/other.canary"], values["rows/other.canary_events"]) == (100, 8)


def test_checks_by_segment_have_their_own_share_of_the_decision() -> None:
    findings = judged_in(1, {"UA": 0.01, "MQ": 0.01}).findings

    assert [finding.values["weight"] for finding in findings] == [0.85, 0.15]
    assert ERRORS.metric is Metric.ERROR_RATE
