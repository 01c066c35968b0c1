"""What both rivals share: typed requests, the routing rule, the two models, and the two records of a request.

Written as a skilled engineer would without coalmine: msgspec for the wire, numpy for a batch, xxhash for the split.
Nothing of coalmine is imported, but the fields of the records are those of coalmine, and so is their work: one model
call a variant, sticky routing by key.
"""

import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np
import skops.io
import xxhash
from numpy.typing import NDArray

from .job import Job
from .traffic import FEATURES

__all__ = ["ROLLOUT", "Models", "Outcome", "Prediction", "RequestBody", "decode", "encode", "records", "route"]

VARIANTS = ("stable", "canary")
REVISION = 1
ROLLOUT = "bench"
SALT = b"0123456789abcdef"
"""As long as coalmine's, so that the hash costs the same."""

Features = msgspec.defstruct("Features", [(name, float) for name in FEATURES])
row_of = msgspec.structs.astuple


class RequestBody(msgspec.Struct):
    """A request; `features` is typed by the names of the features."""

    id: str
    key: str
    ts: int
    features: Features  # type: ignore[valid-type]


class Prediction(msgspec.Struct):
    """The answer to one request."""

    id: str
    rollout: str
    variant: str
    model_name: str
    model_version: str
    prediction: float
    ts: int
    latency_ms: float
    revision: int
    src: str
    v: int = 1


class Call(msgspec.Struct):
    """One model call, told by its first row."""

    rows: int
    ms: float


class Outcome(msgspec.Struct, omit_defaults=True):
    """What serving did with one request."""

    id: str
    src: str
    rollout: str
    variant: str
    model_version: str
    mode: str
    ok: bool
    latency_ms: float
    ts: int
    revision: int
    u: int
    bucket: int
    prediction: float
    call: Call | None = None
    v: int = msgspec.field(default_factory=lambda: 1)


decode = msgspec.json.Decoder(RequestBody).decode
encode = msgspec.json.Encoder().encode


class Models:
    """Stable and canary as scikit-learn loads them."""

    def __init__(self, job: Job) -> None:
        self._models = [skops.io.load(Path(package) / "model.skops") for package in (job.stable, job.canary)]

    def predict(self, variant: int, requests: Sequence[RequestBody]) -> list[float]:
        """Return the probability of class 1 for each request, in one call."""
        cells = chain.from_iterable([row_of(request.features) for request in requests])
        matrix = np.fromiter(cells, np.float64, len(requests) * len(FEATURES)).reshape(len(requests), len(FEATURES))
        answers: list[float] = self._models[variant].predict_proba(matrix)[:, 1].tolist()
        return answers


def route(requests: Sequence[RequestBody], weight: float) -> tuple[list[int], list[int], NDArray[np.bool_]]:
    """Return for each request the routing hash 0..999999, the bucket 0..63, and whether it gets the canary."""
    keys = [request.key.encode() for request in requests]
    u = [xxhash.xxh3_64_intdigest(SALT + key) * 1_000_000 >> 64 for key in keys]
    bucket = [xxhash.xxh3_64_intdigest(key) >> 58 for key in keys]
    return u, bucket, np.array(u) < round(weight * 10_000)


def records(
    requests: Sequence[RequestBody], srcs: Sequence[str], models: Models, weight: float, started: float
) -> list[tuple[bytes, bytes]]:
    """Return the encoded prediction and outcome of each request; `started` is the `time.perf_counter` of its poll."""
    u, bucket, is_canary = route(requests, weight)
    answers, calls = [0.0] * len(requests), {}
    for variant in (0, 1):
        rows = np.flatnonzero(is_canary == bool(variant)).tolist()
        if rows:
            called = time.perf_counter()
            values = models.predict(variant, [requests[row] for row in rows])
            calls[rows[0]] = Call(len(rows), round((time.perf_counter() - called) * 1e3, 3))
            for row, value in zip(rows, values, strict=True):
                answers[row] = value
    latency_ms = round((time.perf_counter() - started) * 1e3, 3)
    out = []
    for row, (request, src, value, canary) in enumerate(zip(requests, srcs, answers, is_canary.tolist(), strict=True)):
        name, version = VARIANTS[canary], "12"[canary]
        prediction = Prediction(request.id, ROLLOUT, name, "bench", version, value, request.ts, latency_ms,
                                REVISION, src)  # fmt: skip
        outcome = Outcome(request.id, src, ROLLOUT, name, version, "live", True, latency_ms, request.ts, REVISION,
                          u[row], bucket[row], value, calls.get(row))  # fmt: skip
        out.append((encode(prediction), encode(outcome)))
    return out
