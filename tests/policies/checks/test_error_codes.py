"""Errors by code: rows and calls that failed with one code decide, under both routings, and no other code does."""

from dataclasses import replace

import pytest

from coalmine.policies import (
    FAULT_CODES,
    By,
    Check,
    Cut,
    Decision,
    FrozenNumbers,
    Judgement,
    Losses,
    Memory,
    Metric,
    Sums,
    counting_of,
    frozen_numbers,
    look,
)
from coalmine.streams.wire.messages import Fault
from tests.policies.judging.looks import ERRORS, MINUTE, at_step, plan, seen, spread

BROKEN = Check(name="broken", metric=Metric.ERROR_CODE, margin=0.005, code="bad_output")
INFO = replace(ERRORS, dry_run=True)


def failing(rows: int, faults: int, code: str = "bad_output", failed: int = 0) -> Sums:
    """Rows and as many calls, of which some fail with a code: `faults` rows by themselves, `failed` calls whole."""
    named = faults if code == BROKEN.code else 0
    return replace(
        seen(rows=rows, faults=faults, calls=rows, failed=failed),
        row_faults={code: faults} if faults else {},
        call_faults={code: failed} if failed else {},
        losses={"broken": Losses.of_events(rows, named, spread(rows), spread(named))},
    )


def frozen() -> FrozenNumbers:
    found = frozen_numbers(failing(5_000, 50, failed=5), plan(BROKEN))
    assert isinstance(found, FrozenNumbers)
    return found


def judged(by: By, canary: Sums, stable: Sums) -> Judgement:
    """Judge ten looks that add the same at each."""
    judged_plan = plan(INFO, BROKEN, by=by)
    memory, state = Memory.empty(judged_plan, frozen()), at_step(judged_plan)
    sums = {"canary": canary, "stable": stable}
    judgement = look(memory, Cut(number=1, now_ms=MINUTE, sums={2: sums}), state)
    for number in range(2, 11):
        sums = {"canary": sums["canary"] + canary, "stable": sums["stable"] + stable}
        judgement = look(judgement.memory, Cut(number=number, now_ms=number * MINUTE, sums={2: sums}), state)
    return judgement


def test_the_codes_are_those_of_the_wire() -> None:
    assert set(FAULT_CODES) == {fault.value for fault in Fault}


def test_what_stable_lost_by_the_code_is_frozen_and_goes_through_json() -> None:
    assert frozen().code_rates == {"broken": (0.01, 0.001)}
    assert FrozenNumbers.from_json(
        {"rows": 1, "calls": 1, "error_rate": 0.0, "code_rates": {"broken": [0.01, 0.001]}}
    ) == (FrozenNumbers(rows=1, calls=1, error_rate=0.0, code_rates={"broken": (0.01, 0.001)}))


def test_only_a_check_that_asks_has_its_code_counted() -> None:
    assert counting_of(plan(ERRORS).analysis).codes == {}
    assert counting_of(plan(ERRORS, BROKEN).analysis).codes == {"broken": "bad_output"}


@pytest.mark.parametrize("by", list(By))
def test_rows_that_fail_by_the_code_take_the_canary_back(by: By) -> None:
    judgement = judged(by, failing(400, 40), failing(3_600, 36))

    assert judgement.decision is Decision.ROLLBACK
    assert judgement.reason.startswith("broken got worse with the canary: canary 10 % of")
    assert "rows failed with bad_output" in judgement.reason


@pytest.mark.parametrize("by", list(By))
def test_calls_that_fail_whole_by_the_code_do_too(by: By) -> None:
    judgement = judged(by, failing(400, 4, failed=40), failing(3_600, 36, failed=4))

    assert judgement.decision is Decision.ROLLBACK
    assert "calls failed whole with bad_output" in judgement.reason


@pytest.mark.parametrize("by", list(By))
def test_another_code_is_not_held_against_it(by: By) -> None:
    judgement = judged(by, failing(400, 40, "model_error", failed=40), failing(3_600, 0, "model_error"))

    assert judgement.decision is Decision.ADVANCE
    assert judgement.findings[1].values["rows.canary_events"] == 0


@pytest.mark.parametrize("by", list(By))
def test_equal_rates_of_the_code_go_up(by: By) -> None:
    assert judged(by, failing(2_000, 10), failing(18_000, 90)).decision is Decision.ADVANCE


@pytest.mark.parametrize("change", [{"code": "timeout"}, {"code": None}, {"segment_by": "origin"}])
def test_a_check_on_a_code_names_one_and_no_segment(change: dict[str, str | None]) -> None:
    with pytest.raises(ValueError, match="error_code"):
        replace(BROKEN, **change)  # type: ignore[arg-type]


def test_no_other_check_has_a_code() -> None:
    with pytest.raises(ValueError, match="no other does"):
        replace(ERRORS, code="bad_output")
