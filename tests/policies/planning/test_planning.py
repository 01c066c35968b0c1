"""Planning: the formulas of fixed-size tests, the walk through the steps, and what the warnings say."""

import math
from dataclasses import replace

import pytest

from coalmine.policies import By, Check, Metric, Plan, Step
from coalmine.policies.planning.course import End, course, detectable, needed, provable
from coalmine.policies.planning.estimate import estimate
from coalmine.policies.planning.lanes import Lane, Pace, Supply, lanes
from coalmine.simulate import base_of
from tests.simulate.plans import ERRORS, SLOW, WRONG, plan

MANY_KEYS = Supply(rows_per_second=100.0)


def lane(check: Check, mean: float) -> Lane:
    """Return the only loss of a plan with one check, rows under random routing."""
    of = plan(check, by=By.RANDOM)
    return lanes(of, base_of(of, errors=mean, means={check.name: mean}), MANY_KEYS, {})[0]


@pytest.mark.parametrize(
    ("check", "mean", "share", "margin", "fixed"),
    [
        (ERRORS, 0.01, 0.05, 0.005, 2_577),
        (ERRORS, 0.01, 0.05, 0.0025, 10_309),
        (ERRORS, 0.001, 0.05, 0.001, 6_501),
        (WRONG, 0.10, 0.10, 0.02, 1_546),
        (WRONG, 0.10, 0.10, 0.01, 6_183),
    ],
)
def test_a_proof_takes_1_4_fixed_sizes_on_average(
    check: Check, mean: float, share: float, margin: float, fixed: int
) -> None:
    """Fixed sizes: the one-sided test of two rates, 5 % and power 80 %, as every textbook has it."""
    seconds = lane(check, mean).proof_seconds(share, margin, Pace.MIDDLE)

    units = seconds * 100.0 * share
    assert units - 4.5 / margin == pytest.approx(1.4 * fixed, rel=0.001)


def test_a_thousand_rows_without_an_error_prove_half_a_point() -> None:
    seconds = lane(ERRORS, 0.0).proof_seconds(0.1, 0.005, Pace.SLOW)

    assert seconds * 100.0 * 0.1 == pytest.approx(1_000)


def test_holds_are_what_takes_time_where_there_is_much_traffic() -> None:
    of = plan()
    walked = course(of, base_of(of), Supply(rows_per_second=5_000.0, rows_per_call=100))

    assert [stay.waited_for for stay in walked.stays] == ["hold", "hold", "hold"]
    assert (walked.end, walked.seconds) == (End.PROMOTED, 30 + 3 * 300)


def test_less_traffic_takes_longer_and_finds_less() -> None:
    of = plan()
    much, little = (Supply(rows_per_second=rate) for rate in (20.0, 2.0))

    walked = course(of, base_of(of), much), course(of, base_of(of), little)

    assert walked[0].seconds < walked[1].seconds
    assert (
        detectable(of, base_of(of), much, walked[0])["slow"][0]
        < detectable(of, base_of(of), little, walked[0])["slow"][0]
    )


def test_a_worse_canary_goes_back_sooner() -> None:
    of = plan()
    rows = [course(of, base_of(of), MANY_KEYS, shifts={"errors": shift}).canary_rows for shift in (0.005, 0.01, 0.05)]

    assert rows == sorted(rows, reverse=True)


def test_a_canary_worse_by_the_margin_is_never_promoted() -> None:
    of = plan()

    assert course(of, base_of(of), MANY_KEYS, shifts={"slow": 0.02}).end is End.ROLLED_BACK
    assert course(of, base_of(of), MANY_KEYS, shifts={"slow": 0.0101}).end is End.PROMOTED


def test_without_traffic_nothing_ends() -> None:
    of = plan()
    found = estimate(of, base_of(of), Supply(rows_per_second=0.0))

    assert found.ends == (End.INCONCLUSIVE,)
    assert math.isinf(found.middle.seconds)
    assert found.warnings[0].startswith("without traffic")


def test_both_ends_are_named_where_both_are_plausible() -> None:
    of = plan(deadline_ms=3_600_000)
    ends = [estimate(of, base_of(of), Supply(rows_per_second=rate)).ends for rate in (500.0, 2.0, 0.05)]

    assert ends[0] == (End.PROMOTED,)
    assert set(ends[1]) == {End.PROMOTED, End.INCONCLUSIVE}
    assert ends[2] == (End.INCONCLUSIVE,)


def test_a_margin_tighter_than_the_traffic_can_prove_is_named_with_the_number_needed() -> None:
    of = plan(replace(ERRORS, margin=0.0001))
    supply = Supply(rows_per_second=5.0)
    need, have = needed("errors", of, base_of(of), supply)
    [warning] = [text for text in estimate(of, base_of(of), supply).warnings if ".margin:" in text]

    assert need > have == 5.0 * 0.5 * 14_400
    assert f"needs about {need:,.0f} units" in warning
    assert needed("errors", widened(of, provable("errors", of, base_of(of), supply)), base_of(of), supply)[0] <= have


def widened(of: Plan, margin: float) -> Plan:
    """Return the plan with another margin for its first check."""
    check = replace(of.analysis.checks[0], margin=margin)
    return replace(of, analysis=replace(of.analysis, checks=(check,)))


def test_samples_out_of_reach_are_named() -> None:
    of = plan(steps=(Step(weight=1, samples=100_000), Step(weight=50)))
    warnings = estimate(of, base_of(of), Supply(rows_per_second=10.0)).warnings

    assert any(text.startswith("steps[0].samples: 100,000 canary rows") for text in warnings)


def test_few_keys_and_no_errors_are_named_as_what_they_are() -> None:
    of = plan(steps=(Step(weight=1), Step(weight=50)))
    found = estimate(of, base_of(of, errors=0.0), Supply(rows_per_second=100.0, keys=3_000))

    assert found.ends == (End.INCONCLUSIVE,)
    assert any("worth about 30 keys" in text and "never happens" in text for text in found.warnings)


def test_checks_that_cannot_act_cost_no_time() -> None:
    of = plan(ERRORS, replace(SLOW, dry_run=True))
    alone = plan(ERRORS)

    assert course(of, base_of(of), MANY_KEYS) == course(alone, base_of(alone), MANY_KEYS)


def test_means_are_planned_by_their_spread() -> None:
    brier = Check(name="brier", metric=Metric.BRIER, margin=0.01)
    of = plan(brier, by=By.RANDOM)
    found = estimate(of, base_of(of), MANY_KEYS)

    assert found.middle.end is End.PROMOTED
    assert [bad.about for bad in found.bad] == ["brier worse by 0.02", "brier worse by 0.05"]
    assert all(bad.course.end is End.ROLLED_BACK for bad in found.bad)
