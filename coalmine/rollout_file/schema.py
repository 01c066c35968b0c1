"""The rollout file as its author writes it: which keys there are, in which units, with which defaults.

Validation says what is wrong in the words of the author; turning a validated file into a `Plan` cannot fail. What each
key means stands here once: errors, the JSON Schema and the page of the documentation are made of it.
"""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from coalmine.policies import (
    MOST_SAMPLES,
    MOST_WINDOWS,
    Analysis,
    Bake,
    By,
    Clock,
    ModelRef,
    OnInsufficient,
    OnSuccess,
    Plan,
    Routing,
    Rule,
    Step,
    Topics,
    Variant,
)

from ..suggest import one_of
from .checks import CheckPart
from .part import Part, entry
from .presets import DEFAULT_CHECKS, LABELLED_SAMPLES, PRESETS
from .units import PERCENT, format_duration, format_percent, percent, quoted
from .windows import WindowPart
from .words import (
    Digest,
    KeyField,
    Longer,
    Milliseconds,
    Name,
    OfOneCall,
    OnOff,
    RowField,
    Text,
    TopicName,
    Uri,
    Values,
    Weight,
    shaped,
    word_of,
)

__all__ = ["LATER_KEYS", "PARTS", "RolloutFile", "keys_under"]

LATER_KEYS = frozenset(("shadow", "notify", "labels"))
"""Keys that the format knows and this version does not act on; they are refused, never ignored."""

STEP = Step(weight=1)
ANALYSIS = Analysis()
BAKE = Bake()


class ModelPart(Part):
    """Where a model package is and, if given, what its content must be."""

    uri: Uri = entry("address of the package; `${NAME}` is taken from the environment")
    digest: Digest | None = entry("what the content must be, so that nothing else is ever served", None)

    def value(self) -> ModelRef:
        """Return it for the plan."""
        return ModelRef(uri=self.uri, digest=self.digest or "")


class TopicsPart(Part):
    """Topics that are not called `{name}.requests` and so on."""

    requests: TopicName | None = entry("what producers write (default `{name}.requests`)", None)
    predictions: TopicName | None = entry("the answers (default `{name}.predictions`)", None)
    outcomes: TopicName | None = entry("what serving did (default `{name}.outcomes`)", None)
    feedback: TopicName | None = entry("truth that comes later (default `{name}.feedback`)", None)
    labels: TopicName | None = entry("truth by the key of its request (default `{name}.labels`)", None)
    dead_letters: TopicName | None = entry("requests that cannot be handled (default `{name}.dead-letters`)", None)

    def value(self, rollout: str) -> Topics:
        """Return all names, the default ones for those not given."""
        given = self.model_dump(exclude_none=True)
        defaults = Topics.of(rollout)
        return Topics(**{name: given.get(name, getattr(defaults, name)) for name in TopicsPart.model_fields})


class RulePart(Part):
    """Rows whose field has a value go to a variant."""

    when: Annotated[dict[RowField, Values], Field(min_length=1, max_length=1)] = entry(
        "one field, `segment.NAME` or `feature.NAME`, and the value or values that match"
    )
    variant: Annotated[Variant, word_of({"stable": Variant.STABLE, "canary": Variant.CANARY})] = entry(
        "who answers such a row; it is never evidence"
    )

    def value(self) -> Rule:
        """Return it for the plan."""
        [(name, values)] = self.when.items()
        return Rule(field=name, values=tuple(values), variant=self.variant)


