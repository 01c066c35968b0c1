"""Whole attempts: they end as they must, the same seed gives the same end, and a broken judge shows."""

from dataclasses import replace

import pytest

from coalmine.errors import CommandError
from coalmine.policies import Bake, Cut, Decision, Judgement, Memory, OnSuccess, State, Verdict, look
from coalmine.policies.planning.course import End
from coalmine.simulate import Harm, bounded, chosen, play, run_all, summary

from .plans import BY_REGION, ERRORS, WRONG, plan, world

DAY_MS = 86_400_000


def test_identical_models_are_promoted_by_every_step() -> None:
    of = plan()
    run = play(of, world(of), 1)

    assert (run.ended, run.step) == (End.PROMOTED, 3)
    assert run.ms >= 3 * 300_000


def test_a_crashing_canary_is_taken_back_at_its_first_step() -> None:
    of = plan()
    run = play(of, world(of, harm=Harm(errors=0.05)), 1)

    assert (run.ended, run.step) == (End.ROLLED_BACK, 1)
    assert run.canary_rows < 1_000
    assert run.reason.startswith("errors got worse")


def test_a_bad_segment_is_named_although_the_total_is_better() -> None:
    of = plan(WRONG, BY_REGION)
    [scenario] = chosen(["subgroup"], of, world(of, rate=100.0))
    runs = [play(of, scenario.world, seed) for seed in range(3)]

    assert all(run.ended is not End.PROMOTED for run in runs)
    assert "where region is small" in runs[0].reason


def test_without_traffic_an_attempt_waits_for_the_numbers_of_stable() -> None:
    of = plan(deadline_ms=600_000)
    run = play(of, world(of, rate=0.0), 1)

    assert (run.ended, run.canary_rows, run.looks) == (End.INCONCLUSIVE, 0, 0)
    assert "stable has 0 of 1,000 rows" in run.reason


def test_traffic_that_ends_leads_nowhere_and_the_reason_says_so() -> None:
    of = plan(deadline_ms=3_600_000)
    run = play(of, world(of, is_over_ms=400_000), 1)

    assert run.ended is End.INCONCLUSIVE
    assert "the newest evidence is" in run.reason


def test_a_bake_and_a_person_at_the_end_are_played_too() -> None:
    of = replace(plan(), bake=Bake(hold_ms=300_000), on_success=OnSuccess.APPROVAL)
    run = play(of, world(of), 1)

    assert (run.ended, run.step) == (End.PROMOTED, 4)


def test_labels_that_come_late_make_the_attempt_longer() -> None:
    of = plan(WRONG)
    soon, late = (play(of, world(of, label_delay_ms=ms), 1) for ms in (0, 1_200_000))

    assert late.ms > soon.ms + 600_000


def test_equal_seeds_give_equal_runs_whatever_the_number_of_processes() -> None:
    of = plan(ERRORS)
    scenarios = chosen(["equal", "crash"], of, world(of))
    alone, together = (run_all(of, scenarios, 5, seed=3, processes=count) for count in (1, 2))

    assert alone == together
    assert run_all(of, scenarios[:1], 5, seed=4, processes=1)["equal"] != alone["equal"]


def test_a_judge_that_believes_its_luck_is_caught() -> None:
    of = plan()
    honest = summary([play(of, world(of), seed) for seed in range(8)])
    broken = summary([play(of, world(of), seed, peeking) for seed in range(8)])

    assert honest.rolled_back.count == 0
    assert broken.rolled_back.count >= 4


def peeking(memory: Memory, cut: Cut, state: State) -> Judgement:
    """Roll back as soon as the canary's rate of slow calls or errors looks a little higher than stable's."""
    judgement = look(memory, cut, state)
    if any(finding.estimate is not None and finding.estimate > 0.002 for finding in judgement.findings):
        return replace(judgement, decision=Decision.ROLLBACK, verdict=Verdict.FAIL)
    return judgement


def test_a_plan_with_endless_looks_is_looked_at_less_often() -> None:
    of = plan(deadline_ms=90 * DAY_MS)

    assert bounded(of).analysis.every_ms == 90 * DAY_MS // 10_000
    assert bounded(plan()) == plan()


@pytest.mark.parametrize(
    ("name", "message"),
    [("gone", "there is no scenario 'gone'"), ("eqal", "did you mean equal?"), ("subgroup", "needs a check")],
)
def test_a_scenario_that_cannot_be_told_is_refused(name: str, message: str) -> None:
    with pytest.raises(CommandError, match=message.replace("?", r"\?")):
        chosen([name], plan(), world(plan()))
