"""A check as its author writes it: which keys its metric takes, in which unit, with which defaults."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from coalmine.policies import FAULT_CODES, Check, Direction, Metric, Role

from .differences import Difference, difference_of, rates
from .part import Part, entry
from .presets import (
    CAPS,
    FEATURE_LIMIT,
    FIELD,
    MARGINS,
    SLOWER_THAN_MS,
    default_margin,
    default_role,
    default_tolerance,
)
from .units import PERCENT, POINTS, format_duration
from .words import OWN, Cap, DifferenceWord, FieldName, Longer, Measured, MetricWord, SegmentName, Share, word_of

__all__ = ["CheckPart"]

RELATIVE = {Metric.MEAN}
"""Metrics whose margin may be a share of stable's value."""

ONLY_OF: dict[str, tuple[tuple[Metric, ...], str]] = {
    "slower_than": ((Metric.SLOW_RATE,), "only metric slow_rate has a threshold; remove it"),
    "field": ((Metric.MEAN,), "only metric mean is taken of a field; remove it"),
    "direction": ((Metric.MEAN,), "only a mean may be better when it is lower or higher; remove it"),
    "cap": (tuple(metric for metric in Metric if metric.has_cap), "its losses lie in 0..1 already; remove the cap"),
    "code": ((Metric.ERROR_CODE,), "only metric error_code counts one code; remove it"),
    "limit": ((*rates(), Metric.FEATURE_DRIFT), "only a rate has an absolute limit; remove it"),
    "segment_by": (
        tuple(metric for metric in Metric if metric is not Metric.SLOW_RATE and not metric.is_over_all_rows),
        "a call has rows of several segments, so slow_rate cannot be compared by segment; remove it",
    ),
}
"""Keys that only some metrics take: which, and what to say for the others."""

SAID = {("segment_by", metric): f"{metric.value} is compared over all rows, not by segment; remove it"
        for metric in Metric if metric.is_over_all_rows}  # fmt: skip
"""What to say instead where the reason is another one."""

LARGEST_DISTANCE = 0.5
"""A tolerance of a distance lies below this, so that a margin of twice as much means something."""


NO_GUARDRAIL = {
    Metric.FALLBACK_RATE: "rows fall back in batches",
    Metric.FEATURE_DRIFT: "requests are not the canary's doing",
}
"""Metrics on which nothing is rolled back, and why."""


def when(metrics: Iterable[Metric], then: dict[str, Any]) -> dict[str, Any]:
    """Return a condition of JSON Schema: what holds for checks on these metrics."""
    asked = list(metrics)
    choices: list[dict[str, Any]] = [{"enum": [metric.value for metric in asked if metric is not Metric.OWN]}]
    choices += [{"pattern": OWN.pattern}] if Metric.OWN in asked else []
    return {"if": {"properties": {"metric": {"anyOf": choices}}, "required": ["metric"]}, "then": then}


