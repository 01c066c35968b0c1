"""What may stand as the value of a key: each type with its own sentence for what does not fit.

A sentence names what was found and what to write instead; the place is added by the caller.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from coalmine.policies import LONGEST_CALL_MS, LONGEST_MS, NAME, NOT_KEYS, TOPIC, Metric

from ..suggest import one_of
from . import units
from .differences import Difference
from .units import duration_ms, percent, plain_number, quoted

__all__ = [
    "OWN",
    "Cap",
    "DifferenceWord",
    "Digest",
    "FieldName",
    "KeyField",
    "Longer",
    "Measured",
    "MetricWord",
    "Milliseconds",
    "Name",
    "OfOneCall",
    "OnOff",
    "RowField",
    "SegmentName",
    "Share",
    "Text",
    "TopicName",
    "Uri",
    "Values",
    "Weight",
    "shaped",
    "word_of",
]

LATER_METRICS = frozenset(("score_drift",))
"""Metrics that the format knows and this version does not compute."""

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
ROW_FIELD = re.compile(r"(segment|feature)\.\S+")
OWN = re.compile(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*\.py:[A-Za-z_]\w*")
"""Where the class of an own metric is: a path below the rollout file, and its name."""

MEMBER = re.compile(r"[A-Za-z_][\w-]{0,63}")
SEGMENT = re.compile(r"\S{1,64}")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

Word = TypeVar("Word")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a check compares: a metric, and for an own one where its class is."""

    metric: Metric
    own: str | None = None


def word_of(words: dict[str, Word]) -> BeforeValidator:
    """Return a validator from a word of a closed list to what it stands for; editors are offered the list."""

    def find(written: object) -> Word:
        if not isinstance(written, str) or written not in words:
            raise ValueError(one_of(quoted(written), words))
        return words[written]

    return BeforeValidator(find, json_schema_input_type=Literal[tuple(words)])


def named(pattern: re.Pattern[str], rule: str) -> AfterValidator:
    """Return a validator that refuses text outside `pattern`; `rule` says what is allowed."""

    def match(written: str) -> str:
        if pattern.fullmatch(written) is None:
            raise ValueError(f"{quoted(written)} is not {rule}")
        return written

    return AfterValidator(match)


def above_zero(ms: int) -> int:
    """Return a duration that is not empty."""
    if ms < 1:
        raise ValueError("it must be longer than 0; write for example 10s")
    return ms


def within_a_year(ms: int) -> int:
    """Return a duration that a rollout can live to see."""
    if ms > LONGEST_MS:
        raise ValueError("it is longer than a year (366d); write a shorter one")
    return ms


def within_an_hour(ms: int) -> int:
    """Return how long a call may take."""
    if ms > LONGEST_CALL_MS:
        raise ValueError("no call may take longer than an hour; write for example 250ms")
    return ms


def key_field(written: str) -> str:
    """Return the field of a request that holds the routing key; those with another meaning cannot."""
    if written in NOT_KEYS:
        raise ValueError(
            f"{written} means something else in a request and cannot hold a key; "
            "write id, segment.NAME, feature.NAME or a field of its own"
        )
    return written


def as_list(written: object) -> object:
    """Return a single value as a list of one."""
    return written if isinstance(written, list) else [written]


def topic_name(written: str) -> str:
    """Return a topic's name; Kafka cannot tell `a.b` from `a_b` in its metrics, and `__` is its own."""
    if written in (".", "..") or written.startswith("__") or ("." in written and "_" in written):
        raise ValueError(f"{quoted(written)} is reserved or mixes . and _; use dots only")
    return written


def weight_of_step(weight: float) -> float:
    """Return the weight (percent) of a step: what the router can realise, with something left to compare with."""
    if weight >= 100:
        raise ValueError("at 100% nothing is left to compare with; end below it, promotion follows the last step")
    if weight <= 0 or round(weight, 4) != weight:
        raise ValueError("a weight is above 0% and has at most 4 decimals")
    return weight


def share(written: object) -> float:
    """Return a rate 0..1 from a percentage."""
    rate = round(percent(written) / 100, 10)
    if not 0 < rate < 1:
        raise ValueError("it must lie between 0% and 100%")
    return rate


