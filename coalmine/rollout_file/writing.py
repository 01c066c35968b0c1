"""A plan as the text of a rollout file with every default written out. What is written can be read back."""

from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from coalmine.policies import Analysis, Bake, Check, Metric, ModelRef, Plan, Routing, Step, Window

from .differences import format_difference
from .units import format_duration, format_percent, format_plain
from .windows import format_days, format_time

__all__ = ["plain_file", "write"]

LINE_WIDTH = 1_000
"""Columns before a line of the output is broken: a check stays on its line, however many keys it has."""


def write(plan: Plan) -> str:
    """Return the rollout file of `plan`; parsing it gives an equal plan."""
    yaml = YAML()
    yaml.width = LINE_WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = StringIO()
    yaml.dump(plain_file(plan), text)
    return text.getvalue()


def plain_file(plan: Plan) -> dict[str, Any]:
    """Return the file as plain values, in its order; what the plan does not have is left out."""
    topics = {name: getattr(plan.topics, name) for name in plan.topics.__slots__}
    file = {
        "apiVersion": "coalmine.dev/v1",
        "kind": "Rollout",
        "name": plan.name,
        "description": plan.description or None,
        "topics": topics,
        "stable": flow(model(plan.stable)),
        "canary": flow(model(plan.canary)) if plan.canary else None,
        "routing": routing(plan.routing),
        "steps": [flow(step(item)) for item in plan.steps],
        "bake": flow(bake(plan.bake)) if plan.bake else None,
        "on_success": plan.on_success.value,
        "windows": [flow(window(item)) for item in plan.windows],
        "analysis": analysis(plan.analysis),
        "canary_timeout": format_duration(plan.canary_timeout_ms),
        "load_timeout": format_duration(plan.load_timeout_ms),
        "deadline": None if plan.request_deadline_ms is None else format_duration(plan.request_deadline_ms),
        "breaker": "on" if plan.breaker else "off",
    }
    return given(file)


def given(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return the mapping without the keys that have no value."""
    return {key: value for key, value in mapping.items() if value is not None}


def flow(mapping: dict[str, Any]) -> CommentedMap:
    """Return a mapping that is written on one line: `{weight: 10%, hold: 10m}`."""
    one_line = CommentedMap(mapping)
    one_line.fa.set_flow_style()
    return one_line


def model(ref: ModelRef) -> dict[str, Any]:
    """Return where a model is and what its content must be."""
    return given({"uri": ref.uri, "digest": ref.digest or None})


def routing(routing: Routing) -> dict[str, Any]:
    """Return who may get the canary."""
    rules = [flow({"when": {rule.field: list(rule.values)}, "variant": rule.variant.value}) for rule in routing.rules]
    return {
        "by": routing.by.value,
        "key": routing.key,
        "deny": list(routing.deny),
        "allow": list(routing.allow),
        "rules": rules,
        "only": {name: list(values) for name, values in routing.only.items()},
    }


def step(step: Step) -> dict[str, Any]:
    """Return one step of the ramp."""
    return {
        "weight": format_percent(step.weight),
        "hold": format_duration(step.hold_ms),
        "samples": step.samples,
        "margin_factor": format_plain(step.margin_factor),
        "approval": step.approval,
    }


def bake(bake: Bake) -> dict[str, Any]:
    """Return the stage after the last step."""
    return {"hold": format_duration(bake.hold_ms), "holdback": format_percent(bake.holdback)}


def window(window: Window) -> dict[str, Any]:
    """Return hours in which automation may move up; in quotes, because older YAML takes 17:00 for a number."""
    return {
        "days": format_days(window.days),
        "from": DoubleQuotedScalarString(format_time(window.opens_minute)),
        "to": DoubleQuotedScalarString(format_time(window.closes_minute)),
        "zone": window.zone,
    }


def analysis(analysis: Analysis) -> dict[str, Any]:
    """Return how the evidence is judged."""
    return {
        "every": format_duration(analysis.every_ms),
        "clock": analysis.clock.value,
        "alpha": analysis.alpha,
        "deadline": format_duration(analysis.deadline_ms),
        "on_insufficient": analysis.on_insufficient.value,
        "freshness": format_duration(analysis.freshness_ms),
        "checks": {item.name: flow(check(item)) for item in analysis.checks},
    }


def check(check: Check) -> dict[str, Any]:
    """Return one check."""
    threshold = check.slower_than_ms
    compares = not check.metric.has_only_a_limit
    values = {
        "metric": check.own or check.metric.value,
        "code": check.code,
        "field": check.field,
        "direction": check.direction.value if check.metric is Metric.MEAN else None,
        "slower_than": None if threshold is None else format_duration(threshold),
        "cap": None if check.cap is None else format_plain(check.cap),
        "margin": format_difference(check, check.margin) if compares else None,
        "tolerance": format_difference(check, check.tolerance) if compares else None,
        "limit": None if check.limit is None else format_percent(check.limit * 100),
        "segment_by": check.segment_by,
        "role": check.role.value,
        "dry_run": check.dry_run or None,
    }
    return given(values)
