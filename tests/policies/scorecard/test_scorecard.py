"""Laws of the sums: they merge exactly, in any order, and a tally of batches equals one look at every row."""

import random
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from unittest import mock

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.policies import KEY_BUCKETS, Counting, Losses, Moments, PredictionCounts, Sums, Tally, duration_quantile
from coalmine.policies.scorecard import sums as scorecard
from coalmine.policies.scorecard.sums import smallest_keys
from coalmine.policies.scorecard.tally import MOST_VALUES
from coalmine.policies.stats.durations import DURATION_EDGES, duration_bucket, duration_upper_ms
from coalmine.policies.stats.predictions import NO_PREDICTIONS, Vocabulary, cells_of
from coalmine.streams.wire.messages import Call, Outcome

SMALL_CAP = 3
"""Keys remembered in these tests, so that few keys overflow it."""

COUNTS = st.dictionaries(st.sampled_from(["model_error", "bad_output"]), st.integers(1, 50))
DURATIONS = st.dictionaries(st.integers(0, len(DURATION_EDGES)), st.integers(1, 50), max_size=6)
BUCKETS = st.lists(st.integers(0, 9), min_size=KEY_BUCKETS, max_size=KEY_BUCKETS).map(tuple)
NUMBERS = st.lists(st.floats(-1e3, 1e3), max_size=4)
LOSSES = st.dictionaries(
    st.sampled_from(["brier", "by-carrier/MQ"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, KEY_BUCKETS - 1)), min_size=1, max_size=5).map(
        lambda rows: Losses.of(*zip(*rows, strict=True))
    ),
)
FEATURES = st.dictionaries(
    st.sampled_from(["age", "origin"]), st.lists(st.integers(0, 9), min_size=3, max_size=3).map(tuple).filter(any)
)


PREDICTED = st.builds(
    PredictionCounts,
    st.dictionaries(st.sampled_from(["late", "on time"]), st.integers(1, 9)),
    st.dictionaries(st.integers(0, 1_700), st.integers(1, 10**9)),
    st.integers(0, 9),
)


