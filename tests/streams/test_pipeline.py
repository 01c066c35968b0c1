"""A batch is split, settled and put out: one answer and one outcome a row, whoever failed."""

import dataclasses
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.models import Answers, Call, FaultCode
from coalmine.policies import ModelRef, Phase, Plan, Router, Routing, Step, Topics, initial
from coalmine.streams.scoring.pipeline import (
    NOTHING,
    Part,
    Routed,
    Settled,
    dead_letter,
    error_record,
    outcome_records,
    prediction_records,
    settle,
    split,
    timed_out,
    unanswered,
)
from coalmine.streams.wire.codec import decoder
from coalmine.streams.wire.messages import Fallback, Outcome, Prediction
from coalmine.streams.wire.request_decoder import RequestDecoder
from coalmine.streams.wire.requests import Requests

from .test_requests import NOW, STABLE, Record, request

PLAN = Plan(name="r", topics=Topics.of("r"), stable=ModelRef(uri="a"), steps=(Step(weight=40),))
STATE = dataclasses.replace(
    initial("r"), phase=Phase.PROGRESSING, plan=PLAN, weight=40.0, attempt=3, revision=5, canary=ModelRef(uri="b")
)
DECODER = RequestDecoder(STABLE)


def batch(count: int = 20) -> Requests:
    records = [Record(request(id=f"id-{i}", key=f"k{i}"), offset=i) for i in range(count)]
    return DECODER.read(records, NOW)


def answers(count: int, faults: dict[int, FaultCode] | None = None, by_call: frozenset[int] = frozenset()) -> Answers:
    faults = faults or {}
    values = np.array([math.nan if i in faults else 0.25 for i in range(count)])
    fault = faults[min(by_call)] if by_call else None
    return Answers(values, faults, by_call, (Call(0, count, 1.5, fault),), "")


def outcomes(
    rows: Requests, routed: Routed, stable: Settled, canary: Settled = NOTHING, rescue: Settled = NOTHING
) -> list[Outcome]:
    records = outcome_records(rows, routed, stable, canary, rescue, ("1", "2"), "r", 5)
    return [decoder(Outcome)(value) for _, value, _ in records]


def played(
    canary_faults: dict[int, FaultCode] | None = None, by_call: frozenset[int] = frozenset()
) -> tuple[Routed, list[Outcome], list[Prediction]]:
    """Play a whole batch of twenty rows; `canary_faults` are indices into the canary's part."""
    rows = batch()
    routed = split(rows, Router.of(STATE))
    stable = settle(routed.stable, answers(len(routed.stable.rows)), 2.0)
    canary = settle(routed.canary, answers(len(routed.canary.rows), canary_faults, by_call), 3.0)
    lost = Part(sorted(canary.faults))
    rescue = settle(lost, answers(len(lost.rows)), 4.0) if lost.rows else NOTHING
    sent = [
        *prediction_records(rows, routed, stable, STABLE, "r", 5),
        *prediction_records(rows, routed, canary, STABLE, "r", 5),
        *prediction_records(rows, routed, rescue, STABLE, "r", 5, canary.faults),
    ]
    predictions = [decoder(Prediction)(value) for _, value, _ in sent]
    return routed, outcomes(rows, routed, stable, canary, rescue), predictions


def test_every_row_is_answered_once_and_has_one_outcome_in_offset_order() -> None:
    _, told, predictions = played()

    assert sorted(p.id for p in predictions) == sorted(f"id-{i}" for i in range(20))
    assert [o.src for o in told] == [f"r.requests/2@{i}" for i in range(20)]


def test_anyone_can_check_the_variant_against_the_published_hash() -> None:
    _, told, _ = played()

    assert all((o.variant == "canary") == (o.u < 400_000) for o in told)
    assert {o.variant for o in told} == {"stable", "canary"}


def test_a_canary_fault_is_a_loss_of_the_canary_and_the_user_gets_stables_answer() -> None:
    routed, told, predictions = played({0: "model_error"})
    row = routed.canary.rows[0]
    answer = next(p for p in predictions if p.id == f"id-{row}")

    assert (told[row].variant, told[row].ok, told[row].error_code) == ("canary", False, "model_error")
    assert (answer.variant, answer.fallback, answer.prediction) == ("canary", "model_error", told[row].prediction)


def test_rows_that_failed_with_their_call_say_so_and_the_call_carries_the_fault() -> None:
    count = len(split(batch(), Router.of(STATE)).canary.rows)
    faults: dict[int, FaultCode] = dict.fromkeys(range(count), "model_error")
    routed, told, _ = played(faults, frozenset(range(count)))
    lost = [told[row] for row in routed.canary.rows]

    assert all(o.by_call and o.key_hash for o in lost)
    assert [o.call.fault for o in lost if o.call] == ["model_error"]


