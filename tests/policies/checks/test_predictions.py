"""Predictions that move: bins frozen from stable's, a shift that is named and holds, equal models that go up."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import pytest

from coalmine.policies import (
    By,
    Check,
    Cut,
    Decision,
    FrozenNumbers,
    Judgement,
    Memory,
    Metric,
    Plan,
    PredictionBins,
    PredictionCounts,
    RecordedLook,
    Role,
    State,
    Status,
    Sums,
    frozen_numbers,
    look,
    replay,
)
from coalmine.policies.checks.movement import Movement
from coalmine.policies.frozen.bins import MOST_CLASSES, bins_of
from coalmine.policies.judging.gates import weights
from coalmine.policies.scorecard.epochs import EpochSums
from coalmine.policies.stats.keys import effective_keys
from coalmine.policies.stats.predictions import cell_edge, cells_of
from tests.policies.judging.looks import ERRORS, FROZEN, MINUTE, at_step, plan, seen

DRIFT = Check(name="drift", metric=Metric.PREDICTION_DRIFT, margin=0.1, tolerance=0.05, role=Role.SIGNAL)
ALIKE = {"late": 0.2, "on time": 0.7, "cancelled": 0.1}
MOVED = {"late": 0.4, "on time": 0.5, "cancelled": 0.1}


def classes(n: int, shares: dict[str, float]) -> PredictionCounts:
    return PredictionCounts({name: round(n * share) for name, share in shares.items()})


def numbers(values: np.ndarray) -> PredictionCounts:
    cells, counts = np.unique(cells_of(values), return_counts=True)
    return PredictionCounts({}, dict(zip(cells.tolist(), counts.tolist(), strict=True)))


def history(predicted: PredictionCounts) -> Sums:
    return replace(seen(rows=5_000, faults=50, calls=500), predicted=predicted)


def frozen(predicted: PredictionCounts | None = None) -> FrozenNumbers:
    found = frozen_numbers(history(predicted or classes(5_000, ALIKE)), plan(ERRORS, DRIFT))
    assert isinstance(found, FrozenNumbers)
    return found


# --- bins ---


def test_bins_of_classes_are_those_of_stable_by_falling_count() -> None:
    bins = frozen().predictions["drift"]

    assert bins == PredictionBins(rows=5_000, classes=("on time", "late", "cancelled"))
    assert bins.count(PredictionCounts({"late": 2, "new": 3}, {800: 4}, 5)).tolist() == [0, 2, 0, 12]


def test_bins_of_numbers_are_the_deciles_of_stable() -> None:
    scores = np.random.default_rng(1).random(20_000)
    bins = frozen(numbers(scores)).predictions["drift"]

    ends = [cell_edge(edge) for edge in bins.edges]
    shares = bins.count(numbers(scores)) / len(scores)
    assert ends == pytest.approx(np.quantile(scores, np.arange(1, 10) / 10), rel=0.051)
    assert shares[:-1] == pytest.approx(np.full(10, 0.1), abs=0.05)
    assert shares[-1] == 0.0


def test_equal_numbers_share_a_bin_however_many_they_are() -> None:
    mostly_zero = numbers(np.array([0.0] * 900 + [1.0] * 100))

    assert bins_of(mostly_zero).count(mostly_zero).tolist() == [900, 100, 0, 0]


def test_numbers_of_both_signs_are_in_order() -> None:
    values = np.random.default_rng(2).normal(0, 100, 5_000)

    names = bins_of(numbers(values)).names
    assert names[0].startswith("at most -1")
    assert names[-2].startswith("above 1")


def test_classes_that_are_rare_are_compared_together() -> None:
    many = PredictionCounts({f"c{n:02}": 100 + n for n in range(30)})

    bins = bins_of(many)
    assert len(bins.classes) == MOST_CLASSES
    assert bins.count(many)[-1] == sum(100 + n for n in range(10))


def test_without_predictions_no_attempt_begins() -> None:
    missing = frozen_numbers(history(classes(900, ALIKE)), plan(ERRORS, DRIFT))

    assert missing == "check drift: stable has 900 of 1,000 predictions that its bins need"


def test_frozen_numbers_go_through_json_and_old_ones_have_no_bins() -> None:
    numbers_before = json.loads(json.dumps(asdict(frozen())))
    assert FrozenNumbers.from_json(numbers_before) == frozen()

    del numbers_before["predictions"]
    assert FrozenNumbers.from_json(numbers_before).predictions == {}


# --- decisions ---


def cuts(canary: dict[str, float], weight: float, looks: int, rows: int = 1_000) -> list[Cut]:
    """Looks at rows without an error, of which the canary's have these predictions."""
    mine, others = round(rows * weight / 100), round(rows * (1 - weight / 100))
    found = []
    for number in range(1, looks + 1):
        arms = {
            "canary": replace(seen(rows=mine * number, calls=mine * number), predicted=classes(mine * number, canary)),
            "stable": replace(
                seen(rows=others * number, calls=others * number), predicted=classes(others * number, ALIKE)
            ),
        }
        found.append(Cut(number=number, now_ms=number * MINUTE, sums={2: arms}))
    return found