@st.composite
def sums(draw: st.DrawFn) -> Sums:
    keys, bound = smallest_keys(draw(st.frozensets(st.integers(0, 40), max_size=6)), scorecard.ALL_KEYS)
    values = np.array(draw(NUMBERS))
    return Sums(
        rows=draw(st.integers(0, 99)), row_faults=draw(COUNTS), call_fault_rows=draw(st.integers(0, 9)),
        calls=draw(st.integers(0, 99)), call_faults=draw(COUNTS), call_ms=draw(DURATIONS),
        bucket_rows=draw(BUCKETS), bucket_faults=draw(BUCKETS), fault_keys=keys, key_bound=bound,
        losses=draw(LOSSES), predicted=draw(PREDICTED), features=draw(FEATURES),
        other_rows=draw(COUNTS), row_ms=draw(DURATIONS),
        predictions=Moments(len(values), float(values.mean()), float(values.var() * len(values)))
        if len(values) else Moments(),
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _few_keys() -> object:
    with mock.patch.object(scorecard, "KEY_CAP", SMALL_CAP):
        yield


def exact(value: Sums) -> Sums:
    """Everything that decides: all but the moments."""
    return replace(value, predictions=Moments())


def test_every_field_takes_part_in_the_sum() -> None:
    one = Sums(
        rows=1, row_faults={"a": 1}, call_fault_rows=1, calls=1, call_faults={"a": 1}, call_ms={1: 1},
        bucket_rows=(1,) * 64, bucket_faults=(1,) * 64, fault_keys=frozenset({1}), key_bound=10,
        losses={"brier": Losses.of([0.5], [1])}, predicted=PredictionCounts({"late": 1}, {7: 1}, 1),
        features={"age": (1, 0)}, other_rows={"pinned": 1}, row_ms={1: 1},
        predictions=Moments(1, 2.0, 0.0),
    )  # fmt: skip
    empty, two = Sums(), one + replace(one, fault_keys=frozenset({2}), key_bound=9)

    assert [f.name for f in fields(Sums) if getattr(one, f.name) == getattr(empty, f.name)] == []
    assert [f.name for f in fields(Sums) if getattr(two, f.name) == getattr(one, f.name)] == []


@given(sums())
def test_nothing_is_the_identity(a: Sums) -> None:
    assert a + Sums() == a == Sums() + a


@given(sums(), sums())
def test_the_order_makes_no_difference(a: Sums, b: Sums) -> None:
    assert exact(a + b) == exact(b + a)
    assert (a + b).predictions.mean == pytest.approx((b + a).predictions.mean, abs=1e-6)


@given(sums(), sums(), sums())
def test_grouping_makes_no_difference(a: Sums, b: Sums, c: Sums) -> None:
    assert exact((a + b) + c) == exact(a + (b + c))
    assert ((a + b) + c).predictions.m2 == pytest.approx((a + (b + c)).predictions.m2, rel=1e-9, abs=1e-6)


@given(sums(), sums())
def test_an_increment_on_top_of_what_was_before_gives_what_is_now(before: Sums, more: Sums) -> None:
    now = before + more

    assert exact(before + (now - before)) == exact(now)
    assert not (now - before).goes_back
    assert (before + (now - before)).predictions.mean == pytest.approx(now.predictions.mean, abs=1e-6)


@given(sums())
def test_a_difference_to_itself_is_nothing(a: Sums) -> None:
    assert replace(exact(a - a), key_bound=scorecard.ALL_KEYS) == Sums()


@given(sums(), sums())
def test_a_loss_is_noticed(a: Sums, b: Sums) -> None:
    assert (a - (a + replace(b, rows=b.rows + 1))).goes_back


@given(st.lists(st.frozensets(st.integers(0, 60), max_size=9), min_size=1, max_size=6), st.randoms())
def test_erring_keys_are_the_smallest_of_all_however_they_are_merged(
    parts: list[frozenset[int]], order: random.Random
) -> None:
    every = sorted(frozenset().union(*parts))
    order.shuffle(parts)

    merged = sum((Sums(fault_keys=keys, key_bound=bound) for keys, bound in map(capped, parts)), start=Sums())

    assert merged.fault_keys == frozenset(every[:SMALL_CAP])
    assert merged.key_bound == (every[SMALL_CAP - 1] + 1 if len(every) > SMALL_CAP else scorecard.ALL_KEYS)


def capped(keys: frozenset[int]) -> tuple[frozenset[int], int]:
    return smallest_keys(keys, scorecard.ALL_KEYS)


@given(sums())
def test_json_carries_everything(a: Sums) -> None:
    assert Sums.from_json(msgspec.json.decode(msgspec.json.encode(a.to_json()))) == a


def test_the_fullest_sums_of_two_variants_fit_into_a_record_of_64_kb() -> None:
    three_decades = dict.fromkeys(range(300, 650), 10**6)
    full = Sums(
        rows=10**9, row_faults={"model_error": 10**9}, calls=10**9, call_ms=three_decades, row_ms=three_decades,
        bucket_rows=(10**8,) * 64, bucket_faults=(10**8,) * 64,
        fault_keys=frozenset(range(2**64 - 2_048, 2**64)), key_bound=2**63,
        predictions=Moments(10**12, 1 / 3, 1e9 / 3), predicted=Vocabulary().counts({}, three_decades, 10**9),
    )  # fmt: skip

    assert len(msgspec.json.encode({"stable": full.to_json(), "canary": full.to_json()})) <= 65_536


# --- durations ---


def test_a_duration_lies_in_its_bucket() -> None:
    ms = np.geomspace(0.0005, 2e6, 5_000)
    upper = np.array([duration_upper_ms(int(bucket)) for bucket in duration_bucket(ms)])

    assert np.all(ms <= upper)
    assert np.all((upper <= ms * 1.0200001) | (upper == DURATION_EDGES[0]) | np.isinf(upper))


@given(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=50), st.floats(0.02, 1e5))
def test_calls_slower_than_a_threshold_are_told_to_two_percent(ms: list[float], threshold: float) -> None:
    seen = Sums(calls=len(ms), call_ms=histogram(ms))

    slower = seen.calls_slower_than(threshold)

    assert sum(value > threshold * 1.0200001 for value in ms) <= slower <= sum(value > threshold for value in ms)