def test_each_call_is_told_once_by_its_first_row() -> None:
    routed, told, _ = played()

    assert [i for i, o in enumerate(told) if o.call] == sorted([routed.stable.rows[0], routed.canary.rows[0]])


def test_a_timeout_is_one_lost_call_with_all_its_rows() -> None:
    settled = timed_out(Part([2, 5, 9]), 250.0, 260.0)

    assert (settled.calls[2].rows, settled.calls[2].fault, settled.by_call) == (
        3,
        "model_timeout",
        frozenset({2, 5, 9}),
    )


@pytest.mark.parametrize("reason", list(Fallback))
def test_a_blocked_batch_is_answered_by_stable_and_is_no_evidence_for_either(reason: Fallback) -> None:
    rows = batch()
    routed = split(rows, Router.of(STATE), reason)
    stable = settle(routed.stable, answers(20), 1.0)
    told = outcomes(rows, routed, stable)

    assert not any(o.evidence for o in told)
    assert {o.error_code for o in told if o.variant == "canary"} == {reason.value}
    assert {o.error_code for o in told if o.variant == "stable"} == {None}


def test_a_batch_without_canary_rows_is_evidence_even_while_the_canary_is_blocked() -> None:
    idle = dataclasses.replace(STATE, weight=0.0)
    routed = split(batch(), Router.of(idle), Fallback.CONTROL_STALE)

    assert routed.blocked is None


def test_while_the_canary_should_get_traffic_a_blocked_batch_without_its_rows_is_no_evidence_either() -> None:
    small = dataclasses.replace(STATE, weight=0.0001)
    rows = batch()
    routed = split(rows, Router.of(small), Fallback.NOT_READY)
    told = outcomes(rows, routed, settle(routed.stable, answers(20), 1.0))

    assert not any(routed.is_canary)
    assert not any(o.evidence for o in told)


def test_a_call_is_told_by_the_first_of_its_rows_that_is_evidence() -> None:
    pinned = dataclasses.replace(PLAN, routing=Routing(deny=("k0", "k1")))
    rows = batch()
    routed = split(rows, Router.of(dataclasses.replace(STATE, plan=pinned, weight=0.0001)))
    told = outcomes(rows, routed, settle(routed.stable, answers(20), 2.0))

    assert [o.cohort for o in told[:3]] == ["pinned", "pinned", None]
    assert [i for i, o in enumerate(told) if o.call] == [2]


def test_a_row_that_no_model_answers_gets_an_error_record_and_a_dead_letter() -> None:
    rows = batch(2)
    routed = split(rows, Router.of(initial("r")))
    stable = settle(routed.stable, answers(2, {1: "bad_output"}), 1.0)
    (lost,) = unanswered(rows, stable, NOTHING)
    key, value, headers = dead_letter(lost, "g", "m/1")

    assert msgspec.json.decode(error_record(lost, "r")[1])["error_code"] == "bad_output"
    assert (key, value) == (lost.record.key, lost.record.value)
    assert dict(headers)["__coalmine.errors.stage"] == b"predict"


def test_meta_and_trace_headers_reach_the_prediction() -> None:
    record = Record(request(meta={"user": [1, 2]}), headers=[("traceparent", b"00-1")])
    rows = DECODER.read([record], NOW)
    routed = split(rows, Router.of(initial("r")))
    ((_, value, headers),) = prediction_records(rows, routed, settle(routed.stable, answers(1), 1.0), STABLE, "r", 0)

    assert (msgspec.json.decode(value)["meta"], headers) == ({"user": [1, 2]}, [("traceparent", b"00-1")])


def test_trace_headers_reach_the_error_record_too() -> None:
    record = Record(b"{}", headers=[("traceparent", b"00-1"), ("other", b"x")])
    (rejected,) = DECODER.read([record], NOW).rejected

    assert error_record(rejected, "r")[2] == [("traceparent", b"00-1")]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_cutting_a_stream_into_other_batches_changes_no_variant(sizes: list[int]) -> None:
    whole = batch(sum(sizes))
    expected = split(whole, Router.of(STATE)).is_canary
    found: list[bool] = []

    for end, size in zip(np.cumsum(sizes).tolist(), sizes, strict=True):
        found += split(part_of(whole, end - size, end), Router.of(STATE)).is_canary

    assert found == expected


def part_of(whole: Requests, begin: int, end: int) -> Requests:
    return DECODER.read(whole.records[begin:end], NOW)


def test_settling_catches_an_engine_that_lets_nan_through() -> None:
    bad: Any = Answers(np.array([math.nan]), {}, frozenset(), (Call(0, 1, 1.0, None),), "")

    with pytest.raises(AssertionError, match="not finite"):
        settle(Part([0]), bad, 1.0)
