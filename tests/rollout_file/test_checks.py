"""The keys of a check: each metric has its unit, its own keys and its defaults."""

import pytest

from coalmine.errors import ConfigError
from coalmine.policies import Check, Direction, Metric, Role
from coalmine.rollout_file import parse, require_runnable, write

from .files import HEAD, check_of, plan_of, refusals

DEFAULTS = [
    ("metric: error_rate", Check(name="c", metric=Metric.ERROR_RATE, margin=0.005)),
    ("metric: slow_rate", Check(name="c", metric=Metric.SLOW_RATE, margin=0.02, tolerance=0.01, slower_than_ms=50.0)),
    ("metric: accuracy", Check(name="c", metric=Metric.ACCURACY, margin=0.01, tolerance=0.005)),
    ("metric: miss_rate", Check(name="c", metric=Metric.MISS_RATE, margin=0.02, tolerance=0.01)),
    ("metric: false_alarm_rate", Check(name="c", metric=Metric.FALSE_ALARM_RATE, margin=0.01, tolerance=0.005)),
    ("metric: brier", Check(name="c", metric=Metric.BRIER, margin=0.01, tolerance=0.005)),
    ("metric: log_loss", Check(name="c", metric=Metric.LOG_LOSS, margin=0.03, tolerance=0.015, cap=5.0)),
    (
        "metric: mean, cap: 500",
        Check(
            name="c", metric=Metric.MEAN, margin=0.02, tolerance=0.01, cap=500.0, relative=True, field="value"
        ),
    ),
    (
        "metric: absolute_error, cap: 120, margin: 2",
        Check(name="c", metric=Metric.ABSOLUTE_ERROR, margin=2, tolerance=1, cap=120.0),
    ),
    (
        "metric: squared_error, cap: 100, margin: 0.5",
        Check(name="c", metric=Metric.SQUARED_ERROR, margin=0.5, tolerance=0.25, cap=100.0),
    ),
    (
        "metric: metrics/cost.py:Cost",
        Check(name="c", metric=Metric.OWN, own="metrics/cost.py:Cost", margin=0.01, tolerance=0.005),
    ),
    (
        "metric: error_code, code: bad_output",
        Check(name="c", metric=Metric.ERROR_CODE, margin=0.005, code="bad_output"),
    ),
    (
        "metric: fallback_rate, limit: 5%",
        Check(name="c", metric=Metric.FALLBACK_RATE, margin=0.05, limit=0.05, role=Role.SIGNAL),
    ),
    (
        "metric: feature_drift",
        Check(name="c", metric=Metric.FEATURE_DRIFT, margin=0.1, limit=0.1, role=Role.INFO),
    ),
    (
        "metric: feature_drift, limit: 25%, role: signal",
        Check(name="c", metric=Metric.FEATURE_DRIFT, margin=0.25, limit=0.25, role=Role.SIGNAL),
    ),
    (
        "metric: prediction_drift",
        Check(name="c", metric=Metric.PREDICTION_DRIFT, margin=0.1, tolerance=0.05, role=Role.SIGNAL),
    ),
    (
        "metric: prediction_drift, tolerance: 0.2",
        Check(name="c", metric=Metric.PREDICTION_DRIFT, margin=0.4, tolerance=0.2, role=Role.SIGNAL),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "check"), DEFAULTS, ids=[text for text, _ in DEFAULTS])
def test_every_metric_has_its_defaults(text: str, check: Check) -> None:
    assert check_of(text) == check


def test_every_metric_can_be_written() -> None:
    assert {check.metric for _, check in DEFAULTS} == set(Metric)


@pytest.mark.parametrize("text", [text for text, _ in DEFAULTS])
def test_every_check_written_out_is_read_back_as_the_same_check(text: str) -> None:
    plan = plan_of(f"analysis: {{checks: {{c: {{{text}}}}}}}")

    assert parse(write(plan), "again.yaml") == plan


