"""The records on the wire, typed. The structs are the one source: decoding validates against them.

Rules: values are UTF-8 JSON objects; readers ignore unknown fields; nothing is renamed or retyped inside `v: 1`.
Hot topics carry `ts` as epoch milliseconds, cold topics `time` as RFC 3339 UTC. `src` is
`topic/partition@offset` of the request a record answers.
"""

from enum import Enum
from typing import Annotated, Any

import msgspec

from coalmine.policies import MOST_BINS_EACH, MOST_FEATURES, FrozenNumbers, ModelRef

__all__ = [
    "VERSION",
    "Call",
    "ErrorRecord",
    "Event",
    "Evidence",
    "Fallback",
    "Fault",
    "FeatureCounts",
    "Feedback",
    "FindingRecord",
    "Heartbeat",
    "LoadedModel",
    "Look",
    "OpenBreaker",
    "Outcome",
    "Prediction",
    "RequestCode",
    "RolloutView",
    "StepView",
    "WorkersView",
]

VERSION = 1
"""The major version of every record; a reader refuses another one as `unsupported_version`."""

RowCount = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
"""Rows of one batch."""

FeatureCounts = Annotated[
    dict[str, Annotated[list[RowCount], msgspec.Meta(max_length=MOST_BINS_EACH)]],
    msgspec.Meta(max_length=MOST_FEATURES),
]
"""Rows of a batch by feature and bin; what no batch could bring is refused before it is added up."""


class RequestCode(Enum):
    """Why a request has no answer; the producer must act (but for the last two)."""

    BAD_JSON = "bad_json"
    REGISTRY_FRAMING = "registry_framing"
    BAD_TYPE = "bad_type"
    MISSING_FEATURE = "missing_feature"
    UNKNOWN_CATEGORY = "unknown_category"
    OUT_OF_RANGE = "out_of_range"
    TOO_LARGE = "too_large"
    UNSUPPORTED_VERSION = "unsupported_version"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    INTERNAL = "internal"


class Fault(Enum):
    """What a model did wrong; a loss of the assigned variant."""

    MODEL_ERROR = "model_error"
    MODEL_TIMEOUT = "model_timeout"
    BAD_OUTPUT = "bad_output"


class Fallback(Enum):
    """Why stable answered for a canary that is not to blame; nobody's loss, the batch is no evidence."""

    NOT_READY = "not_ready"
    SHED = "shed"
    BREAKER_OPEN = "breaker_open"
    CONTROL_STALE = "control_stale"


