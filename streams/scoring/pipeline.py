"""What happens to one batch, as functions of values: split, settle, outputs.

`split` says which variant each row is assigned to, `settle` turns a model's answers into settled rows, and the
`*_records` functions turn settled rows into records. The shell decides when each is called: stable's predictions
leave before the canary is awaited, the outcomes of a batch leave together, in offset order, once all is settled.
Nothing here reads a clock or talks to Kafka or a model.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from coalmine.errors import DecodeError
from coalmine.models import Answers, Manifest
from coalmine.policies import Cohort, Router, key_hash

from ..wire.codec import encode
from ..wire.messages import Call, ErrorRecord, Fallback, Fault, Outcome, Prediction
from ..wire.requests import Headers, Rejected, Requests, passed_on

__all__ = [
    "NOTHING",
    "OutputRecord",
    "Part",
    "Routed",
    "Settled",
    "dead_letter",
    "error_record",
    "outcome_records",
    "prediction_records",
    "settle",
    "split",
    "timed_out",
    "unanswered",
]

OutputRecord = tuple[bytes, bytes, Headers | None]
"""Key, value, headers."""

COHORT_NAMES = {Cohort.RANDOMISED: None, Cohort.PINNED: "pinned", Cohort.OUT_OF_SCOPE: "out_of_scope"}


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a batch (indices, rising) that one model answers."""

    rows: list[int]


@dataclass(frozen=True, slots=True)
class Routed:
    """A batch after routing, as columns: the hash, the bucket, the cohort's name, and whether it got the canary.

    `stable` and `canary` are the parts to be answered; with `blocked` set the canary's rows are answered by stable.
    """

    u: list[int]
    bucket: list[int]
    cohort: list[str | None]
    is_canary: list[bool]
    stable: Part
    canary: Part
    blocked: Fallback | None


def split(batch: Requests, router: Router, blocked: Fallback | None = None) -> Routed:
    """Assign every row of the batch; `blocked` says why the canary may not be asked now.

    While the canary should get traffic a blocked batch is no evidence even if none of its rows is the canary's: the
    other side of the comparison would be counted alone.
    """
    assigned = router.assign(batch.keys, [identity.encode() for identity in batch.ids], batch.column)
    is_canary: list[bool] = assigned.canary.tolist()
    all_rows = range(len(batch))
    block = blocked if router.threshold > 0 else None
    to_canary = [] if block else [i for i in all_rows if is_canary[i]]
    to_stable = list(all_rows) if block else [i for i in all_rows if not is_canary[i]]
    cohorts = assigned.cohort.tolist()
    names: list[str | None] = [None] * len(batch)
    if any(cohorts):
        names = [COHORT_NAMES[Cohort(code)] for code in cohorts]
    return Routed(
        assigned.u.tolist(), assigned.bucket.tolist(), names, is_canary, Part(to_stable), Part(to_canary), block
    )


@dataclass(frozen=True, slots=True)
class Settled:
    """A model's verdict on the rows of one part.

    `values` maps a row of the batch to its finite answer; `faults` a row to the code of its fault; `calls` the first
    row of each call to the call; `by_call` holds rows whose fault is that of their whole call; `latency_ms` is the
    time from consuming the batch to these answers.
    """

    values: dict[int, float]
    faults: dict[int, str]
    calls: dict[int, Call]
    by_call: frozenset[int]
    latency_ms: float


NOTHING = Settled({}, {}, {}, frozenset(), 0.0)
"""What a part without rows settles to."""


def settle(part: Part, answers: Answers, latency_ms: float) -> Settled:
    """Return what `answers` (one per row of the part, in order) means for the rows of the batch."""
    rows = part.rows
    values = dict(zip(rows, answers.values.tolist(), strict=True))
    faults: dict[int, str] = {rows[i]: code for i, code in answers.faults.items()}
    for row in faults:
        del values[row]
    assert all(map(math.isfinite, values.values())), "the engine let a number through that is not finite"
    calls = {rows[call.first_row]: Call(call.rows, round(call.ms, 3), call.fault) for call in answers.calls}
    by_call = frozenset(rows[i] for i in answers.by_call)
    return Settled(values, faults, calls, by_call, round(latency_ms, 3))


def timed_out(part: Part, call_ms: float, latency_ms: float) -> Settled:
    """Return what a canary call that did not answer in time means: every row lost, by one call."""
    fault = Fault.MODEL_TIMEOUT.value
    first = {part.rows[0]: Call(len(part.rows), round(call_ms, 3), fault)}
    return Settled({}, dict.fromkeys(part.rows, fault), first, frozenset(part.rows), round(latency_ms, 3))


