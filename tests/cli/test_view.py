"""The screen of a rollout: the same words with and without colour, and what it says when little is known."""

import re
from dataclasses import replace
from io import StringIO
from typing import Any, Literal

import pytest
from rich.console import Console

from coalmine.cli.findings import explain
from coalmine.cli.look import list_rows
from coalmine.cli.view import rates, render
from coalmine.policies import Bake, Check, Metric, OnSuccess, Phase, Role
from coalmine.policies.checks.drift import FeatureDrift
from coalmine.policies.checks.drifted import DriftEvidence
from coalmine.streams.analysis.looking import finding_record
from coalmine.streams.wire.messages import StepView
from tests.cli.records import NOW, PLAN, drift, event, slow, view

WIDTH = 100
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")

SCREEN = """\
flights  ▶ progressing  canary gets 25 % (of all traffic 24.8 %)  revision 7, attempt 17
step 2 of 3: the canary gets 25 %

  ✔ 10 % ─ ▶ 25 % ─ ○ 50 % ─ ○ promote
  step 2 of 3, 120 of 200 samples, for 5m (hold 10m)

  variant  model      weight  req/s    rows      faults     p50     p99  mean
  stable   flights 1    75 %    750  12,034           0  2.1 ms  5.2 ms  0.23
  canary   flights/2    25 %    251   4,011  2 (0.05 %)   15 ms   61 ms     -

  check          verdict         canary  stable        difference, pp  margin  samples  e up  e back
  errors         … inconclusive   0.5 %  0.25 %  +0.25 [-0.40, +1.20]    1 pp      400   4.5    0.67
  slow (signal)  ✔ pass            10 %    10 %                 +0.00    4 pp       80    55    0.37
  e up: not worse by the margin; e back: worse than stable, 20 decides

  12:00:00  pause applied    paused at 10 % by operator:ann
  12:00:00  promote refused  revision is 7, the command expected 6: look again
  12:00:00  rolled back      rolled back from 25 %: errors: worse than stable
"""

EVENTS = [
    event(),
    event(command="promote", result="refused", reason="revision is 7, the command expected 6: look again"),
    event(kind="phase", phase="rolled_back", reason="rolled back from 25 %: errors: worse than stable"),
]


def printed(renderable: Any, colour: Literal["truecolor"] | None = None) -> str:
    """Return what a screen of 100 columns shows, without blanks at the ends of lines."""
    out = StringIO()
    console = Console(file=out, width=WIDTH, force_terminal=colour is not None, color_system=colour, highlight=False)
    console.print(renderable)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def test_the_screen_of_a_rollout_fits_into_100_columns() -> None:
    screen = render(view(), EVENTS, plan=PLAN, now=NOW, requests_per_second={"stable": 750, "canary": 251})

    assert printed(screen) == SCREEN


def test_colour_adds_nothing_but_colour() -> None:
    screen = render(view(), EVENTS, plan=PLAN, now=NOW, requests_per_second={"stable": 750, "canary": 251})

    coloured = printed(screen, "truecolor")

    assert "\x1b[31mrolled back" in coloured
    assert "".join(f"{line.rstrip()}\n" for line in ESCAPES.sub("", coloured).splitlines()) == SCREEN


@pytest.mark.parametrize("phase", [phase.value for phase in Phase])
def test_every_phase_has_an_icon_and_its_words(phase: str) -> None:
    headline = printed(render(view(phase=phase))).splitlines()[0]

    icon, words = headline.removeprefix("flights  ").split(" ", 1)
    assert len(icon) == 1
    assert not icon.isalnum()
    assert words.startswith(phase.replace("_", " "))


