"""Features of requests that moved from training are named at a look, hold a ramp if asked to, and roll nothing back."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from coalmine.policies import (
    MOST_BINS,
    Check,
    Cut,
    Decision,
    FrozenNumbers,
    Judgement,
    Memory,
    Metric,
    Reference,
    Role,
    Status,
    Sums,
    counting_of,
    fitting,
    frozen_numbers,
    look,
)
from coalmine.policies.checks.drift import Drift
from tests.policies.frozen.references import tenths
from tests.policies.judging.looks import ERRORS, FROZEN, MINUTE, at_step, plan, seen

INPUTS = Check(name="inputs", metric=Metric.FEATURE_DRIFT, margin=0.1, limit=0.1, role=Role.SIGNAL)
PLAN = plan(replace(ERRORS, margin=0.02), INPUTS)
RNG = np.random.default_rng(7)
REFERENCES = tuple(tenths(f"x{index}", RNG.normal(size=10_000)) for index in range(8))
HELD = replace(FROZEN, references=REFERENCES)


def asked(
    rows: int, shift: float = 0.0, seed: int = 1, references: Sequence[Reference] = REFERENCES
) -> dict[str, tuple[int, ...]]:
    """The features of so many requests; the fourth has moved by `shift` standard deviations."""
    rng = np.random.default_rng(seed)
    return {
        reference.name: tuple(reference.count((rng.normal(size=rows) + shift * (reference.name == "x3")).tolist()))
        for reference in references
    }


def judged(*looks: dict[str, tuple[int, ...]], frozen: FrozenNumbers = HELD, check: Check = INPUTS) -> Judgement:
    """Judge looks of which each brings 40,000 rows, and these features, most of them told by stable's outcomes."""
    judged_plan = plan(replace(ERRORS, margin=0.02), check)
    state = at_step(judged_plan)
    judgement = look(Memory.empty(judged_plan, frozen), Cut(number=1, now_ms=0), state)
    canary, stable = Sums(), Sums()
    for number, features in enumerate(looks, start=2):
        few = {name: (1, *bins[1:]) for name, bins in features.items()}
        rest = {name: (bins[0] - 1, *(0 for _ in bins[1:])) for name, bins in features.items()}
        canary += replace(seen(rows=4_000, calls=4_000), features=few)
        stable += replace(seen(rows=36_000, calls=4_000), features=rest)
        cut = Cut(number=number, now_ms=10 * number * MINUTE, sums={2: {"canary": canary, "stable": stable}})
        judgement = look(judgement.memory, cut, state)
    return judgement


def test_a_shift_of_half_a_standard_deviation_is_named_and_a_signal_holds_the_ramp() -> None:
    # what a look bets on was seen before it, so the first look with rows decides nothing
    judgement = judged(asked(2_000, shift=0.5), asked(2_000, shift=0.5, seed=2))

    found = judgement.findings[1]
    assert (found.status, judgement.decision) == (Status.FAIL, Decision.HOLD)
    assert judgement.reason == "held by inputs until it is well again"
    assert found.reason.startswith("not within 10 % of what the canary was trained on: moved: x3 by ")
    assert next(name for name in found.values if name.startswith("variation.")) == "variation.x3"


def test_requests_like_those_of_training_hold_nothing() -> None:
    judgement = judged(asked(20_000), asked(20_000, seed=2))

    assert (judgement.decision, judgement.findings[1].status) == (Decision.ADVANCE, Status.PASS)
    assert judgement.findings[1].n == {"requests": 40_000}


def test_as_information_a_moved_feature_holds_nothing() -> None:
    moved = [asked(2_000, shift=1.0, seed=seed) for seed in range(2)]
    judgement = judged(*moved, check=replace(INPUTS, role=Role.INFO))

    assert (judgement.findings[1].status, judgement.decision) == (Status.FAIL, Decision.ADVANCE)


def test_without_histograms_in_the_package_there_is_no_data_and_the_remedy_is_named() -> None:
    judgement = judged(asked(2_000), frozen=FROZEN)

    assert judgement.findings[1].status is Status.NO_DATA
    assert "pack it with reference" in judgement.findings[1].reason
    assert judgement.decision is Decision.ADVANCE


def test_before_the_first_request_there_is_no_data() -> None:
    assert judged({}).findings[1].reason == "no request has been counted yet"