def metric(written: object) -> Measured:
    """Return what is compared; metrics of later versions are told apart from slips of the pen."""
    known = {item.value: item for item in Metric if item is not Metric.OWN}
    if isinstance(written, str) and written in known:
        return Measured(known[written])
    if isinstance(written, str) and OWN.fullmatch(written):
        return Measured(Metric.OWN, written)
    if written in LATER_METRICS:
        raise ValueError(f"metric {written} is not supported in this version; use one of {', '.join(known)}")
    if isinstance(written, str) and (written == Metric.OWN.value or any(sign in written for sign in "/:.")):
        raise ValueError(f"{quoted(written)} names no class of an own metric; write for example metrics/cost.py:Cost")
    raise ValueError(f"{one_of(quoted(written), known)} (or write metrics/cost.py:Cost for an own one)")


def segment_name(written: str) -> str:
    """Return a member of `segment`; the prefix that rules need is a slip here."""
    if written.startswith(("segment.", "feature.")):
        hint = f"write {written.removeprefix('segment.')}" if written.startswith("segment.") else "features have none"
        raise ValueError(f"{quoted(written)}: only members of segment are compared by themselves; {hint}")
    return written


def with_environment(written: str, info: ValidationInfo) -> str:
    """Return a model's address with each `${NAME}` replaced from the environment; refused when it is not set."""
    environment = (info.context or {}).get("environment", {})

    def value(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise ValueError(f"the environment has no {match[1]}; set it or write the address out")
        return str(environment[match[1]])

    return VARIABLE.sub(value, written)


def shaped(pattern: re.Pattern[str], *examples: str) -> WithJsonSchema:
    """Return what an editor knows of text that is written in a certain way."""
    return WithJsonSchema({"type": "string", "pattern": f"^(?:{pattern.pattern})$", "examples": list(examples)})


DIFFERENCE = {
    "anyOf": [
        {"type": "string", "pattern": f"^(?:{units.POINTS.pattern}|{units.PERCENT.pattern})$"},
        {"type": "number", "minimum": 0},
    ],
    "examples": ["1pp", 0.01, "2%"],
}
CAP = {"type": "number", "exclusiveMinimum": 0, "examples": [500]}
METRIC = {
    "anyOf": [
        {"enum": [item.value for item in Metric if item is not Metric.OWN]},
        {"type": "string", "pattern": f"^(?:{OWN.pattern})$", "examples": ["metrics/cost.py:Cost"]},
    ]
}

Text = Annotated[str, Field(min_length=1)]
Weight = Annotated[float, BeforeValidator(percent), AfterValidator(weight_of_step), shaped(units.PERCENT, "10%")]
DifferenceWord = Annotated[Difference, WithJsonSchema(DIFFERENCE)]
Cap = Annotated[float, BeforeValidator(plain_number), WithJsonSchema(CAP)]
MetricWord = Annotated[Measured, BeforeValidator(metric), WithJsonSchema(METRIC)]
Name = Annotated[str, named(NAME, "a name (a-z, 0-9 and -, at most 40)"), shaped(NAME, "flights")]
Milliseconds = Annotated[
    int, BeforeValidator(duration_ms), AfterValidator(within_a_year), shaped(units.DURATION, "10m")
]
Longer = Annotated[Milliseconds, AfterValidator(above_zero)]
OfOneCall = Annotated[Longer, AfterValidator(within_an_hour), shaped(units.DURATION, "250ms")]
Share = Annotated[float, BeforeValidator(share), shaped(units.PERCENT, "5%")]
OnOff = Annotated[bool, word_of({"on": True, "off": False})]
TopicName = Annotated[
    str, named(TOPIC, "a topic name (letters, digits, . and -)"), AfterValidator(topic_name), shaped(TOPIC, "a.b")
]
Digest = Annotated[str, named(DIGEST, "a digest; write sha256: and 64 hex digits"), shaped(DIGEST, "sha256:9f86...")]
Uri = Annotated[Text, AfterValidator(with_environment)]
KeyField = Annotated[Text, AfterValidator(key_field)]
FieldName = Annotated[str, named(MEMBER, "the name of a field (letters, digits, _ and -)"), shaped(MEMBER, "value")]
SegmentName = Annotated[
    str,
    AfterValidator(segment_name),
    named(SEGMENT, "the name of a segment (no blanks)"),
    shaped(SEGMENT, "origin"),
]
Values = Annotated[list[Text], BeforeValidator(as_list, json_schema_input_type=Text | list[Text]), Field(min_length=1)]
RowField = Annotated[
    str, named(ROW_FIELD, "a field of a row; write segment.NAME or feature.NAME"), shaped(ROW_FIELD, "segment.origin")
]