def test_a_bake_stands_at_the_end_of_the_track_by_its_name() -> None:
    plan = replace(PLAN, bake=Bake(hold_ms=86_400_000, holdback=5), on_success=OnSuccess.APPROVAL)
    step = StepView(index=4, of=3, since="2026-03-01T12:00:00Z", need=100, have=90_000)

    before = printed(render(view(), plan=plan, now=NOW))
    baking = printed(render(view(phase="baking", weight=95.0, step=step), plan=plan, now=NOW))

    assert "  ✔ 10 % ─ ▶ 25 % ─ ○ 50 % ─ ○ bake 95 % ─ ○ a person decides" in before
    assert "  ✔ 10 % ─ ✔ 25 % ─ ✔ 50 % ─ ▶ bake 95 % ─ ○ a person decides" in baking
    assert "  the bake, 90,000 of 100 samples, for 5m (hold 1d)" in baking


def test_list_and_explanation_call_the_bake_by_its_name() -> None:
    plan = replace(PLAN, bake=Bake(hold_ms=86_400_000, holdback=5))
    step = StepView(index=4, of=3, since="2026-03-01T12:00:00Z", need=100, have=90_000)
    baking = view(phase="baking", weight=95.0, step=step)

    _, row = list_rows([baking], wide=False)
    text = explain(baking, None, plan, NOW)

    assert row[1:4] == ["◑ baking", "95 %", "bake"]
    assert text.startswith("flights: ◑ baking at 95 %, the bake\n")
    assert "the hold of the step: 23h55m of 1d left" in text


def test_a_dead_analyzer_is_said_on_the_screen() -> None:
    assert "! no analyzer is alive: automatic decisions are off" in printed(render(view(), judge_alive=False))
    assert "no analyzer" not in printed(render(view()))


def test_without_a_canary_stable_has_all_the_traffic() -> None:
    screen = printed(render(view(phase="promoted", canary=None, weight=0.0, step=None, message="done")))

    assert "stable   flights 1   100 %" in screen
    assert "canary gets" not in screen


def test_without_figures_there_are_dashes_and_no_zeros_that_nobody_measured() -> None:
    screen = printed(render(view(variants={}, findings=[], phase="pending", step=None)))

    assert "stable   flights 1    75 %      -     0       0    -    -     -" in screen
    assert "check" not in screen


def test_a_pending_rollout_says_who_has_loaded_the_canary() -> None:
    record = view(phase="pending", message="waits", step=None)
    assert record.workers is not None

    record.workers.ready = 1
    assert "waits; canary loaded by 1 of 3 workers" in printed(render(record))
    record.workers.ready = record.workers.of = 0
    assert "waits; no worker is alive" in printed(render(record))


def test_a_huge_e_value_is_cut_off() -> None:
    finding = slow()
    finding.log_e_promotion = 700.0

    assert ">10,000" in printed(render(view(findings=[finding])))


def test_words_of_a_stranger_are_not_markup() -> None:
    assert "[red]boom[/red]" in printed(render(view(message="[red]boom[/red]"), [event(reason="[red]boom[/red]")]))


def test_rates_are_rows_between_two_views_of_one_attempt() -> None:
    before = view()
    after = view(time="2026-03-01T12:05:00Z", variants={"stable": {"rows": 12134}, "canary": {"rows": 4031}})

    assert rates(before, after) == {"stable": 50.0, "canary": 10.0}
    assert rates(before, view(attempt=18, time="2026-03-01T12:05:00Z")) == {}
    assert rates(before, before) == {}


def test_a_distance_of_predictions_is_no_number_of_percentage_points() -> None:
    screen = printed(render(view(findings=[drift()])))

    assert "0.198 of 1     0.2    3,000  0.14      55" in screen


def test_a_distance_of_features_is_one_too_and_counts_requests() -> None:
    found = finding_record(drifted().finding(failed=False, weight=0.0, plan=PLAN))

    assert "0.04 of 1       -    4,000     -    0.37" in printed(render(view(findings=[found])))


def drifted() -> DriftEvidence:
    check = Check(name="inputs", metric=Metric.FEATURE_DRIFT, margin=0.1, limit=0.1, role=Role.INFO)
    return DriftEvidence(check=check, features=(FeatureDrift("age", 4_000, 0.04, 0.01, -1.0, 0.03),), moved=(),
                         log_e_rollback=-1.0)  # fmt: skip