class Prediction(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One answer. `fallback` is a code of `Fault` or `Fallback` when stable answered for the canary."""

    id: str
    rollout: str
    variant: str
    model_name: str
    model_version: str
    prediction: float | str | list[float]
    ts: int
    latency_ms: float
    revision: int
    src: str
    v: int = msgspec.field(default_factory=lambda: VERSION)
    probabilities: list[float] | None = None
    fallback: str | None = None
    meta: Any = None


class ErrorRecord(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The answer to a request that has none, so that nobody waits for ever."""

    id: str
    rollout: str
    ts: int
    src: str
    error: str
    error_code: str
    v: int = msgspec.field(default_factory=lambda: VERSION)


class Call(msgspec.Struct, omit_defaults=True):
    """One model call, told by the first of its rows: rows in it, its duration, its fault if it failed whole."""

    rows: int
    ms: float
    fault: str | None = None


class Outcome(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What serving did with one request: one per request and variant that ran.

    `u` is the routing hash 0..999999, `bucket` 0..63 another hash of the key, `key_hash` (16 hex digits) only on rows
    with a fault. `cohort` is absent for randomised rows, else `pinned` or `out_of_scope`. `evidence` is False when
    the whole batch is left out. `by_call` marks a row that failed because its whole call did: the call counts the
    fault, on the first of its rows that are evidence. `features` are rows of the whole batch by feature and bin, on the
    first row of the batch that is evidence, while a check asks for them. `prediction` is what the user got (a number;
    None where it is not one).
    """

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
    prediction: float | str | list[float] | None = None
    error_code: str | None = None
    cohort: str | None = None
    evidence: bool = True
    by_call: bool = False
    call: Call | None = None
    segment: dict[str, str] | None = None
    pair: float | str | list[float] | None = None
    key_hash: str | None = None
    features: FeatureCounts | None = None
    v: int = msgspec.field(default_factory=lambda: VERSION)


class Feedback(msgspec.Struct, kw_only=True):
    """Truth that came later, as its owner writes it."""

    id: str
    label: float | str | bool | None = None
    value: float | None = None
    ts: int | None = None
    source: str | None = None


class Evidence(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Cumulative sums of one revision on one partition of `outcomes`, as of `offset` (next offset to read).

    `ts` is the highest event time (ms) folded on the partition; `sums` maps a variant to the JSON form of
    `policies.Sums`; `lag` is how many records the partition held beyond `offset` when this was written.
    `of` is how many records were written for this partition at this `offset`: they count together or not at all.
    """

    rollout: str
    revision: int
    partition: int
    offset: int
    ts: int
    sums: dict[str, Any]
    lag: int = 0
    of: int = 1
    v: int = msgspec.field(default_factory=lambda: VERSION)


class FindingRecord(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The result of one check at one look. Rates are 0..1, e-values are natural logarithms.

    Not finite numbers are absent. `status` is pass, fail, inconclusive, no_data or error.
    """

    check: str
    role: str
    status: str
    reason: str
    n: dict[str, int]
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    margin: float | None = None
    tolerance: float | None = None
    log_e_rollback: float | None = None
    log_e_promotion: float | None = None
    threshold: float | None = None
    measure: str = "rows"
    event: str = "failed"
    values: dict[str, float] = {}


class Look(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One evaluation of the evidence: its cut, what changed since the last one, findings, verdict, decision.

    `missing` says why evidence was not complete; `increments` is what `policies.replay` judges again.
    """

    rollout: str
    attempt: int
    look: int
    time: str
    control_offset: int
    evidence_offset: int
    offsets: dict[str, int]
    increments: list[dict[str, Any]]
    findings: list[FindingRecord]
    verdict: str
    decision: str
    reason: str
    now_ms: int
    missing: list[str] = []
    command_id: str | None = None
    v: int = msgspec.field(default_factory=lambda: VERSION)


class Event(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A change of phase or verdict, or the result of a command (`id` is then `control@<offset>`)."""

    id: str
    rollout: str
    kind: str
    reason: str
    phase: str
    revision: int
    weight: float
    time: str
    attempt: int | None = None
    command: str | None = None
    command_id: str | None = None
    result: str | None = None
    issued_by: str | None = None
    look: int | None = None
    hard_limit: str | None = None
    v: int = msgspec.field(default_factory=lambda: VERSION)


class LoadedModel(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A model on a worker: `status` is ready, loading, refused (never serves) or unavailable (may come)."""

    role: str
    uri: str
    digest: str
    status: str
    reason: str = ""


class OpenBreaker(msgspec.Struct, kw_only=True):
    """A canary that a worker cut by itself: why (`code`) and after how many faults."""

    rollout: str
    attempt: int
    revision: int
    code: str
    count: int


class Heartbeat(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a process says of itself every 2 s; key: the worker id. `role` is score or analyze.

    `partitions` maps a rollout to the partitions of its requests held here, `models` a rollout to its loaded
    models, `lag` a rollout to unread records; `stopping` is True in the last heartbeat of a clean stop.
    """

    worker: str
    host: str
    version: str
    role: str
    time: str
    control_offset: int
    partitions: dict[str, list[int]] = {}
    models: dict[str, list[LoadedModel]] = {}
    lag: dict[str, int] = {}
    breakers: list[OpenBreaker] = []
    cpu_seconds: float = 0.0
    rss_bytes: int = 0
    stopping: bool = False
    v: int = msgspec.field(default_factory=lambda: VERSION)


class StepView(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Progress in the ramp: step `index` of `of`, since when, canary samples needed and had.

    The bake, which follows the last step, has the index after it: `of` + 1.
    """

    index: int
    of: int
    since: str
    need: int
    have: int


class WorkersView(msgspec.Struct, kw_only=True):
    """How many live scoring workers have the canary ready."""

    ready: int
    of: int


class RolloutView(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The current state of a rollout as `{ns}.rollouts` shows it; a view, the log is the truth.

    `variants` maps a variant to figures for a screen (rows, faults, fault_rate, p50_ms, p99_ms, mean_prediction).
    """

    rollout: str
    phase: str
    message: str
    revision: int
    control_offset: int
    weight: float
    actual_weight: float
    file_digest: str
    time: str
    attempt: int | None = None
    look: int | None = None
    step: StepView | None = None
    stable: ModelRef | None = None
    canary: ModelRef | None = None
    frozen: FrozenNumbers | None = None
    findings: list[FindingRecord] = []
    variants: dict[str, dict[str, float]] = {}
    workers: WorkersView | None = None
    v: int = msgspec.field(default_factory=lambda: VERSION)