def test_counts_of_other_bins_than_the_reference_has_are_left_out() -> None:
    assert judged({"x3": (5, 5), "y": (1,)}).findings[1].n == {"requests": 0}


def test_a_restart_of_the_judge_changes_nothing() -> None:
    judgement = judged(asked(2_000, shift=0.3))
    again = Memory.from_json(json.loads(json.dumps(judgement.memory.to_json())))
    stable = replace(seen(rows=72_000, calls=8_000), features=asked(4_000))
    cut = Cut(number=3, now_ms=30 * MINUTE, sums={2: {"stable": stable}})

    assert look(again, cut, at_step(PLAN)).findings == look(judgement.memory, cut, at_step(PLAN)).findings


def test_a_memory_without_references_can_be_stored() -> None:
    empty = Memory.empty(PLAN, FROZEN)

    assert Memory.from_json(json.loads(json.dumps(empty.to_json()))).to_json() == empty.to_json()


def test_increments_carry_the_features_so_that_a_look_can_be_judged_again() -> None:
    increments = [Sums.from_json(item["sums"]) for item in judged(asked(500)).increments]

    assert sum(increments, start=Sums()).features == asked(500)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.1, 0.3])
def test_what_decides_reaches_the_threshold_exactly_where_a_feature_is_named(shift: float) -> None:
    test = Drift.start(REFERENCES, 0.01, late_looks=50)
    for seed in range(6):
        test = test.update([asked(800, shift, seed)[reference.name] for reference in REFERENCES])

        assert bool(test.moved(0.05)) == (test.log_e() >= -np.log(0.05))


def test_references_are_frozen_only_for_a_check_that_asks() -> None:
    stable = seen(rows=5_000, calls=500)

    assert frozen(stable, INPUTS).references == REFERENCES
    assert frozen(stable).references == ()


def frozen(stable: Sums, *checks: Check) -> FrozenNumbers:
    found = frozen_numbers(stable, plan(ERRORS, *checks), REFERENCES)
    assert isinstance(found, FrozenNumbers)
    return found


def test_features_are_counted_only_for_a_check_that_asks() -> None:
    assert counting_of(PLAN.analysis).features
    assert not counting_of(plan(ERRORS).analysis).features


def test_references_beyond_the_room_are_left_out() -> None:
    many: Sequence[Reference] = [replace(REFERENCES[0], name=f"y{index}") for index in range(200)]
    small = [Reference(name=f"z{index}", counts=(9,)) for index in range(200)]
    held = fitting(many)

    assert held == tuple(many[: len(held)])
    assert sum(each.bins for each in held) <= MOST_BINS < sum(each.bins for each in many[: len(held) + 1])
    assert fitting(small) == tuple(small[:100])
    assert fitting([]) == ()


def test_frozen_references_that_do_not_fit_or_are_of_one_feature_are_refused() -> None:
    for references in ([replace(REFERENCES[0], name=f"y{index}") for index in range(200)], [REFERENCES[0]] * 2):
        with pytest.raises(ValueError, match="few enough to be counted"):
            replace(FROZEN, references=tuple(references))


@pytest.mark.parametrize(("rows", "words"), [(10_000, ""), (1_000, ", 1"), (300, ", 2")])
def test_what_few_rows_of_training_hide_is_said(rows: int, words: str) -> None:
    few = tuple(tenths(reference.name, RNG.normal(size=rows)) for reference in REFERENCES)
    reason = judged(asked(2_000, references=few), frozen=replace(FROZEN, references=few)).findings[1].reason

    assert ("more allowed for few rows of training" in reason) == bool(words)
    assert words in reason


def test_a_reference_of_so_few_rows_that_nothing_can_be_found_has_no_data() -> None:
    few = tuple(tenths(reference.name, RNG.normal(size=8)) for reference in REFERENCES)
    found = judged(asked(2_000, references=few), frozen=replace(FROZEN, references=few)).findings[1]

    assert (found.status, "of too few rows" in found.reason) == (Status.NO_DATA, True)


@pytest.mark.parametrize("change", [{"role": Role.GUARDRAIL}, {"limit": None}, {"segment_by": "origin"}])
def test_a_check_on_features_has_a_limit_and_takes_nothing_back(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="feature_drift"):
        replace(INPUTS, **change)  # type: ignore[arg-type]