class RoutingPart(Part):
    """Who may get the canary: deny, allow, rules, only, then the hash; the first match wins."""

    by: Annotated[By, word_of({item.value: item for item in By})] = entry(
        "`key`: the same key always gets the same variant; `random`: each request by itself", By.KEY.value
    )
    key: KeyField = entry("the field of a request that holds the key; absent there, the key of the Kafka record", "key")
    deny: list[Text] = entry("keys that never get the canary", [])
    allow: list[Text] = entry("keys that always get it while there is one", [])
    rules: list[RulePart] = entry("rows that are placed by a field", [])
    only: dict[RowField, Values] = entry("fields and values a row must have to be in scope", {})

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

    weight: Weight = entry("percent of the keys in scope that get the canary")
    hold: Milliseconds = entry("how long the step lasts at least", format_duration(STEP.hold_ms))
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] | None = entry(
        f"canary rows the step needs at least (default {STEP.samples}, {LABELLED_SAMPLES} if a check needs labels); "
        "the checks decide when it is done",
        None,
    )
    margin_factor: Annotated[float, Field(ge=1)] = entry("what every margin is multiplied by in this step", 1.0)
    approval: bool = entry("a person must approve before the step is left", False)

    @classmethod
    def of(cls, step: Step) -> "StepPart":
        """Return a step of a preset as if it had been written."""
        return cls.model_construct(
            weight=step.weight,
            hold=step.hold_ms,
            samples=None,
            margin_factor=step.margin_factor,
            approval=step.approval,
        )

    def value(self, samples: int) -> Step:
        """Return it for the plan; `samples` are those of a step that names none."""
        return Step(
            weight=self.weight,
            hold_ms=self.hold,
            samples=self.samples or samples,
            margin_factor=self.margin_factor,
            approval=self.approval,
        )


def held_back(holdback: float) -> float:
    """Return what stays at stable in the bake: something, and what the router can realise."""
    if not 0 < holdback < 100 or round(holdback, 4) != holdback:
        raise ValueError("a holdback is above 0%, below 100% and has at most 4 decimals")
    return holdback


def rising(steps: list[StepPart]) -> list[StepPart]:
    """Return steps whose weights rise; a ramp that falls or stands still is a slip."""
    for before, after in pairwise(steps):
        if after.weight <= before.weight:
            raise ValueError(f"weights must rise, but {after.weight:g}% follows {before.weight:g}%")
    return steps


class BakePart(Part):
    """The stage after the last step: nearly all traffic, with a little left at stable to compare with."""

    hold: Milliseconds = entry("how long it lasts at least", format_duration(BAKE.hold_ms))
    holdback: Annotated[float, BeforeValidator(percent), AfterValidator(held_back), shaped(PERCENT, "5%")] = entry(
        "percent of the keys in scope that stays at stable", format_percent(BAKE.holdback)
    )

    def value(self) -> Bake:
        """Return it for the plan."""
        return Bake(hold_ms=self.hold, holdback=self.holdback)


class AnalysisPart(Part):
    """How and how often the evidence is judged."""

    every: Longer = entry("time between two looks", format_duration(ANALYSIS.every_ms))
    clock: Annotated[Clock, word_of({item.value: item for item in Clock})] = entry(
        "whose time counts for looks, holds and the deadline: the analyzer's (`wall`) or the requests' (`event`)",
        ANALYSIS.clock.value,
    )
    alpha: Annotated[float, Field(gt=0, le=0.5)] = entry(
        "chance that checks ever roll back an equally good canary in one attempt", ANALYSIS.alpha
    )
    deadline: Longer = entry("when an answer is due", format_duration(ANALYSIS.deadline_ms))
    on_insufficient: Annotated[OnInsufficient, word_of({item.value: item for item in OnInsufficient})] = entry(
        "what happens when the deadline passes without one; it is never promoted then", ANALYSIS.on_insufficient.value
    )
    freshness: Longer = entry("evidence older than this holds the ramp", format_duration(ANALYSIS.freshness_ms))
    checks: Annotated[dict[Name, CheckPart], Field(min_length=1)] | None = entry(
        "the rules, by their names (default: `errors` on error_rate and `slow` on slow_rate)", None
    )

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


def steps_of_preset(written: object) -> object:
    """Return the steps a word stands for; a list stays as it is."""
    if isinstance(written, list):
        return written
    if written == "all-at-once":
        raise ValueError("all-at-once needs shadow, which is not supported in this version; use fast")
    if not isinstance(written, str) or written not in PRESETS:
        raise ValueError(f"{one_of(quoted(written), PRESETS)} (or write a list of steps)")
    return [StepPart.of(step) for step in PRESETS[written]]


