"""What may stand as the value of a key: each type with its own sentence for what does not fit.

A sentence names what was found and what to write instead; the place is added by the caller.
"""

import re
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from coalmine.policies import LONGEST_CALL_MS, LONGEST_MS, NOT_KEYS, Metric

from ..suggest import one_of
from .units import duration_ms, percent, points, quoted

__all__ = [
    "Digest",
    "KeyField",
    "Longer",
    "Margin",
    "MetricWord",
    "Milliseconds",
    "Name",
    "OfOneCall",
    "Points",
    "RowField",
    "Share",
    "Text",
    "TopicName",
    "Uri",
    "Values",
    "Weight",
    "word_of",
]

LATER_METRICS = frozenset(("accuracy", "brier", "log_loss", "prediction_drift", "score_drift", "mean"))
"""Metrics that the format knows and this version does not compute."""

NAME = re.compile(r"[a-z0-9-]{1,40}")
TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
ROW_FIELD = re.compile(r"(segment|feature)\.\S+")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

Word = TypeVar("Word")


def word_of(words: dict[str, Word]) -> BeforeValidator:
    """Return a validator from a word of a closed list to what it stands for."""

    def find(written: object) -> Word:
        if not isinstance(written, str) or written not in words:
            raise ValueError(one_of(quoted(written), words))
        return words[written]

    return BeforeValidator(find)


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


def margin(written: object) -> float:
    """Return a difference of rates 0..1 that is neither nothing nor everything."""
    difference = points(written)
    if not 0 < difference < 1:
        raise ValueError("a margin lies between 0pp and 100pp")
    return difference


def metric(written: object) -> Metric:
    """Return the metric; those of later versions are told apart from slips of the pen."""
    known = {item.value: item for item in Metric}
    if isinstance(written, str) and written in known:
        return known[written]
    if written in LATER_METRICS:
        raise ValueError(f"metric {written} is not supported in this version; use {' or '.join(known)}")
    raise ValueError(one_of(quoted(written), known))


def with_environment(written: str, info: ValidationInfo) -> str:
    """Return a model's address with each `${NAME}` replaced from the environment; refused when it is not set."""
    environment = (info.context or {}).get("environment", {})

    def value(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise ValueError(f"the environment has no {match[1]}; set it or write the address out")
        return str(environment[match[1]])

    return VARIABLE.sub(value, written)


Text = Annotated[str, Field(min_length=1)]
Weight = Annotated[float, BeforeValidator(percent), AfterValidator(weight_of_step)]
Points = Annotated[float, BeforeValidator(points)]
MetricWord = Annotated[Metric, BeforeValidator(metric)]
Name = Annotated[str, named(NAME, "a name (a-z, 0-9 and -, at most 40)")]
Milliseconds = Annotated[int, BeforeValidator(duration_ms), AfterValidator(within_a_year)]
Longer = Annotated[Milliseconds, AfterValidator(above_zero)]
OfOneCall = Annotated[Longer, AfterValidator(within_an_hour)]
Margin = Annotated[float, BeforeValidator(margin)]
Share = Annotated[float, BeforeValidator(share)]
TopicName = Annotated[str, named(TOPIC, "a topic name (letters, digits, . and -)"), AfterValidator(topic_name)]
Digest = Annotated[str, named(DIGEST, "a digest; write sha256: and 64 hex digits")]
Uri = Annotated[Text, AfterValidator(with_environment)]
KeyField = Annotated[Text, AfterValidator(key_field)]
Values = Annotated[list[Text], BeforeValidator(as_list), Field(min_length=1)]
RowField = Annotated[str, named(ROW_FIELD, "a field of a row; write segment.NAME or feature.NAME")]
