"""What differs between two plans, and what it takes."""

from dataclasses import replace

import pytest

from coalmine.policies import ModelRef
from coalmine.rollout_file.changes import Change, Needs, changes

from .files import plan_of

STEPS = "steps: [{weight: 10%}, {weight: 25%, hold: 30m}, {weight: 50%}]"


def test_equal_plans_do_not_differ() -> None:
    assert changes(plan_of(STEPS), plan_of("description: ''", STEPS)) == []


def test_a_value_is_told_in_its_unit_at_its_key() -> None:
    assert changes(plan_of(STEPS), plan_of(STEPS.replace("30m", "1h"))) == [Change("steps[25%].hold", "30m", "1h")]


def test_an_added_step_shifts_no_other() -> None:
    [change] = changes(plan_of(STEPS), plan_of(STEPS.replace("[{", "[{weight: 5%}, {", 1)))

    assert (change.path, change.before) == ("steps[5%]", None)
    assert change.after == "{weight: 5%, hold: 10m, samples: 100, margin_factor: 1, approval: false}"


def test_a_check_that_is_gone_is_one_change() -> None:
    [change] = changes(plan_of(), plan_of("analysis: {checks: {errors: {metric: error_rate}}}"))

    assert change == Change(
        "analysis.checks.slow",
        "{metric: slow_rate, slower_than: 50ms, margin: 2pp, tolerance: 1pp, role: guardrail}",
        None,
    )


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("topics: {requests: trips}", Needs.NAME),
        ("routing: {key: tail}", Needs.NAME),
        ("routing: {deny: [N1]}", Needs.ATTEMPT),
        ("analysis: {alpha: 0.01}", Needs.ATTEMPT),
        ("analysis: {deadline: 2d}", Needs.ATTEMPT),
        ("deadline: 2s", Needs.ATTEMPT),
        ("canary: {uri: flights/2}", Needs.ATTEMPT),
        ("breaker: off", Needs.ATTEMPT),
        ("description: words", Needs.NOTHING),
    ],
)
def test_a_change_says_what_it_takes(line: str, needs: Needs) -> None:
    assert [change.needs for change in changes(plan_of(), plan_of(line))] == [needs]


def test_the_stable_model_of_a_file_counts_before_the_first_start_only() -> None:
    later = replace(plan_of(), stable=ModelRef(uri="flights/7"))

    assert [change.needs for change in changes(plan_of(), later)] == [Needs.BOOTSTRAP]


def test_a_model_that_was_read_in_between_is_no_difference() -> None:
    read = replace(
        plan_of(), stable=ModelRef(uri="flights/1", digest="sha256:" + "1" * 64, name="flights", version="1")
    )

    assert changes(read, plan_of()) == []
    assert changes(plan_of(), read) == []
