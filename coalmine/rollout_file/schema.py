"""The rollout file as its author writes it: which keys there are, in which units, with which defaults.

Validation says what is wrong in the words of the author; turning a validated file into a `Plan` cannot fail.
"""

from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from coalmine.policies import (
    MOST_SAMPLES,
    Analysis,
    By,
    Check,
    Clock,
    Metric,
    ModelRef,
    OnInsufficient,
    Plan,
    Role,
    Routing,
    Rule,
    Step,
    Topics,
    Variant,
)

from ..suggest import one_of
from .presets import DEFAULT_CHECKS, MARGINS, PRESETS, SLOWER_THAN_MS, default_tolerance
from .units import quoted
from .words import (
    Digest,
    KeyField,
    Longer,
    Margin,
    MetricWord,
    Milliseconds,
    Name,
    OfOneCall,
    Points,
    RowField,
    Share,
    Text,
    TopicName,
    Uri,
    Values,
    Weight,
    word_of,
)

__all__ = ["LATER_KEYS", "RolloutFile", "keys_under"]

LATER_KEYS = frozenset(
    ("shadow", "bake", "windows", "notify", "on_success", "segment_by", "labels", "field", "direction", "cap")
)
"""Keys that the format knows and this version does not act on; they are refused, never ignored."""