STEPS = BeforeValidator(steps_of_preset, json_schema_input_type=Literal[tuple(PRESETS)] | list[StepPart])


class RolloutFile(Part):
    """A rollout: one scoring model on one stream of requests, and how a new version of it is let in."""

    apiVersion: Annotated[str, word_of({"coalmine.dev/v1": "coalmine.dev/v1"})] = entry(  # noqa: N815 - as in Kubernetes
        "the version of this format"
    )
    kind: Annotated[str, word_of({"Rollout": "Rollout"})] = entry("what the file describes")
    name: Name = entry("the rollout; its topics and commands are named by it")
    description: str = entry("for people", "")
    topics: TopicsPart = entry("topics with names of their own", default_factory=TopicsPart)
    stable: ModelPart = entry("the model that answers until the first `start`; after it the control log decides")
    canary: ModelPart | None = entry("the new version; or name it at `coalmine start`", None)
    routing: RoutingPart = entry("who may get the canary", default_factory=RoutingPart)
    steps: Annotated[list[StepPart], STEPS, Field(min_length=1), AfterValidator(rising)] = entry(
        f"the ramp: a list of steps with rising weights, or one of {', '.join(PRESETS)}", "default"
    )
    bake: BakePart | None = entry(
        "a stage before the promotion in which stable keeps a little for comparison (default: none)", None
    )
    on_success: Annotated[OnSuccess, word_of({item.value: item for item in OnSuccess})] = entry(
        "what happens when every check has passed on the last stage: `promote`, or `approval`: a person decides",
        OnSuccess.PROMOTE.value,
    )
    windows: Annotated[list[WindowPart], Field(max_length=MOST_WINDOWS)] = entry(
        "when automation may move up (default: always)", []
    )
    analysis: AnalysisPart = entry("how the evidence is judged", default_factory=AnalysisPart)
    canary_timeout: OfOneCall = entry("how long one call of the canary may take; then stable answers", "250ms")
    load_timeout: Longer = entry("how long the workers may take to load the canary", "2m")
    deadline: Longer | None = entry("older requests get an error record instead of a late answer (default: none)", None)
    breaker: OnOff = entry("a worker cuts a canary that fails hard by itself", "on")

    @field_validator("bake")
    @classmethod
    def above_the_last_step(cls, bake: BakePart | None, info: ValidationInfo) -> BakePart | None:
        """Refuse a bake that gives the canary no more than the ramp has given it."""
        steps: list[StepPart] = info.data.get("steps", [])
        if bake is not None and steps and bake.value().weight <= steps[-1].weight:
            least = f"{steps[-1].weight:g}%"
            raise ValueError(f"it would give the canary {bake.value().weight:g}%, and the last step {least}; "
                             "lower holdback")  # fmt: skip
        return bake

    def value(self) -> Plan:
        """Return the plan of this file, every default filled in."""
        analysis = self.analysis.value()
        labelled = not all(check.metric.is_served for check in analysis.checks)
        samples = LABELLED_SAMPLES if labelled else STEP.samples
        return Plan(
            name=self.name,
            description=self.description,
            topics=self.topics.value(self.name),
            stable=self.stable.value(),
            canary=self.canary.value() if self.canary else None,
            routing=self.routing.value(),
            steps=tuple(step.value(samples) for step in self.steps),
            bake=self.bake.value() if self.bake else None,
            on_success=self.on_success,
            windows=tuple(window.value() for window in self.windows),
            analysis=analysis,
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
    ("bake",): BakePart,
    ("windows", "*"): WindowPart,
    ("analysis",): AnalysisPart,
    ("analysis", "checks", "*"): CheckPart,
}
"""The mappings of a file by where they stand; `*` is an index or the name of a check."""


def keys_under(path: tuple[str | int, ...]) -> list[str]:
    """Return the keys that may stand in the mapping at `path`."""
    named = path[:2] == ("analysis", "checks")
    shape = tuple("*" if isinstance(part, int) or (named and index == 2) else part for index, part in enumerate(path))
    part = PARTS.get(shape)
    return [field.alias or name for name, field in part.model_fields.items()] if part else []
