"""What `estimate` says is what happens in `simulate`."""

import pytest

from coalmine.policies import By, Plan
from coalmine.policies.planning.course import End, course
from coalmine.policies.planning.estimate import estimate
from coalmine.simulate import Harm, Run, World, chosen, run_all

from .plans import ERRORS, SLOW, WRONG, plan, world

RUNS = 16


def played(of: Plan, in_world: World) -> list[Run]:
    """Return runs of a world."""
    [scenario] = chosen(["equal"], of, in_world)
    return run_all(of, [scenario], RUNS, seed=7, processes=1)["equal"]


@pytest.mark.parametrize(
    ("of", "rate"),
    [(plan(), 10.0), (plan(by=By.RANDOM), 4.0), (plan(WRONG, by=By.RANDOM), 10.0), (plan(ERRORS, SLOW, WRONG), 20.0)],
    ids=["keyed", "random", "accuracy", "three checks"],
)
def test_the_time_to_a_promotion(of: Plan, rate: float) -> None:
    in_world = world(of, rate)
    found = estimate(of, in_world.base, in_world.supply)
    times = [run.ms / 1_000 for run in played(of, in_world) if run.ended is End.PROMOTED]

    assert len(times) >= RUNS - 2
    assert found.ends[0] is End.PROMOTED
    assert sum(times) / len(times) == pytest.approx(found.middle.seconds, rel=0.4)


@pytest.mark.parametrize(
    ("name", "shift", "harm"),
    [
        ("errors", 0.05, Harm(errors=0.05)),
        ("errors", 0.01, Harm(errors=0.01)),
        ("slow", 0.20, Harm(slow=0.20)),
        ("wrong", 0.10, Harm(losses={"wrong": 0.10})),
        ("wrong", 0.05, Harm(losses={"wrong": 0.05})),
    ],
    ids=["crash", "errors", "slow", "10 points", "5 points"],
)
def test_what_a_bad_canary_costs(name: str, shift: float, harm: Harm) -> None:
    of = plan(ERRORS, SLOW, WRONG)
    in_world = world(of, 10.0, harm=harm)
    expected = course(of, in_world.base, in_world.supply, shifts={name: shift})
    runs = played(of, in_world)

    assert expected.end is End.ROLLED_BACK
    assert all(run.ended is End.ROLLED_BACK for run in runs)
    mean = sum(run.canary_rows for run in runs) / RUNS
    assert expected.canary_rows / 2 <= mean <= expected.canary_rows * 2


def test_no_answer_where_none_is_expected() -> None:
    of = plan(deadline_ms=3_600_000)
    in_world = world(of, 0.5)

    assert estimate(of, in_world.base, in_world.supply).ends == (End.INCONCLUSIVE,)
    assert all(run.ended is End.INCONCLUSIVE for run in played(of, in_world))