def each(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a check whose margin and tolerance have this form."""
    return {"properties": {"margin": schema, "tolerance": schema}}


NUMBERS = [metric for metric in Metric if metric not in (*rates(), *RELATIVE)]
CONDITIONS = [
    when(rates(), each({"type": "string", "pattern": f"^{POINTS.pattern}$"})),
    when(NUMBERS, each({"type": "number"})),
    when(RELATIVE, each({"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{PERCENT.pattern}$"}]})),
    when([metric for metric in Metric if metric.has_cap and metric not in CAPS], {"required": ["cap"]}),
    when([m for m in Metric if m not in MARGINS and not m.has_only_a_limit], {"required": ["margin"]}),
    when([Metric.ERROR_CODE], {"required": ["code"]}),
    when([Metric.FALLBACK_RATE], {"required": ["limit"]}),
    when([m for m in Metric if m.has_only_a_limit], {"properties": {"margin": False, "tolerance": False}}),
    when(NO_GUARDRAIL, {"properties": {"role": {"enum": [Role.SIGNAL.value, Role.INFO.value]}}}),
    *(when([m for m in Metric if m not in allowed], {"properties": {k: False}}) for k, (allowed, _) in ONLY_OF.items()),
]
"""What an editor can know of the unit and the keys of each metric."""


def with_conditions(schema: dict[str, Any]) -> None:
    """Add to the JSON Schema of a check what depends on its metric."""
    schema["allOf"] = CONDITIONS


class CheckPart(Part):
    """A rule on one metric. `metric` stands first: the other keys are checked against it."""

    model_config = ConfigDict(json_schema_extra=with_conditions)

    metric: MetricWord = entry("what is compared between canary and stable")
    field: FieldName | None = entry("the field of feedback whose mean is compared (default `value`); only `mean`", None)
    direction: Annotated[Direction, word_of({item.value: item for item in Direction})] | None = entry(
        "which way a mean gets worse (default `increase`); only `mean`", None
    )
    cap: Cap | None = Field(
        None,
        validate_default=True,
        description="losses above count as this much; needed by `mean` and errors, `log_loss` has 5",
    )
    code: Annotated[str, word_of({code: code for code in FAULT_CODES})] | None = Field(
        None, validate_default=True, description="the fault that is counted; needed by `error_code`"
    )
    margin: DifferenceWord | None = Field(
        None,
        validate_default=True,
        description="for promotion it must be shown that the canary is not worse by this much",
    )
    tolerance: DifferenceWord | None = entry(
        "for rollback it must be shown that the canary is worse by more than this (default half the margin, 0pp for "
        "`error_rate` and `error_code`); of `prediction_drift`: the distance, 0 to 1, that is no drift yet",
        None,
    )
    limit: Share | None = Field(
        None,
        validate_default=True,
        description="roll back above this rate whatever stable does; only rates; needed by `fallback_rate`, "
        "which holds the ramp above it; of `feature_drift`: the distance that is no drift yet (default "
        f"{FEATURE_LIMIT:.0%})",
    )
    role: Annotated[Role, word_of({item.value: item for item in Role})] | None = entry(
        "`guardrail` can roll back and must pass, `signal` holds the ramp, `info` is only shown (default `guardrail`, "
        "of `prediction_drift` and `fallback_rate` `signal`, of `feature_drift` `info`)",
        None,
    )
    dry_run: bool = entry("evaluate and show it, but let it decide nothing", False)
    slower_than: Longer | None = entry(
        f"a call that takes longer is slow (default {format_duration(SLOWER_THAN_MS)}); only `slow_rate`", None
    )
    segment_by: SegmentName | None = entry(
        "compare each value of this member of `segment` by itself; not `slow_rate`", None
    )

    @field_validator("margin", "tolerance", mode="before")
    @classmethod
    def in_the_unit_of_the_metric(cls, written: object, info: ValidationInfo) -> Difference | None:
        """Read a difference; one of a check whose metric is unknown is not judged."""
        measured: Measured | None = info.data.get("metric")
        if written is None or measured is None:
            return None
        if measured.metric.has_only_a_limit:
            raise ValueError(f"{measured.metric.value} is compared with nothing but its limit; remove it")
        return difference_of(measured.metric, written)

    @field_validator("field", "direction", "cap", "limit", "slower_than", "segment_by", "code")
    @classmethod
    def belongs_to_the_metric(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse a key that this metric does not take."""
        measured: Measured | None = info.data.get("metric")
        allowed, otherwise = ONLY_OF[info.field_name or ""]
        if value is not None and measured is not None and measured.metric not in allowed:
            raise ValueError(SAID.get((info.field_name or "", measured.metric), otherwise))
        return value

    @field_validator("cap")
    @classmethod
    def cap_where_needed(cls, cap: float | None, info: ValidationInfo) -> float | None:
        """Refuse a metric without bounds that has no cap: a single row could decide."""
        measured: Measured | None = info.data.get("metric")
        if cap is not None and cap <= 0:
            raise ValueError("a cap is above 0; write the largest loss that may count")
        if cap is None and measured is not None and measured.metric.has_cap and measured.metric not in CAPS:
            raise ValueError("missing; write for example cap: 500 (what is larger counts as 500)")
        return cap

    @field_validator("limit")
    @classmethod
    def limit_where_needed(cls, limit: float | None, info: ValidationInfo) -> float | None:
        """Refuse fallbacks without a limit, which is all they are held against."""
        measured: Measured | None = info.data.get("metric")
        if limit is None and measured is not None and measured.metric is Metric.FALLBACK_RATE:
            raise ValueError("missing; write for example limit: 5%")
        return limit

    @field_validator("role")
    @classmethod
    def role_that_the_metric_bears(cls, role: Role | None, info: ValidationInfo) -> Role | None:
        """Refuse a rollback on what is not the canary's doing, or whose test is bolder than it says."""
        measured: Measured | None = info.data.get("metric")
        if role is Role.GUARDRAIL and measured is not None and measured.metric in NO_GUARDRAIL:
            raise ValueError(f"{measured.metric.value} cannot roll back, for {NO_GUARDRAIL[measured.metric]}; "
                             "write signal or info")  # fmt: skip
        return role

    @field_validator("code")
    @classmethod
    def code_where_needed(cls, code: str | None, info: ValidationInfo) -> str | None:
        """Refuse a count of one code that names none."""
        measured: Measured | None = info.data.get("metric")
        if code is None and measured is not None and measured.metric is Metric.ERROR_CODE:
            raise ValueError(f"missing; write code: {FAULT_CODES[0]}, or one of {', '.join(FAULT_CODES[1:])}")
        return code

    @field_validator("margin")
    @classmethod
    def margin_within_range(cls, margin: Difference | None, info: ValidationInfo) -> Difference | None:
        """Refuse a margin that is nothing or everything, and the lack of one where no default makes sense."""
        measured: Measured | None = info.data.get("metric")
        if measured is None:
            return margin
        metric = measured.metric
        if margin is None:
            if metric not in MARGINS and not metric.has_only_a_limit:
                raise ValueError(f"missing; write margin: 0.5, in the unit of {metric.value}")
            return None
        if metric.is_event and not 0 < margin.size < 1:
            raise ValueError("a margin lies between 0pp and 100pp")
        most = 1.0 if margin.relative or not metric.has_cap else info.data.get("cap") or CAPS.get(metric)
        if margin.size <= 0 or (most is not None and margin.size >= most):
            bound = "100%" if margin.relative else f"{most:g}{', the cap' if metric.has_cap else ''}" if most else ""
            raise ValueError(f"a margin lies above 0 and below {bound}" if bound else "a margin lies above 0")
        return margin

    @field_validator("tolerance")
    @classmethod
    def tolerance_within_margin(cls, tolerance: Difference | None, info: ValidationInfo) -> Difference | None:
        """Refuse a tolerance above the margin: a canary between them would be both promotable and to roll back."""
        measured: Measured | None = info.data.get("metric")
        if tolerance is None or measured is None:
            return tolerance
        margin = info.data.get("margin") or MARGINS.get(measured.metric)
        if measured.metric is Metric.PREDICTION_DRIFT and info.data.get("margin") is None:
            margin = Difference(LARGEST_DISTANCE)
            if tolerance.size >= LARGEST_DISTANCE:
                raise ValueError(f"a tolerance of a distance lies below {LARGEST_DISTANCE:g}; write for example 0.05")
        if margin is not None and tolerance.relative != margin.relative:
            raise ValueError("margin and tolerance are in different units; write both alike")
        if tolerance.size < 0 or (margin is not None and tolerance.size > margin.size):
            raise ValueError("the tolerance must not exceed the margin; lower it or raise the margin")
        return tolerance

    def value(self, name: str) -> Check:
        """Return it for the plan with the defaults of its metric."""
        metric = self.metric.metric
        if metric.has_only_a_limit:
            limit = self.limit or FEATURE_LIMIT  # validation asked for that of `fallback_rate`
            return Check(name=name, metric=metric, margin=limit, limit=limit, dry_run=self.dry_run,
                         role=self.role or default_role(metric))  # fmt: skip
        margin = self.margin or default_margin(metric, self.tolerance)
        tolerance = default_tolerance(metric, margin.size) if self.tolerance is None else self.tolerance.size
        is_slow, is_mean = metric is Metric.SLOW_RATE, metric is Metric.MEAN
        return Check(
            name=name,
            metric=metric,
            own=self.metric.own,
            margin=margin.size,
            tolerance=tolerance,
            relative=margin.relative,
            limit=self.limit,
            role=self.role or default_role(metric),
            dry_run=self.dry_run,
            slower_than_ms=float(self.slower_than or SLOWER_THAN_MS) if is_slow else None,
            field=(self.field or FIELD) if is_mean else None,
            direction=self.direction or Direction.INCREASE,
            cap=(self.cap or CAPS.get(metric)) if metric.has_cap else None,
            segment_by=self.segment_by,
            code=self.code,
        )
