"""What an editor is told: it takes what the reader takes, and refuses slips of unit, word and key."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from coalmine.rollout_file.document import read
from coalmine.rollout_file.json_schema import json_schema

from .files import HEAD
from .test_checks import DEFAULTS

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(json_schema())
    return Draft202012Validator(json_schema())


def errors(validator: Draft202012Validator, text: str) -> list[str]:
    """Return the paths of what the schema refuses in a text."""
    found: Any = validator.iter_errors(read(text, "f.yaml").value)
    return sorted(error.json_path for error in found)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_fit_the_schema(validator: Draft202012Validator, path: Path) -> None:
    assert errors(validator, path.read_text()) == []


@pytest.mark.parametrize("check", [text for text, _ in DEFAULTS])
def test_a_check_on_any_metric_fits_the_schema(validator: Draft202012Validator, check: str) -> None:
    assert errors(validator, f"{HEAD}analysis: {{checks: {{c: {{{check}}}}}}}") == []


def test_the_end_of_a_rollout_fits_the_schema(validator: Draft202012Validator) -> None:
    hours = "windows: [{days: mon-fri, from: 09:00, to: 24:00, zone: UTC}, {days: [sat, sun], zone: UTC}]"

    assert errors(validator, f"{HEAD}bake: {{hold: 1d, holdback: 0.5%}}\non_success: approval\n{hours}") == []


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("steps: [{weight: 10}]", "$.steps"),
        ("steps: fats", "$.steps"),
        ("steps: [{weight: 10%, hold: 10}]", "$.steps"),
        ("analysis: {evry: 10s}", "$.analysis"),
        ("analysis: {every: 10}", "$.analysis.every"),
        ("analysis: {alpha: 2}", "$.analysis.alpha"),
        ("analysis: {on_insufficient: promote}", "$.analysis.on_insufficient"),
        ("analysis: {checks: {c: {metric: eror_rate}}}", "$.analysis.checks.c.metric"),
        ("analysis: {checks: {C!: {metric: error_rate}}}", "$.analysis.checks"),
        ("analysis: {checks: {c: {metric: accuracy, margin: 0.5%}}}", "$.analysis.checks.c.margin"),
        ("analysis: {checks: {c: {metric: accuracy, margin: 0.01}}}", "$.analysis.checks.c.margin"),
        ("analysis: {checks: {c: {metric: brier, margin: 1pp}}}", "$.analysis.checks.c.margin"),
        ("analysis: {checks: {c: {metric: mean, margin: 2pp, cap: 5}}}", "$.analysis.checks.c.margin"),
        ("analysis: {checks: {c: {metric: metrics/cost.py:Cost, margin: 2pp}}}", "$.analysis.checks.c.margin"),
        ("analysis: {checks: {c: {metric: mean}}}", "$.analysis.checks.c"),
        ("analysis: {checks: {c: {metric: absolute_error, cap: 5}}}", "$.analysis.checks.c"),
        ("analysis: {checks: {c: {metric: brier, slower_than: 5ms}}}", "$.analysis.checks.c"),
        ("analysis: {checks: {c: {metric: slow_rate, segment_by: origin}}}", "$.analysis.checks.c"),
        ("breaker: true", "$.breaker"),
        ("bake: {holdback: 5}", "$.bake.holdback"),
        ("on_success: aproval", "$.on_success"),
        ("windows: [{zone: UTC, from: 9am}]", "$.windows[0].from"),
        ("windows: [{zone: UTC, days: mo}]", "$.windows[0].days"),
        ("windows: [{from: 09:00}]", "$.windows[0]"),
        ("canary: {uri: x, digest: abc}", "$.canary.digest"),
        ("routing: {rules: [{when: {carrier: HA}, variant: stable}]}", "$.routing.rules[0].when"),
        ("shadow: {weight: 10%}", "$"),
    ],
)
def test_a_slip_is_refused_where_it_stands(validator: Draft202012Validator, line: str, path: str) -> None:
    assert path in errors(validator, HEAD + line)


def test_every_key_says_what_it_means() -> None:
    schema = json_schema()
    parts = [schema, *schema["$defs"].values()]

    assert [name for part in parts for name, key in part["properties"].items() if "description" not in key] == []
