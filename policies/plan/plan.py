"""The plan of a rollout: what its author fixed beforehand. Values only; YAML is read elsewhere.

Every field that is a time ends in `_ms`, every weight is percent 0..100, every margin, tolerance and limit is
an absolute difference or rate 0..1 (`0.5pp` in a file is 0.005 here). The JSON form of these dataclasses is
what a `start` command carries as `file`, so a name here is a name on the wire.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from .metric import Metric
from .step import LONGEST_MS, MOST_SAMPLES, WEIGHT_UNITS, Bake, Step, check_ms, is_routable
from .windows import MOST_WINDOWS, Window

__all__ = [
    "FAULT_CODES",
    "LONGEST_CALL_MS",
    "LONGEST_MS",
    "MOST_SAMPLES",
    "NAME",
    "NOT_KEYS",
    "TOPIC",
    "WEIGHT_UNITS",
    "Analysis",
    "Bake",
    "By",
    "Check",
    "Clock",
    "Direction",
    "Metric",
    "ModelRef",
    "OnInsufficient",
    "OnSuccess",
    "Plan",
    "Role",
    "Routing",
    "Rule",
    "Step",
    "Topics",
    "Variant",
    "Window",
    "is_routable",
]

LONGEST_CALL_MS = 3_600_000
"""No call of a model may take longer than an hour."""

NAME = re.compile(r"[a-z0-9-]{1,40}")
"""What a rollout and a check may be called: the name becomes part of topics and ids."""

TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
"""What Kafka accepts as the name of a topic."""

NOT_KEYS = frozenset(("ts", "meta", "v", "segment", "features", "specversion", "data"))
"""Fields of a request with a meaning of their own: no routing key can stand in them. `id` can be one."""

FAULT_CODES = ("model_error", "model_timeout", "bad_output")
"""What a model can do wrong; a loss of the variant that was assigned."""


def check_name(of: str, name: str) -> None:
    """Raise ValueError, naming what it is the name `of`, for what neither a rollout nor a check may be called."""
    if NAME.fullmatch(name) is None:
        raise ValueError(f"the name of {of} has a-z, 0-9 and -, at most 40")


class Variant(Enum):
    """One of the models that may answer or watch."""

    STABLE = "stable"
    CANARY = "canary"
    SHADOW = "shadow"


class By(Enum):
    """What is randomised: every key once and for all, or every request by itself."""

    KEY = "key"
    RANDOM = "random"


class Role(Enum):
    """What a check may do: roll back and block promotion, hold the ramp, or only be shown."""

    GUARDRAIL = "guardrail"
    SIGNAL = "signal"
    INFO = "info"


class Direction(Enum):
    """Which way a mean gets worse."""

    INCREASE = "increase"
    DECREASE = "decrease"


class Clock(Enum):
    """Whose time counts for looks, holds and the deadline: the analyzer's, or that of the events."""

    WALL = "wall"
    EVENT = "event"


class OnInsufficient(Enum):
    """What happens when the deadline passes without an answer. Never a promotion."""

    HOLD = "hold"
    PAUSE = "pause"
    ROLLBACK = "rollback"


