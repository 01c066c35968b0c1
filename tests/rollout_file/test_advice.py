"""What a file may say and will surprise with."""

import pytest

from coalmine.rollout_file import warnings

from .files import plan_of

CHECKS = "analysis: {{checks: {{errors: {{metric: error_rate}}, {}}}}}"

SURPRISES = [
    ("analysis: {deadline: 30m}", "analysis.deadline: 30m is over before the holds of the steps (50m); raise it or "
     "shorten the holds"),
    ("bake: {}", "analysis.deadline: 1d is over before the holds of the steps and the bake (1d50m); raise it or "
     "shorten the holds"),
    (CHECKS.format("w: {metric: accuracy}"), "analysis.checks.w: this version joins no labels yet, which w needs: "
     "start and run refuse the file; remove what needs it, or keep it in a copy"),
    ("analysis: {checks: {e: {metric: error_rate, role: signal}}}", "analysis.checks: no check can roll back, so the "
     "canary is promoted when the holds are over, whatever it does; make one a guardrail without dry_run"),
    ("analysis: {checks: {e: {metric: error_rate, dry_run: true}}}", "analysis.checks: no check can roll back, so the "
     "canary is promoted when the holds are over, whatever it does; make one a guardrail without dry_run"),
    ("analysis: {checks: {s: {metric: slow_rate}}}", "analysis.checks: no guardrail watches error_rate: only the "
     "breaker sees a canary that fails; add one"),
    (CHECKS.format("s: {metric: slow_rate, margin: 2pp, tolerance: 2pp}"), "analysis.checks.s.tolerance: as large as "
     "the margin, so the canary stays until it is shown to be worse by all of it; 1 pp is the default"),
    (CHECKS.format("s: {metric: slow_rate, margin: 30pp}"), "steps[0].margin_factor: s lets everything pass here: "
     "30 pp times 4; lower one of them"),
    ("steps: [{weight: 10%}, {weight: 50%, margin_factor: 2}]", "steps[1].margin_factor: the last step decides on the "
     "promotion with 2 times the margins; end at 1"),
    ("steps: [{weight: 30%}, {weight: 50%}]", "steps[0].weight: the first step gives 30% to a model nobody has seen; "
     "begin lower"),
    ("steps: [{weight: 10%}]", "steps[0].weight: the promotion jumps from 10% to all traffic; add a step of 50%"),
    ("canary_timeout: 50ms", "analysis.checks.slow.slower_than: no canary call is ever slow: after canary_timeout "
     "(50ms) it is a fault; lower it"),
    ("routing: {deny: [a, b], allow: [b]}", "routing.allow[0]: b is denied too, and deny wins; remove one"),
    ("canary: {uri: flights/1}", "canary.uri: the canary is the stable model; name the new version"),
    ("analysis: {on_insufficient: rollback}\nwindows: [{days: mon-fri, from: 09:00, to: 17:00, zone: UTC}]",
     "windows: they are closed for up to 2d16h, longer than analysis.deadline, which then rolls back; raise it or let "
     "on_insufficient hold"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "message"), SURPRISES, ids=[lines for lines, _ in SURPRISES])
def test_a_surprise_is_told_with_what_to_do(lines: str, message: str) -> None:
    assert message in warnings(plan_of(lines))


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "steps: cautious",
        "steps: fast",
        "steps: quarter",
        "bake: {hold: 12h}\nsteps: [{weight: 10%, margin_factor: 3}]",
        "analysis: {deadline: 30m, clock: event}",
        "windows: [{days: mon-fri, from: 09:00, to: 17:00, zone: UTC}]",
        "windows: [{from: 00:00, to: 12:00, zone: UTC}, {from: 11:00, zone: UTC}]\nanalysis: {on_insufficient: pause}",
    ],
)
def test_a_file_without_surprises_has_no_warning(lines: str) -> None:
    assert warnings(plan_of(lines)) == []