def histogram(ms: Sequence[float]) -> dict[int, int]:
    buckets, counts = np.unique(duration_bucket(np.array(ms)), return_counts=True)
    return dict(zip(buckets.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize("q", [0.01, 0.5, 0.99, 1.0])
def test_a_quantile_is_right_to_two_percent(q: float) -> None:
    ms = np.sort(np.random.default_rng(1).lognormal(2, 1, 1_000))
    exact_quantile = float(np.quantile(ms, q, method="inverted_cdf"))

    assert exact_quantile <= duration_quantile(histogram(ms.tolist()), q) <= exact_quantile * 1.0200001


# --- the tally ---

BY_PREDICTION = Counting(predictions=True)


def row(rng: random.Random, number: int) -> Outcome:
    ok = rng.random() < 0.7
    return Outcome(
        id=f"r{number}", src=f"x/0@{number}", rollout="x", variant=rng.choice(["stable", "canary"]),
        model_version="1", mode=rng.choice(["live", "live", "live", "shadow"]), ok=ok,
        error_code=None if ok else rng.choice(["model_error", "bad_output"]), by_call=not ok and rng.random() < 0.4,
        latency_ms=rng.expovariate(0.1), ts=number, revision=rng.choice([3, 4]), u=0, bucket=rng.randrange(64),
        prediction=rng.choice([rng.random(), rng.random(), "late", None, [1.0]]),
        cohort=rng.choice([None] * 6 + ["pinned", "out_of_scope"]), evidence=rng.random() < 0.9,
        call=Call(9, rng.expovariate(0.1), rng.choice([None, None, "model_timeout"])) if rng.random() < 0.3 else None,
        key_hash=None if ok else f"{rng.randrange(12):016x}",
    )  # fmt: skip


def one_by_one(rows: Sequence[Outcome], revision: int, variant: str) -> Sums:
    """The sums of one revision and variant, each row by the plain words of its definition."""
    total = Sums()
    for r in rows:
        if r.revision != revision or (r.variant if r.mode == "live" else "shadow") != variant:
            continue
        if r.cohort or not r.evidence:
            total += Sums(other_rows={r.cohort or "excluded": 1})
            continue
        own_fault = not r.ok and not r.by_call
        here = tuple(int(bucket == r.bucket) for bucket in range(64))
        total += Sums(
            rows=1, row_faults={str(r.error_code): 1} if own_fault else {}, call_fault_rows=int(not r.ok and r.by_call),
            calls=int(r.call is not None), call_faults={r.call.fault: 1} if r.call and r.call.fault else {},
            call_ms=histogram([r.call.ms]) if r.call else {}, bucket_rows=here,
            bucket_faults=here if own_fault else (0,) * 64,
            fault_keys=frozenset({int(str(r.key_hash), 16)}) if own_fault else frozenset(),
            predicted=predicted(r.prediction if r.ok else None),
            row_ms=histogram([r.latency_ms]),
            predictions=Moments(1, r.prediction, 0.0) if isinstance(r.prediction, float) else Moments(),
        )  # fmt: skip
    return total


def predicted(answer: object) -> PredictionCounts:
    if isinstance(answer, float):
        return PredictionCounts({}, {int(cells_of(np.array([answer]))[0]): 1})
    return PredictionCounts({answer: 1}) if isinstance(answer, str) else PredictionCounts(other=1)


@pytest.mark.parametrize("variant", ["stable", "canary", "shadow"])
def test_a_tally_of_batches_equals_the_sum_of_single_rows(variant: str) -> None:
    rng = random.Random(7)
    rows = [row(rng, number) for number in range(600)]
    tally = Tally()

    for first, last in pairwise([0, 1, 50, 50, 399, 600]):
        tally.fold(rows[first:last], BY_PREDICTION)
    seen, expected = tally.sums()[4][variant], one_by_one(rows, 4, variant)

    assert exact(seen) == exact(expected)
    assert seen.predictions.n == expected.predictions.n > 10
    assert seen.predictions.m2 == pytest.approx(expected.predictions.m2)


def test_a_tally_goes_on_from_stored_sums() -> None:
    rng = random.Random(8)
    rows = [row(rng, number) for number in range(300)]
    whole, first = Tally(), Tally()
    whole.fold(rows)
    first.fold(rows[:120])

    second = Tally.of(first.sums())
    second.fold(rows[120:])

    assert {key: exact(value) for key, value in second.sums()[3].items()} == {
        key: exact(value) for key, value in whole.sums()[3].items()
    }


def test_a_dropped_revision_is_forgotten() -> None:
    rng = random.Random(9)
    tally = Tally()
    tally.fold([row(rng, number) for number in range(50)])

    tally.drop(3)

    assert set(tally.sums()) == {4}


def test_rows_that_are_no_evidence_bring_neither_rows_nor_calls() -> None:
    rng = random.Random(10)
    pinned = [msgspec.structs.replace(row(rng, number), cohort="pinned", mode="live") for number in range(40)]
    tally = Tally()

    tally.fold(pinned)

    assert {value.rows + value.calls for variants in tally.sums().values() for value in variants.values()} == {0}


def test_errors_are_cut_by_segment_value_for_value() -> None:
    rng = random.Random(11)
    rows = [
        msgspec.structs.replace(row(rng, number), segment={"carrier": "MQ" if number % 5 == 0 else "UA"})
        for number in range(400)
    ]
    first, second = Tally(), Tally()
    first.fold(rows, Counting(cuts={"by-carrier": "carrier"}))
    second.fold(rows[:90], Counting(cuts={"by-carrier": "carrier"}))
    second.fold(rows[90:], Counting(cuts={"by-carrier": "carrier"}))

    for revision, variants in first.sums().items():
        for variant, whole in variants.items():
            losses = whole.losses.values()
            assert sum(each.n for each in losses) == whole.rows
            assert sum(each.loss for each in losses) == whole.row_fault_count
            assert whole.losses == second.sums()[revision][variant].losses


def test_predictions_are_counted_only_for_a_check_that_asks() -> None:
    rng = random.Random(13)
    tally = Tally()

    tally.fold([row(rng, number) for number in range(50)])

    assert all(value.predicted is NO_PREDICTIONS for variants in tally.sums().values() for value in variants.values())


def test_a_prediction_of_ids_ends_in_other_and_is_known_to_all_variants_alike() -> None:
    rng = random.Random(14)
    alike = msgspec.structs.replace(row(rng, 1), mode="live", cohort=None, evidence=True, ok=True, revision=3)
    rows = [
        msgspec.structs.replace(alike, variant=variant, prediction=f"id-{number}")
        for number in range(200)
        for variant in ("stable", "canary")
    ]
    tally = Tally()
    for row_alone in rows:
        tally.fold([row_alone], BY_PREDICTION)
    goes_on = Tally.of(tally.sums())
    goes_on.fold([msgspec.structs.replace(alike, prediction="new")], BY_PREDICTION)
    stable, canary = (tally.sums()[3][variant].predicted for variant in ("stable", "canary"))

    assert stable == canary
    assert (stable.n, 20 < len(stable.classes) < 60) == (200, True)
    assert "new" not in goes_on.sums()[3][alike.variant].predicted.classes


def test_a_segment_of_ids_ends_in_other_and_rows_without_one_too() -> None:
    rng = random.Random(12)
    alike = row(rng, 1)
    rows = [
        msgspec.structs.replace(alike, mode="live", cohort=None, evidence=True, segment={"id": str(n)} if n else None)
        for n in range(200)
    ]
    tally = Tally()
    tally.fold(rows, Counting(cuts={"by-id": "id"}))
    [sums] = [value for variants in tally.sums().values() for value in variants.values()]

    assert len(sums.losses) == MOST_VALUES
    assert sums.losses["by-id/other"].n == 200 - (MOST_VALUES - 1)


def test_rows_that_failed_with_a_code_are_counted_by_bucket() -> None:
    rng = random.Random(15)
    rows = [row(rng, number) for number in range(400)]
    tally = Tally()
    tally.fold(rows[:150], Counting(codes={"broken": "bad_output"}))
    tally.fold(rows[150:], Counting(codes={"broken": "bad_output"}))

    for variants in tally.sums().values():
        for sums in variants.values():
            assert (sums.losses["broken"].n, sums.losses["broken"].bucket_n) == (sums.rows, sums.bucket_rows)
            assert sums.losses["broken"].loss == sums.row_faults["bad_output"] > 0