class Part(BaseModel):
    """A mapping of the file: unknown keys are errors, nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelPart(Part):
    """Where a model package is and, if given, what its content must be."""

    uri: Uri
    digest: Digest | None = None

    def value(self) -> ModelRef:
        """Return it for the plan."""
        return ModelRef(uri=self.uri, digest=self.digest or "")


class TopicsPart(Part):
    """Topics that are not called `{name}.requests` and so on."""

    requests: TopicName | None = None
    predictions: TopicName | None = None
    outcomes: TopicName | None = None
    feedback: TopicName | None = None
    labels: TopicName | None = None
    dead_letters: TopicName | None = None

    def value(self, rollout: str) -> Topics:
        """Return all names, the default ones for those not given."""
        given = self.model_dump(exclude_none=True)
        defaults = Topics.of(rollout)
        return Topics(**{name: given.get(name, getattr(defaults, name)) for name in TopicsPart.model_fields})


class RulePart(Part):
    """Rows whose field has a value go to a variant."""

    when: Annotated[dict[RowField, Values], Field(min_length=1, max_length=1)]
    variant: Annotated[Variant, word_of({"stable": Variant.STABLE, "canary": Variant.CANARY})]

    def value(self) -> Rule:
        """Return it for the plan."""
        [(name, values)] = self.when.items()
        return Rule(field=name, values=tuple(values), variant=self.variant)


class RoutingPart(Part):
    """Who may get the canary."""

    by: Annotated[By, word_of({item.value: item for item in By})] = By.KEY
    key: KeyField = "key"
    deny: list[Text] = []
    allow: list[Text] = []
    rules: list[RulePart] = []
    only: dict[RowField, Values] = {}

    def value(self) -> Routing:
        """Return it for the plan."""
        return Routing(
            by=self.by,
            key=self.key,
            deny=tuple(self.deny),
            allow=tuple(self.allow),
            rules=tuple(rule.value() for rule in self.rules),
            only={name: tuple(values) for name, values in self.only.items()},
        )


class StepPart(Part):
    """One step of the ramp."""

    weight: Weight
    hold: Milliseconds = Step(weight=1).hold_ms
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] = Step(weight=1).samples
    margin_factor: Annotated[float, Field(ge=1)] = 1.0
    approval: bool = False

    @classmethod
    def of(cls, step: Step) -> "StepPart":
        """Return a step of a preset as if it had been written."""
        return cls.model_construct(
            weight=step.weight,
            hold=step.hold_ms,
            samples=step.samples,
            margin_factor=step.margin_factor,
            approval=step.approval,
        )

    def value(self) -> Step:
        """Return it for the plan."""
        return Step(
            weight=self.weight,
            hold_ms=self.hold,
            samples=self.samples,
            margin_factor=self.margin_factor,
            approval=self.approval,
        )


def rising(steps: list[StepPart]) -> list[StepPart]:
    """Return steps whose weights rise; a ramp that falls or stands still is a slip."""
    for before, after in pairwise(steps):
        if after.weight <= before.weight:
            raise ValueError(f"weights must rise, but {after.weight:g}% follows {before.weight:g}%")
    return steps


class CheckPart(Part):
    """A rule on one metric. `metric` and `margin` stand first: the others are checked against them."""

    metric: MetricWord
    margin: Margin | None = None
    tolerance: Points | None = None
    limit: Share | None = None
    role: Annotated[Role, word_of({item.value: item for item in Role})] = Role.GUARDRAIL
    dry_run: bool = False
    slower_than: Longer | None = None

    @field_validator("tolerance")
    @classmethod
    def tolerance_within_margin(cls, tolerance: float | None, info: ValidationInfo) -> float | None:
        """Refuse a tolerance above the margin: a canary between them would be both promotable and to roll back."""
        bound = info.data.get("margin") or MARGINS.get(info.data.get("metric", Metric.ERROR_RATE), 1.0)
        if tolerance is not None and tolerance > bound:
            raise ValueError("the tolerance must not exceed the margin; lower it or raise the margin")
        return tolerance

    @field_validator("slower_than")
    @classmethod
    def threshold_of_slow_rate(cls, slower_than: int | None, info: ValidationInfo) -> int | None:
        """Refuse a threshold on a metric that has none."""
        if info.data.get("metric", Metric.SLOW_RATE) is not Metric.SLOW_RATE:
            raise ValueError("only metric slow_rate has a threshold; remove it")
        return slower_than

    def value(self, name: str) -> Check:
        """Return it for the plan with the defaults of its metric."""
        margin = MARGINS[self.metric] if self.margin is None else self.margin
        tolerance = default_tolerance(self.metric, margin) if self.tolerance is None else self.tolerance
        threshold = SLOWER_THAN_MS if self.metric is Metric.SLOW_RATE else None
        return Check(
            name=name,
            metric=self.metric,
            margin=margin,
            tolerance=tolerance,
            limit=self.limit,
            role=self.role,
            dry_run=self.dry_run,
            slower_than_ms=threshold if self.slower_than is None else float(self.slower_than),
        )


class AnalysisPart(Part):
    """How and how often the evidence is judged."""

    every: Longer = Analysis().every_ms
    clock: Annotated[Clock, word_of({item.value: item for item in Clock})] = Analysis().clock
    alpha: Annotated[float, Field(gt=0, le=0.5)] = Analysis().alpha
    deadline: Longer = Analysis().deadline_ms
    on_insufficient: Annotated[OnInsufficient, word_of({item.value: item for item in OnInsufficient})] = (
        Analysis().on_insufficient
    )
    freshness: Longer = Analysis().freshness_ms
    checks: Annotated[dict[Name, CheckPart], Field(min_length=1)] | None = None

    def value(self) -> Analysis:
        """Return it for the plan; a file without checks gets errors and slow."""
        checks = tuple(check.value(name) for name, check in (self.checks or {}).items())
        return Analysis(
            every_ms=self.every,
            clock=self.clock,
            alpha=self.alpha,
            deadline_ms=self.deadline,
            on_insufficient=self.on_insufficient,
            freshness_ms=self.freshness,
            checks=checks or DEFAULT_CHECKS,
        )


def default_steps() -> list[StepPart]:
    """Return the ramp of a file that names none."""
    return [StepPart.of(step) for step in PRESETS["default"]]


def steps_of_preset(written: object) -> object:
    """Return the steps a word stands for; a list stays as it is."""
    if isinstance(written, list):
        return written
    if written == "all-at-once":
        raise ValueError("all-at-once needs shadow and bake, which are not supported in this version; use fast")
    if not isinstance(written, str) or written not in PRESETS:
        raise ValueError(f"{one_of(quoted(written), PRESETS)} (or write a list of steps)")
    return [StepPart.of(step) for step in PRESETS[written]]


class RolloutFile(Part):
    """A whole file."""

    apiVersion: Annotated[str, word_of({"coalmine.dev/v1": "coalmine.dev/v1"})]  # noqa: N815 - as in Kubernetes
    kind: Annotated[str, word_of({"Rollout": "Rollout"})]
    name: Name
    description: str = ""
    topics: TopicsPart = TopicsPart()
    stable: ModelPart
    canary: ModelPart | None = None
    routing: RoutingPart = RoutingPart()
    steps: Annotated[list[StepPart], BeforeValidator(steps_of_preset), Field(min_length=1), AfterValidator(rising)] = (
        Field(default_factory=default_steps)
    )
    analysis: AnalysisPart = AnalysisPart()
    canary_timeout: OfOneCall = 250
    load_timeout: Longer = 120_000
    deadline: Longer | None = None
    breaker: Annotated[bool, word_of({"on": True, "off": False})] = True

    def value(self) -> Plan:
        """Return the plan of this file, every default filled in."""
        return Plan(
            name=self.name,
            description=self.description,
            topics=self.topics.value(self.name),
            stable=self.stable.value(),
            canary=self.canary.value() if self.canary else None,
            routing=self.routing.value(),
            steps=tuple(step.value() for step in self.steps),
            analysis=self.analysis.value(),
            canary_timeout_ms=self.canary_timeout,
            load_timeout_ms=self.load_timeout,
            request_deadline_ms=self.deadline,
            breaker=self.breaker,
        )


PARTS: dict[tuple[str, ...], type[Part]] = {
    (): RolloutFile,
    ("topics",): TopicsPart,
    ("stable",): ModelPart,
    ("canary",): ModelPart,
    ("routing",): RoutingPart,
    ("routing", "rules", "*"): RulePart,
    ("steps", "*"): StepPart,
    ("analysis",): AnalysisPart,
    ("analysis", "checks", "*"): CheckPart,
}
"""The mappings of a file by where they stand; `*` is an index or the name of a check."""


def keys_under(path: tuple[str | int, ...]) -> list[str]:
    """Return the keys that may stand in the mapping at `path`."""
    named = path[:2] == ("analysis", "checks")
    shape = tuple("*" if isinstance(part, int) or (named and index == 2) else part for index, part in enumerate(path))
    part = PARTS.get(shape)
    return list(part.model_fields) if part else []
