"""What the requests of a batch bring is told once a batch, of rows that are evidence, whatever was sent."""

import dataclasses
import json
from typing import Any

import pytest

from coalmine.errors import DecodeError
from coalmine.policies import Reference, Router, Routing, Tally, counting_of
from coalmine.policies.plan.plan import Analysis, Check, Metric, Role
from coalmine.streams.scoring.inputs import MOST_ROWS, input_counts
from coalmine.streams.scoring.pipeline import NOTHING, outcome_records, settle, split
from coalmine.streams.wire.codec import decoder, encode
from coalmine.streams.wire.messages import Fallback, Outcome
from coalmine.streams.wire.request_decoder import RequestDecoder
from coalmine.streams.wire.requests import Requests

from .test_pipeline import PLAN, STATE, answers
from .test_requests import CANARY, NOW, STABLE, Record, request

AMOUNT = Reference(name="amount", edges=(10.0, 20.0), counts=(1, 1, 1))
CARRIER = Reference(name="carrier", categories=("AA", "UA"), counts=(5, 5))
NIGHT = Reference(name="night", categories=("false", "true"), counts=(5, 5))
DELAY = Reference(name="delay", edges=(0.0,), counts=(1, 1))
STRANGE = Reference(name="never sent", edges=(), counts=(5,))
INPUTS = Check(name="inputs", metric=Metric.FEATURE_DRIFT, margin=0.1, limit=0.1, role=Role.INFO)


def batch(*features: dict[str, Any]) -> Requests:
    records = [
        Record(request(id=f"id-{row}", key=f"k{row}", features={"amount": 1, "carrier": "AA", **each}), offset=row)
        for row, each in enumerate(features)
    ]
    return RequestDecoder(STABLE, CANARY).read(records, NOW)


def told(rows: Requests, *references: Reference, blocked: Fallback | None = None) -> dict[str, list[int]] | None:
    return input_counts(rows, split(rows, Router.of(STATE), blocked), references)


def test_rows_are_counted_by_feature_and_bin() -> None:
    rows = batch({"amount": 5}, {"amount": 15, "carrier": "UA", "night": True}, {"amount": 25, "night": None})

    assert told(rows, AMOUNT, CARRIER, NIGHT) == {"amount": [1, 1, 1, 0], "carrier": [2, 1, 0, 0],
                                                  "night": [0, 1, 0, 2]}  # fmt: skip


def test_what_only_the_canary_knows_may_be_anything_and_what_no_model_knows_is_not_told() -> None:
    rows = batch({"delay": 3}, {"delay": "late"}, {"delay": [1, 2]}, {"delay": 10**400}, {"delay": {"a": 1}}, {})

    assert told(rows, DELAY, STRANGE) == {"delay": [0, 2, 4]}


def test_without_references_and_without_evidence_nothing_is_told() -> None:
    rows = batch(*({} for _ in range(10)))

    assert told(rows) is None
    assert told(rows, AMOUNT, blocked=Fallback.SHED) is None
    assert told(batch(), AMOUNT) is None
    assert told(rows, STRANGE) is None


def test_rows_that_are_not_randomised_are_left_out() -> None:
    rows = batch({"amount": 5}, {"amount": 15}, {"amount": 25})
    pinned = dataclasses.replace(STATE, plan=dataclasses.replace(PLAN, routing=Routing(allow=("k1",))))

    assert input_counts(rows, split(rows, Router.of(pinned)), [AMOUNT]) == {"amount": [1, 0, 1, 0]}


def test_of_a_large_batch_a_sample_is_counted_that_is_spread_over_it() -> None:
    rows = batch(*({"amount": 5 if row < 500 else 25} for row in range(1_000)))

    assert told(rows, AMOUNT) == {"amount": [MOST_ROWS // 2, 0, MOST_ROWS // 2, 0]}


def outcomes(rows: Requests) -> list[Outcome]:
    routed = split(rows, Router.of(STATE))
    stable, canary = (
        settle(part, answers(len(part.rows)), 2.0) if part.rows else NOTHING for part in (routed.stable, routed.canary)
    )
    features = input_counts(rows, routed, [AMOUNT])
    records = outcome_records(rows, routed, stable, canary, NOTHING, ("1", "2"), "r", 5, features)
    return [decoder(Outcome)(value) for _, value, _ in records]


def test_a_batch_tells_its_features_once_and_the_tally_adds_up_batches() -> None:
    first, second = (outcomes(batch(*({"amount": amount} for _ in range(20)))) for amount in (5, 25))
    tally = Tally()
    tally.fold([*first, *second], counting_of(Analysis(checks=(INPUTS,))))
    found = tally.sums()[5]

    assert [outcome.features is not None for outcome in first] == [True, *(False for _ in range(19))]
    assert sum((variant.features.get("amount", ())[0:1] for variant in found.values()), ()).count(20) == 1
    assert sum(sum(variant.features.get("amount", ())) for variant in found.values()) == 40


def test_a_tally_that_nobody_asks_counts_no_features() -> None:
    tally = Tally()
    tally.fold(outcomes(batch({"amount": 5})))

    assert not any(sums.features for sums in tally.sums()[5].values())


@pytest.mark.parametrize("counts", [[-1], [10**7], [1] * 1_001, ["1"]])
def test_counts_that_no_batch_can_bring_are_refused(counts: list[Any]) -> None:
    body = json.loads(encode(outcomes(batch({"amount": 5}))[0])) | {"features": {"amount": counts}}

    with pytest.raises(DecodeError, match="features"):
        decoder(Outcome)(json.dumps(body).encode())