def test_a_check_has_all_the_keys_of_its_metric() -> None:
    check = check_of(
        "metric: mean, field: tip, direction: decrease, margin: 0.25, tolerance: 0.1, cap: 50, segment_by: city"
    )

    assert check == Check(
        name="c", metric=Metric.MEAN, field="tip", direction=Direction.DECREASE, margin=0.25, tolerance=0.1, cap=50,
        segment_by="city",
    )  # fmt: skip


def test_a_mean_may_have_a_margin_relative_to_that_of_stable() -> None:
    check = check_of("metric: mean, cap: 500, margin: 3.5%, tolerance: 1%")

    assert (check.relative, check.margin, check.tolerance) == (True, 0.035, 0.01)


BAD = [
    ("metric: accuracy, margin: 0.5%", "margin: 0.5% is not in percentage points; write 0.5pp"),
    ("metric: accuracy, margin: 0.01", "margin: 0.01 is not in percentage points; write 0.01pp"),
    ("metric: accuracy, margin: 0pp", "margin: a margin lies between 0pp and 100pp"),
    ("metric: brier, margin: 1pp", "margin: 1pp is not in the unit of brier; write a plain number such as 0.01"),
    ("metric: brier, margin: 1%", "margin: 1% is not in the unit of brier; write a plain number such as 0.01"),
    ("metric: brier, margin: '0.01'", "margin: 0.01 is text here; write it without quotes"),
    ("metric: brier, margin: 1", "margin: a margin lies above 0 and below 1"),
    ("metric: brier, margin: .nan", "margin: .nan is not in the unit of brier; write a plain number such as 0.01"),
    ("metric: log_loss, margin: 6", "margin: a margin lies above 0 and below 5, the cap"),
    ("metric: mean, cap: 5, margin: 2pp",
     "margin: 2pp is no difference of means; write 0.3 in their unit, or 2% of stable's mean"),
    ("metric: mean, cap: 5, margin: 120%", "margin: a margin lies above 0 and below 100%"),
    ("metric: mean, cap: 5, margin: 2%, tolerance: 0.1",
     "tolerance: margin and tolerance are in different units; write both alike"),
    ("metric: mean, cap: 5, tolerance: 0.1",
     "tolerance: margin and tolerance are in different units; write both alike"),
    ("metric: brier, margin: 0.01, tolerance: 0.02",
     "tolerance: the tolerance must not exceed the margin; lower it or raise the margin"),
    ("metric: brier, tolerance: -1",
     "tolerance: the tolerance must not exceed the margin; lower it or raise the margin"),
    ("metric: mean", "cap: missing; write for example cap: 500 (what is larger counts as 500)"),
    ("metric: mean, cap: 0", "cap: a cap is above 0; write the largest loss that may count"),
    ("metric: mean, cap: 500eur", "cap: 500eur is not a plain number; write for example 500"),
    ("metric: absolute_error, cap: 100", "margin: missing; write margin: 0.5, in the unit of absolute_error"),
    ("metric: brier, cap: 2", "cap: its losses lie in 0..1 already; remove the cap"),
    ("metric: brier, limit: 5%", "limit: only a rate has an absolute limit; remove it"),
    ("metric: brier, field: value", "field: only metric mean is taken of a field; remove it"),
    ("metric: brier, direction: decrease",
     "direction: only a mean may be better when it is lower or higher; remove it"),
    ("metric: mean, cap: 5, direction: up", "direction: up is not one of increase, decrease"),
    ("metric: slow_rate, segment_by: origin",
     "segment_by: a call has rows of several segments, so slow_rate cannot be compared by segment; remove it"),
    ("metric: accuracy, segment_by: segment.origin",
     "segment_by: segment.origin: only members of segment are compared by themselves; write origin"),
    ("metric: accuracy, segment_by: feature.x",
     "segment_by: feature.x: only members of segment are compared by themselves; features have none"),
    ("metric: cost.py", "metric: cost.py names no class of an own metric; write for example metrics/cost.py:Cost"),
    ("metric: own", "metric: own names no class of an own metric; write for example metrics/cost.py:Cost"),
    ("metric: /etc/cost.py:Cost",
     "metric: /etc/cost.py:Cost names no class of an own metric; write for example metrics/cost.py:Cost"),
    ("metric: ../cost.py:Cost",
     "metric: ../cost.py:Cost names no class of an own metric; write for example metrics/cost.py:Cost"),
    ("metric: score_drift", "metric: metric score_drift is not supported in this version; use one of "
     "error_rate, slow_rate, mean, accuracy, miss_rate, false_alarm_rate, brier, log_loss, absolute_error, "
     "squared_error, prediction_drift, error_code, fallback_rate, feature_drift"),
    ("metric: fallback_rate", "limit: missing; write for example limit: 5%"),
    ("metric: fallback_rate, limit: 5%, margin: 1pp",
     "margin: fallback_rate is compared with nothing but its limit; remove it"),
    ("metric: fallback_rate, limit: 5%, role: guardrail",
     "role: fallback_rate cannot roll back, for rows fall back in batches; write signal or info"),
    ("metric: feature_drift, tolerance: 0.1",
     "tolerance: feature_drift is compared with nothing but its limit; remove it"),
    ("metric: feature_drift, role: guardrail",
     "role: feature_drift cannot roll back, for requests are not the canary's doing; write signal or info"),
    ("metric: error_code", "code: missing; write code: model_error, or one of model_timeout, bad_output"),
    ("metric: error_code, code: timeout", "code: timeout is not one of model_error, model_timeout, bad_output; did you "
     "mean model_timeout?"),
    ("metric: error_rate, code: bad_output", "code: only metric error_code counts one code; remove it"),
    ("metric: error_code, code: bad_output, segment_by: origin",
     "segment_by: error_code is compared over all rows, not by segment; remove it"),
    ("metric: prediction_drift, role: guardrail",
     "role: with routing by key its test is approximate, so it cannot roll back; write signal or info, or route "
     "by: random"),
    ("metric: prediction_drift, segment_by: origin",
     "segment_by: prediction_drift is compared over all rows, not by segment; remove it"),
    ("metric: prediction_drift, tolerance: 5pp",
     "tolerance: 5pp is not in the unit of prediction_drift; write a plain number such as 0.01"),
    ("metric: prediction_drift, tolerance: 0.6",
     "tolerance: a tolerance of a distance lies below 0.5; write for example 0.05"),
    ("metric: prediction_drift, margin: 0.1, tolerance: 0.2",
     "tolerance: the tolerance must not exceed the margin; lower it or raise the margin"),
    ("metric: prediction_drift, limit: 5%", "limit: only a rate has an absolute limit; remove it"),
    ("metric: accuracy, labels: {window: 6h}", "labels: labels is not supported in this version; remove it"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD, ids=[text for text, _ in BAD])
def test_a_key_that_does_not_fit_its_metric_is_refused_with_what_to_write(text: str, message: str) -> None:
    assert refusals(f"analysis: {{checks: {{c: {{{text}}}}}}}") == [f"analysis.checks.c.{message}"]


def test_steps_ask_for_more_rows_where_a_check_needs_labels() -> None:
    labelled = plan_of(
        "analysis: {checks: {c: {metric: accuracy}}}", "steps: [{weight: 10%}, {weight: 50%, samples: 7}]"
    )

    assert [step.samples for step in labelled.steps] == [200, 7]
    assert {step.samples for step in plan_of("steps: fast").steps} == {100}


def test_a_plan_whose_checks_need_labels_is_valid_and_cannot_run() -> None:
    plan = plan_of("analysis: {checks: {errors: {metric: error_rate}, wrong: {metric: accuracy}, b: {metric: brier}}}")

    with pytest.raises(ConfigError) as caught:
        require_runnable(plan, "f.yaml")

    assert str(caught.value) == (
        "f.yaml: analysis.checks.wrong: this version joins no labels yet, which wrong, b need: start and run refuse "
        "the file; remove what needs it, or keep it in a copy"
    )


def test_a_plan_that_compares_errors_by_segment_can_run() -> None:
    plan = plan_of("analysis: {checks: {c: {metric: error_rate, segment_by: origin}}}")

    require_runnable(plan, "f.yaml")


def test_a_plan_on_errors_and_slow_calls_can_run() -> None:
    require_runnable(parse(HEAD, "f.yaml"), "f.yaml")