def run(judged_plan: Plan, state: State, looks: list[Cut]) -> list[Judgement]:
    memory, judgements = Memory.empty(judged_plan, frozen()), []
    for each in looks:
        judgements.append(look(memory, each, state))
        memory = Memory.from_json(json.loads(json.dumps(judgements[-1].memory.to_json())))
    return judgements


def last(canary: dict[str, float], check: Check = DRIFT, by: By = By.RANDOM, looks: int = 30) -> Judgement:
    judged_plan = plan(replace(ERRORS, margin=0.02), check, by=by)
    return run(judged_plan, at_step(judged_plan), cuts(canary, 10, looks))[-1]


@pytest.mark.parametrize("by", list(By))
def test_a_shift_holds_the_ramp_and_is_named(by: By) -> None:
    judgement = last(MOVED, by=by)
    drift = judgement.findings[1]

    assert (judgement.decision, judgement.reason) == (Decision.HOLD, "held by drift until it is well again")
    assert drift.status is Status.FAIL
    assert drift.estimate == pytest.approx(0.2, abs=0.02)
    assert drift.reason.startswith("further than 0.05: canary's predictions are 0.19")
    assert "most changed: 'on time', 50 % instead of 70 %" in drift.reason


@pytest.mark.parametrize("by", list(By))
def test_equal_predictions_do_not_hold(by: By) -> None:
    judgement = last(ALIKE, by=by)

    assert judgement.decision is Decision.ADVANCE
    assert judgement.findings[1].estimate == pytest.approx(0.0, abs=0.01)


def test_a_small_shift_is_none() -> None:
    assert last({"late": 0.23, "on time": 0.67, "cancelled": 0.1}).decision is Decision.ADVANCE


def test_a_shift_that_ends_lets_the_ramp_go_on() -> None:
    judged_plan = plan(replace(ERRORS, margin=0.02), DRIFT)
    state, moved = at_step(judged_plan), cuts(MOVED, 10, 10)
    back = [
        replace(each, number=10 + each.number, now_ms=(10 + each.number) * MINUTE,
                sums={2: {arm: moved[-1].sums[2][arm] + sums for arm, sums in each.sums[2].items()}})
        for each in cuts(ALIKE, 10, 120)
    ]  # fmt: skip

    judgements = run(judged_plan, state, moved + back)

    assert judgements[9].decision is Decision.HOLD
    assert judgements[-1].decision is Decision.ADVANCE


def test_a_guardrail_rolls_back_and_must_be_passed() -> None:
    guard, near = replace(DRIFT, role=Role.GUARDRAIL, margin=0.06), {"late": 0.25, "on time": 0.65, "cancelled": 0.1}

    assert last(MOVED, guard).decision is Decision.ROLLBACK
    assert last(near, guard, looks=2).decision is Decision.HOLD
    assert last(ALIKE, guard).decision is Decision.ADVANCE


def test_it_has_a_twentieth_of_the_decision_however_many_there_are() -> None:
    guard, segment = replace(DRIFT, role=Role.GUARDRAIL), replace(ERRORS, name="by", segment_by="carrier")
    second = replace(guard, name="second")

    assert weights([ERRORS, guard, second]) == [0.95, 0.025, 0.025]
    assert weights([ERRORS, guard, segment]) == pytest.approx([0.8, 0.05, 0.15])
    assert weights([guard, segment]) == pytest.approx([0.25, 0.75])
    assert weights([guard]) == [1.0]
    assert weights([segment, ERRORS]) == [0.15, 0.85]


def test_rows_without_an_answer_are_in_the_last_bin() -> None:
    answers = {name: 0.75 * share for name, share in ALIKE.items()}
    unanswered = run_of_failing(answers)

    assert unanswered.findings[1].status is Status.FAIL
    assert "other or no answer, 25 % instead of 0 %" in unanswered.findings[1].reason


def run_of_failing(answers: dict[str, float]) -> Judgement:
    """Judge looks at a canary that does not answer a quarter of its rows, which is told of by no other check."""
    judged_plan = plan(replace(ERRORS, margin=0.02), DRIFT)
    looks = []
    for each in cuts(answers, 10, 30):
        arms = each.sums[2]
        told = replace(arms["canary"].predicted, other=arms["canary"].rows - arms["canary"].predicted.n)
        looks.append(replace(each, sums={2: {**arms, "canary": replace(arms["canary"], predicted=told)}}))
    return run(judged_plan, at_step(judged_plan), looks)[-1]