class OnSuccess(Enum):
    """What happens when every check has passed on the last stage: the promotion, or a person decides."""

    PROMOTE = "promote"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A model package by address and content.

    `digest` is `sha256:<64 hex>` over the manifest's bytes; empty until the package was resolved.
    """

    uri: str
    digest: str = ""
    name: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Rows whose field equals one of `values` go to `variant`; they are pinned and never evidence.

    `field` is `segment.<name>` or `feature.<name>`.
    """

    field: str
    values: tuple[str, ...]
    variant: Variant

    def __post_init__(self) -> None:
        if self.variant is Variant.SHADOW:
            raise ValueError(f"a rule on {self.field} names the shadow, which answers nobody: stable or canary")


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Who may get the canary. Order: deny, allow, rules, only, then the hash; the first match wins.

    `key` names the field of a request that holds the routing key: a field of its own, `id`, `segment.<name>` or
    `feature.<name>`.
    """

    by: By = By.KEY
    key: str = "key"
    deny: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.key or self.key in NOT_KEYS:
            raise ValueError("the key field must not be empty nor one of " + ", ".join(sorted(NOT_KEYS)))


CAPPED = {True: "needs a cap above 0 that bounds its losses", False: "has losses of 0..1 and takes no cap"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A rule on one metric.

    `margin`: must be shown not to be worse by this much, for promotion. `tolerance`: must be shown worse than
    this, for rollback. Both are in the unit of the metric, or shares of stable's mean where `relative`. `limit`:
    absolute bound on the canary whatever stable does; `fallback_rate`, which compares nothing, has no other, nor has
    `feature_drift`, whose limit is a total variation distance from the rows the canary was trained on.

    By metric: `slower_than_ms` for `slow_rate`, None freezes a threshold from stable's own calls before step 1;
    `field`, `direction` for `mean`; `cap` bounds losses that have no bound of their own
    (`Metric.has_cap`); `own` names the class of an own metric; `code` the fault that `error_code` counts, one of
    `FAULT_CODES`.

    `segment_by` compares each value of a field of `segment` by itself.
    """

    name: str
    metric: Metric
    margin: float
    tolerance: float = 0.0
    limit: float | None = None
    role: Role = Role.GUARDRAIL
    dry_run: bool = False
    slower_than_ms: float | None = None
    field: str | None = None
    direction: Direction = Direction.INCREASE
    cap: float | None = None
    relative: bool = False
    own: str | None = None
    segment_by: str | None = None
    code: str | None = None

    @property
    def scale(self) -> float:
        """The range of a loss, in the unit of the metric: dividing by it brings a loss into 0..1."""
        return self.cap if self.cap is not None else 1.0

    @property
    def acts(self) -> bool:
        """Whether the check can roll back and must pass for promotion."""
        return self.role is Role.GUARDRAIL and not self.dry_run

    @property
    def is_approximate_by_key(self) -> bool:
        """Whether the check is a guardrail whose test is approximate where rows come from sticky keys."""
        return self.metric is Metric.PREDICTION_DRIFT and self.role is Role.GUARDRAIL

    def __post_init__(self) -> None:
        highest = 1.0 if self.relative else self.scale
        if not 0 < self.margin < highest:
            raise ValueError(f"check {self.name}: margin {self.margin:g} is not between 0 and {highest:g}")
        if not 0 <= self.tolerance <= self.margin:
            raise ValueError(f"check {self.name}: tolerance {self.tolerance} is not between 0 and the margin")
        if self.limit is not None and not 0 < self.limit < self.scale:
            raise ValueError(f"check {self.name}: limit {self.limit:g} is not between 0 and {self.scale:g}")
        if self.metric.has_cap != (self.cap is not None) or not 0 < self.scale < math.inf:
            raise ValueError(f"check {self.name}: {self.metric.value} {CAPPED[self.metric.has_cap]}")
        if (self.metric is Metric.MEAN) != (self.field is not None):
            raise ValueError(f"check {self.name}: a field is what metric mean is taken of, and nothing else")
        if (self.metric is Metric.OWN) != (self.own is not None):
            raise ValueError(f"check {self.name}: metric own names its class, and no other does")
        if self.limit is not None and not (self.metric.is_event or self.metric.has_only_a_limit):
            raise ValueError(f"check {self.name}: only a rate has a limit")
        if self.relative and self.metric is not Metric.MEAN:
            raise ValueError(f"check {self.name}: only a mean has a margin relative to stable's")
        if self.code not in (FAULT_CODES if self.metric is Metric.ERROR_CODE else (None,)):
            raise ValueError(f"check {self.name}: error_code names one of {', '.join(FAULT_CODES)}, and no other does")
        if self.metric.has_only_a_limit and (self.limit is None or self.role is Role.GUARDRAIL):
            raise ValueError(f"check {self.name}: {self.metric.value} has a limit, and is a signal or info")
        if self.segment_by is not None and self.metric.is_over_all_rows:
            raise ValueError(f"check {self.name}: {self.metric.value} is compared over all rows, not by segment")
        if self.segment_by is not None and self.metric is Metric.SLOW_RATE:
            raise ValueError(f"check {self.name}: a call has rows of several segments, so slow_rate has none")
        if self.slower_than_ms is not None and not 0 < self.slower_than_ms <= LONGEST_MS:
            raise ValueError(f"check {self.name}: slower_than_ms {self.slower_than_ms} is no duration of a call")
        check_name("a check", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """How and how often the evidence is judged."""

    every_ms: int = 10_000
    clock: Clock = Clock.WALL
    alpha: float = 0.05
    deadline_ms: int = 86_400_000
    on_insufficient: OnInsufficient = OnInsufficient.HOLD
    freshness_ms: int = 300_000
    checks: tuple[Check, ...] = ()

    def __post_init__(self) -> None:
        check_ms("every", self.every_ms, 1)
        check_ms("the deadline of the analysis", self.deadline_ms, 1)
        check_ms("freshness", self.freshness_ms, 1)
        if not 0 < self.alpha <= 0.5:
            raise ValueError(f"alpha {self.alpha} is not above 0 and at most 0.5")
        names = [check.name for check in self.checks]
        if len(set(names)) < len(names):
            raise ValueError("two checks have the same name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The topics of one rollout, by name."""

    requests: str
    predictions: str
    outcomes: str
    feedback: str
    labels: str
    dead_letters: str

    def __post_init__(self) -> None:
        for name in (self.requests, self.predictions, self.outcomes, self.feedback, self.labels, self.dead_letters):
            if TOPIC.fullmatch(name) is None:
                raise ValueError("the name of a topic has letters, digits, ., _ and -, at most 249")

    @classmethod
    def of(cls, rollout: str) -> "Topics":
        """Return the default names: `{rollout}.requests` and so on."""
        return cls(
            requests=f"{rollout}.requests",
            predictions=f"{rollout}.predictions",
            outcomes=f"{rollout}.outcomes",
            feedback=f"{rollout}.feedback",
            labels=f"{rollout}.labels",
            dead_letters=f"{rollout}.dead-letters",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole rollout file, every default filled in.

    `steps` is the ramp, weights rising; step indices on the wire count from 1, and the bake is the one after the last.
    `canary_timeout_ms` bounds one call of the canary; `request_deadline_ms` bounds the age of a request that is still
    answered. `windows` are when automation may move up, none: always.
    """

    name: str
    description: str = ""
    topics: Topics
    stable: ModelRef
    canary: ModelRef | None = None
    routing: Routing = field(default_factory=Routing)
    steps: tuple[Step, ...]
    bake: Bake | None = None
    on_success: OnSuccess = OnSuccess.PROMOTE
    windows: tuple[Window, ...] = ()
    analysis: Analysis = field(default_factory=Analysis)
    canary_timeout_ms: int = 250
    load_timeout_ms: int = 120_000
    request_deadline_ms: int | None = None
    breaker: bool = True

    def __post_init__(self) -> None:
        weights = [step.weight for step in self.steps]
        if not weights or weights != sorted(set(weights)):
            raise ValueError("steps must be given and their weights must rise")
        if self.bake is not None and self.bake.weight <= weights[-1]:
            raise ValueError("the bake must give the canary more than the last step does")
        if self.routing.by is By.KEY and any(check.is_approximate_by_key for check in self.analysis.checks):
            raise ValueError("under routing by key a check on prediction_drift is a signal or info, no guardrail")
        if len(self.windows) > MOST_WINDOWS:
            raise ValueError(f"there are at most {MOST_WINDOWS} windows")
        check_name("a rollout", self.name)
        check_ms("canary_timeout", self.canary_timeout_ms, 1, LONGEST_CALL_MS)
        check_ms("load_timeout", self.load_timeout_ms, 0)
        if self.request_deadline_ms is not None:
            check_ms("the deadline of a request", self.request_deadline_ms, 1)

    @property
    def stages(self) -> tuple[Step, ...]:
        """What automation walks through before the promotion: the steps, then the bake if there is one.

        The bake asks for as many rows as the last step; what it adds is time, and the whole margin.
        """
        if self.bake is None:
            return self.steps
        last = Step(weight=self.bake.weight, hold_ms=self.bake.hold_ms, samples=self.steps[-1].samples)
        return (*self.steps, last)