def prediction_records(
    batch: Requests,
    routed: Routed,
    settled: Settled,
    model: Manifest,
    rollout: str,
    revision: int,
    fallback: Mapping[int, str] | None = None,
) -> list[OutputRecord]:
    """Return the predictions of the answered rows in offset order.

    `fallback` maps a row to the code that says why `model` answered for the canary.
    """
    records: list[OutputRecord] = []
    ids, srcs, ts, keys, headers = batch.ids, batch.srcs, batch.ts, batch.kafka_keys, batch.headers
    name, version, latency_ms = model.name, model.version, settled.latency_ms
    names = ("stable", "canary")
    for row, value in settled.values.items():
        prediction = Prediction(
            id=ids[row],
            rollout=rollout,
            variant=names[routed.is_canary[row]],
            model_name=name,
            model_version=version,
            prediction=value,
            ts=ts[row],
            latency_ms=latency_ms,
            revision=revision,
            src=srcs[row],
        )
        if fallback and row in fallback:
            prediction.fallback = fallback[row]
        meta = batch.requests[row].meta
        if meta is not msgspec.UNSET:
            prediction.meta = meta
        records.append((keys[row], encode(prediction), headers.get(row)))
    return records


def outcome_records(
    batch: Requests,
    routed: Routed,
    stable: Settled,
    canary: Settled,
    rescue: Settled,
    versions: tuple[str, str],
    rollout: str,
    revision: int,
    features: dict[str, list[int]] | None = None,
) -> list[OutputRecord]:
    """Return one outcome per row in offset order.

    `rescue` is stable's answer to rows that the canary lost: the loss stays the canary's, the prediction is what the
    user got. `versions` are stable's and the canary's. A blocked batch is no evidence as a whole. A call is told by
    the first of its rows that is evidence, the `features` of the batch by the first of all.
    """
    records: list[OutputRecord] = []
    blocked = routed.blocked
    untold: dict[int, Call] = {}
    columns = zip(
        batch.ids, batch.srcs, batch.ts, routed.u, routed.bucket, routed.is_canary, routed.cohort, batch.requests,
        strict=True,
    )  # fmt: skip
    for row, (identity, src, ts, u, bucket, is_canary, cohort, request) in enumerate(columns):
        settled = canary if is_canary and blocked is None else stable
        code = settled.faults.get(row)
        source = rescue if code is not None and settled is canary else settled
        if blocked is not None and is_canary:
            code = code or blocked.value
        outcome = Outcome(
            id=identity,
            src=src,
            rollout=rollout,
            variant="canary" if is_canary else "stable",
            model_version=versions[is_canary],
            mode="live",
            ok=code is None,
            latency_ms=source.latency_ms,
            ts=ts,
            revision=revision,
            u=u,
            bucket=bucket,
            prediction=source.values.get(row),
        )
        if (call := settled.calls.get(row)) is not None:
            untold[id(settled)] = call
        if cohort is not None:
            outcome.cohort = cohort
        else:
            if untold and (call := untold.pop(id(settled), None)) is not None:
                outcome.call = call
            if features is not None:
                outcome.features, features = features, None
        if code is not None:
            outcome.error_code = code
            outcome.key_hash = key_hash(batch.keys[row])
            outcome.by_call = row in settled.by_call
        if blocked is not None:
            outcome.evidence = False
        if request.segment:
            outcome.segment = request.segment
        records.append((identity.encode(), encode(outcome), None))
    return records


def unanswered(batch: Requests, stable: Settled, rescue: Settled) -> list[Rejected]:
    """Return the rows that no model could answer, as rejected requests in offset order."""
    lost = {**stable.faults, **rescue.faults}
    return [
        Rejected(
            batch.records[row],
            batch.ids[row],
            batch.ts[row],
            DecodeError(code, f"the stable model failed on this request ({code})", stage="predict"),
        )
        for row, code in sorted(lost.items())
    ]


def error_record(rejected: Rejected, rollout: str) -> OutputRecord:
    """Return the error record that answers a rejected request."""
    record = rejected.record
    body = ErrorRecord(
        id=rejected.id,
        rollout=rollout,
        ts=rejected.ts,
        src=f"{record.topic}/{record.partition}@{record.offset}",
        error=rejected.error.message,
        error_code=rejected.error.code,
    )
    key = record.key if record.key is not None else rejected.id.encode()
    return key, encode(body), passed_on(record.headers) or None


def dead_letter(rejected: Rejected, group: str, model: str) -> tuple[bytes | None, bytes | None, Headers]:
    """Return the original key and value byte for byte, and the original headers with ours behind them."""
    record, error = rejected.record, rejected.error
    facts = {
        "code": error.code,
        "message": error.message,
        "stage": error.stage,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
        "group": group,
        "model": model,
    }
    ours = [(f"__coalmine.errors.{name}", text.encode()) for name, text in facts.items()]
    return record.key, record.value, [*record.headers, *ours]