def test_a_finding_carries_the_distance_in_every_unit() -> None:
    drift = last(MOVED).findings[1]

    assert (drift.measure, drift.n) == ("predictions", {"stable": 27_000, "canary": 3_000})
    assert drift.values["psi"] == pytest.approx(0.2 * np.log(2) + 0.2 * np.log(7 / 5), rel=0.05)
    assert 0 < drift.values["js"] < drift.values["psi"] / 7
    assert drift.values["weight"] == 0.0


def test_predictions_of_sticky_keys_count_for_no_more_than_their_keys() -> None:
    drift = last(MOVED, by=By.KEY).findings[1]

    assert 0 < drift.values["predictions.canary_keys"] <= 3_000


def test_under_keys_a_check_on_predictions_is_no_guardrail() -> None:
    with pytest.raises(ValueError, match="a signal or info"):
        plan(ERRORS, replace(DRIFT, role=Role.GUARDRAIL), by=By.KEY)


def test_recorded_looks_give_the_same_decisions_again() -> None:
    judged_plan = plan(replace(ERRORS, margin=0.02), DRIFT, by=By.KEY)
    state, looks = at_step(judged_plan), cuts(MOVED, 10, 12)
    judgements = run(judged_plan, state, looks)
    recorded = [
        RecordedLook(number=cut.number, now_ms=cut.now_ms, state=state, increments=json.loads(json.dumps(j.increments)))
        for cut, j in zip(looks, judgements, strict=True)
    ]

    again = list(replay(Memory.empty(judged_plan, frozen()), recorded))

    assert [j.findings for j in again] == [j.findings for j in judgements]
    assert again[-1].decision is Decision.HOLD


# --- sticky keys ---


Looks = Iterator[tuple[EpochSums, EpochSums]]


def looks_of_keys(seed: int, keys: int = 1_000, looks: int = 120, moved: float = 0.0) -> Looks:
    """Increments and sums of looks at 10 % canary: keys of Pareto traffic, each with one class for good.

    The canary predicts the first class instead on a share `moved` of its rows.
    """
    rng = np.random.default_rng(seed)
    traffic = np.cumsum(rng.pareto(1.5, keys) + 1.0)
    is_canary, bucket, kind = rng.random(keys) < 0.1, rng.integers(0, 64, keys), rng.integers(0, 3, keys)
    sums = EpochSums(0.1, 1, Sums(), Sums())
    for _ in range(looks):
        key = np.searchsorted(traffic, rng.random(1_000) * traffic[-1])
        mine = is_canary[key]
        said = np.where(mine & (rng.random(1_000) < moved), 0, kind[key])
        more = [predicted_by(said[rows], bucket[key[rows]]) for rows in (mine, ~mine)]
        sums = EpochSums(0.1, 1, sums.canary + more[0], sums.stable + more[1])
        yield EpochSums(0.1, 1, *more), sums


def predicted_by(said: np.ndarray, buckets: np.ndarray) -> Sums:
    counts = dict(zip(KINDS, np.bincount(said, minlength=3).tolist(), strict=True))
    return Sums(
        rows=len(said),
        bucket_rows=tuple(np.bincount(buckets, minlength=64).tolist()),
        predicted=PredictionCounts({name: n for name, n in counts.items() if n}),
    )


KINDS = ("late", "on time", "cancelled")
BINS = PredictionBins(rows=5_000, classes=KINDS)


def held(seed: int, by: By = By.KEY, keys: int = 1_000, moved: float = 0.0) -> bool:
    """Tell whether the distance was ever shown to be beyond the tolerance."""
    movement = Movement.start(DRIFT, plan(ERRORS, DRIFT, by=by), replace(FROZEN, predictions={"drift": BINS}))
    for more, sums in looks_of_keys(seed, keys, moved=moved):
        movement = movement.update([more], [sums], BINS, by)
        if movement.apart.value() >= math.log(20):
            return True
    return False


def test_the_keys_of_identical_models_are_not_taken_for_a_shift() -> None:
    assert sum(held(seed) for seed in range(12)) <= 1


def test_rows_of_sticky_keys_taken_for_independent_ones_would_be() -> None:
    assert sum(held(seed, By.RANDOM) for seed in range(6)) >= 4


def test_a_shift_is_found_among_sticky_keys() -> None:
    assert sum(held(seed, keys=100_000, moved=0.4) for seed in range(6)) >= 5


def test_rows_never_count_for_more_than_their_keys() -> None:
    movement = Movement.start(DRIFT, plan(ERRORS, DRIFT, by=By.KEY), replace(FROZEN, predictions={"drift": BINS}))
    known = 0.0
    for more, sums in looks_of_keys(1, looks=40):
        movement = movement.update([more], [sums], BINS, By.KEY)
        known = max(known, effective_keys(sums.canary.bucket_rows))

    assert movement.keys[0] == known < 1_000
