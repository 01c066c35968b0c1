"""Simulated worlds do what they say."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from coalmine.policies import (
    At,
    By,
    Check,
    Losses,
    Metric,
    Phase,
    Plan,
    Role,
    Start,
    State,
    Step,
    Sums,
    advance,
    initial,
)
from coalmine.simulate import Harm, World, chosen
from coalmine.simulate.traffic import Traffic
from coalmine.simulate.world import SEGMENTS

from .plans import BRIER, BY_REGION, ERRORS, SLOW, WRONG, plan, world

HALF = (Step(weight=50),)


def at_half(of: Plan) -> State:
    """Return the state of an attempt whose canary gets half of the traffic."""
    started, _ = advance(initial(of.name), Start(rollout=of.name, canary=of.stable, file=of), At(0, 0))
    return replace(started, phase=Phase.PROGRESSING, weight=50.0, step=1)


def served(of: Plan, in_world: World, seconds: float = 1_000.0) -> Mapping[str, Sums]:
    """Return what half of the traffic of some time does."""
    traffic = Traffic(in_world, of, np.random.default_rng(1), b"secret")
    traffic.follow(at_half(of))
    batch = traffic.look(seconds, since_ms=0)
    return {name: batch.served[name] + batch.labelled.get(name, Sums()) for name in batch.served}


@pytest.mark.parametrize("by", list(By))
def test_the_canary_gets_its_weight(by: By) -> None:
    found = served(plan(by=by, steps=HALF), world(plan(by=by, steps=HALF)))

    assert found["canary"].rows / (found["canary"].rows + found["stable"].rows) == pytest.approx(0.5, abs=0.04)


def test_a_key_keeps_its_variant() -> None:
    of = plan(steps=HALF)
    traffic = Traffic(world(of), of, np.random.default_rng(1), b"secret")
    traffic.follow(at_half(of))
    before = traffic.is_canary.copy()
    traffic.follow(replace(at_half(of), weight=75.0, revision=9))

    assert np.all(traffic.is_canary[before])
    assert traffic.is_canary.sum() > before.sum()


def test_both_variants_have_the_base_rates() -> None:
    of = plan(ERRORS, SLOW, WRONG, BRIER, steps=HALF)
    found = served(of, world(of))

    for sums in found.values():
        assert sums.row_fault_count / sums.rows == pytest.approx(0.001, abs=0.0006)
        assert sums.calls_slower_than(50.0) / sums.calls == pytest.approx(0.01, abs=0.003)
        assert sums.losses["wrong"].mean == pytest.approx(0.10, abs=0.01)
        assert sums.losses["brier"].mean == pytest.approx(0.10, abs=0.01)


def test_harm_is_the_canarys_alone() -> None:
    of = plan(ERRORS, SLOW, WRONG, BRIER, steps=HALF)
    harm = Harm(errors=0.05, slow=0.2, losses={"wrong": 0.1, "brier": 0.05})
    found = served(of, world(of, harm=harm))

    canary, stable = found["canary"], found["stable"]
    assert canary.row_fault_count / canary.rows == pytest.approx(0.051, abs=0.005)
    assert canary.calls_slower_than(50.0) / canary.calls == pytest.approx(0.21, abs=0.01)
    assert canary.losses["wrong"].mean == pytest.approx(0.2, abs=0.01)
    assert canary.losses["brier"].mean == pytest.approx(0.15, abs=0.01)
    assert stable.row_fault_count / stable.rows == pytest.approx(0.001, abs=0.0006)


def test_the_subgroup_is_15_points_worse_and_the_total_better() -> None:
    of = plan(WRONG, BY_REGION, steps=HALF)
    [scenario] = chosen(["subgroup"], of, world(of, rate=200.0))
    found = served(of, scenario.world)

    inside = difference(found, "by-region/small")
    assert inside == pytest.approx(0.15, abs=0.02)
    assert difference(found, "wrong") < 0
    assert SEGMENTS["small"] == pytest.approx(0.065)


def difference(found: Mapping[str, Sums], name: str) -> float:
    """Return canary minus stable in one mean loss."""
    return found["canary"].losses[name].mean - found["stable"].losses[name].mean


@pytest.mark.parametrize("check", [BY_REGION, replace(ERRORS, name="region-errors", segment_by="region")])
def test_worse_by_segment_is_worse_in_one_segment(check: Check) -> None:
    of = plan(check, steps=HALF)
    [scenario] = chosen([f"twice:{check.name}"], of, world(of, rate=200.0))
    found = served(of, scenario.world)

    assert difference(found, f"{check.name}/small") == pytest.approx(2 * check.margin, abs=0.03)
    assert difference(found, f"{check.name}/largest") == pytest.approx(0.0, abs=0.01)


def test_calls_of_a_clustered_world_fail_whole() -> None:
    of = plan(steps=HALF)
    [scenario] = chosen(["clustered"], of, world(of))
    sums = served(of, scenario.world)["stable"]

    assert sums.call_fault_count > 0
    assert sums.call_fault_rows / sums.call_fault_count > 5


def test_rates_of_both_variants_rise_with_the_ramp() -> None:
    of = plan(WRONG, steps=HALF)
    [scenario] = chosen(["common"], of, world(of))
    found = served(of, scenario.world)

    assert found["canary"].losses["wrong"].mean == pytest.approx(0.6, abs=0.02)
    assert found["stable"].losses["wrong"].mean == pytest.approx(0.6, abs=0.02)


def test_hot_keys_make_few_effective_keys_and_errors_that_come_back() -> None:
    of = plan(steps=HALF)
    [scenario] = chosen(["hot-keys"], of, world(of))
    sums = served(of, replace(scenario.world, base=replace(scenario.world.base, error_rate=0.01)))["stable"]

    assert scenario.world.effective_keys < world(of).effective_keys / 5
    assert sums.row_fault_count > 1.3 * len(sums.fault_keys)


def test_predictions_are_counted_where_a_check_asks_and_move_where_they_should() -> None:
    of = plan(replace(ERRORS, name="drift", metric=Metric.PREDICTION_DRIFT, margin=0.1, role=Role.SIGNAL), steps=HALF)
    [scenario] = chosen(["moved"], of, world(of))
    found = served(of, scenario.world)

    assert found["stable"].predicted.n == found["stable"].rows
    assert found["canary"].predicted.classes["moved"] / found["canary"].rows == pytest.approx(0.2, abs=0.02)
    assert served(plan(steps=HALF), world(plan(steps=HALF)))["stable"].predicted.n == 0


def test_harm_begins_late_where_the_scenario_says_so() -> None:
    of = plan(steps=HALF)
    [scenario] = chosen(["late"], of, world(of))
    traffic = Traffic(scenario.world, of, np.random.default_rng(1), b"secret")
    traffic.follow(at_half(of))

    before = traffic.look(200.0, since_ms=0).served["canary"]
    after = traffic.look(200.0, since_ms=scenario.world.harm.since_ms).served["canary"]

    assert before.row_fault_count / before.rows < 0.01
    assert after.row_fault_count / after.rows > 0.03


def test_losses_are_summed_by_the_names_that_the_judge_reads() -> None:
    of = plan(WRONG, BY_REGION, steps=HALF)
    losses: Mapping[str, Losses] = served(of, world(of))["canary"].losses

    assert set(losses) == {"wrong", *(f"by-region/{value}" for value in SEGMENTS)}
    assert sum(losses[f"by-region/{value}"].n for value in SEGMENTS) == losses["wrong"].n
