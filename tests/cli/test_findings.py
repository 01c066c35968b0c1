"""`explain`: what a check has seen and needs, and what the rollout waits for."""

from datetime import timedelta

from coalmine.cli.findings import explain, recomputed
from coalmine.policies import Check, Losses, Metric, Role, Sums
from coalmine.policies.checks.fallbacks import FallbackEvidence, fallback_evidence
from coalmine.policies.scorecard.epochs import EpochSums
from coalmine.streams.analysis.looking import finding_record
from tests.cli.records import NOW, PLAN, drift, errors, look, slow, view

SITUATION = """\
flights: ▶ progressing at 25 %, step 2 of 3
step 2 of 3: the canary gets 25 %
look 12 at 12:04:58: undecided, decided: hold - errors has not passed
  recomputed from its record: e-value 0.52 of 20 that the canary is worse: not to be rolled back; not proven yet: errors
  evidence: partition 3 is late
it waits for:
  - the hold of the step: 5m of 10m left
  - samples: 120 of 200, about 3m20s at the pace so far
  - check errors: not yet shown to be within 1 pp"""

ERRORS = """\
errors (guardrail): … inconclusive
  not yet shown to be within 1 pp
  canary: 2 of 400 rows failed (0.5 %)
  stable: 10 of 4,000 rows failed (0.25 %)
  difference: +0.25 pp, between -0.40 pp and +1.20 pp
  to go up: e-value 4.5 of 20 [##########..........] that it is not worse by 1 pp
  to roll back: e-value 0.67 of 20 [....................] that it is worse (counts 50 % of the decision)"""

SLOW = """\
slow (signal): ✔ pass
  not worse by 4 pp
  canary: 8 of 80 calls took longer than 50 ms (10 %)
  stable: 9 of 90 calls took longer than 50 ms (10 %)
  difference: +0.00 pp
  to go up: e-value 55 of 20 [####################] that it is not worse by 4 pp
  to roll back: e-value 0.37 of 20 [....................] that it is worse by more than 1 pp\
 (counts 50 % of the decision)"""


DRIFT = """\
drift (signal): ✖ fail
  further than 0.05: canary's predictions are 0.198 away from stable's
  canary: 3,000 predictions, which count for 812: keys come again
  stable: 27,000 predictions, which count for 4,146: keys come again
  distance: 0.198 of 1 in total variation (PSI 0.206, Jensen-Shannon 0.0253), chance taken out
  close: e-value 0.14 of 20 [....................] that it is below 0.2
  apart: e-value 55 of 20 [####################] that it is above 0.05"""


def test_a_check_on_predictions_tells_a_distance() -> None:
    assert explain(view(findings=[drift()]), None, PLAN, NOW, "drift") == DRIFT


FALLBACKS = """\
rescued (signal): ✖ fail
  above the limit of 5.0 %
  canary: 100 of 1,000 rows answered by stable (10 %), in this step
  limit: e-value over 1,000,000 of 20 [####################] that it is above 5.0 %"""


def test_a_check_on_fallbacks_tells_its_limit_and_compares_nothing() -> None:
    found = finding_record(fallbacks(1_000, 100).finding(failed=True, weight=0.0, plan=PLAN))
    found.reason = "above the limit of 5.0 %"

    assert explain(view(findings=[found]), None, PLAN, NOW, "rescued") == FALLBACKS


def fallbacks(rows: int, rescued: int) -> FallbackEvidence:
    check = Check(name="rescued", metric=Metric.FALLBACK_RATE, margin=0.05, limit=0.05, role=Role.SIGNAL)
    sums = Sums(losses={"rescued": Losses.of_events(rows, rescued)})
    return fallback_evidence(check, [EpochSums(0.1, 1, sums, Sums())], step=1)


def test_the_whole_explanation_is_situation_and_every_check() -> None:
    text = explain(view(), look(missing=["partition 3 is late"]), PLAN, NOW)

    assert text == f"{SITUATION}\n\n{ERRORS}\n\n{SLOW}"


def test_one_check_can_be_explained_alone() -> None:
    assert explain(view(), look(), PLAN, NOW, "slow") == SLOW


def test_a_hold_that_is_over_is_not_waited_for() -> None:
    text = explain(view(), look(), PLAN, NOW + timedelta(minutes=10))

    assert "hold of the step" not in text


def test_a_check_that_only_signals_blocks_nothing() -> None:
    waiting = slow()
    waiting.status = "inconclusive"
    passed = errors()
    passed.status = "pass"

    assert "- check" not in explain(view(findings=[passed, waiting]), None, PLAN, NOW)


def test_a_paused_rollout_waits_for_a_person_and_says_what_to_type() -> None:
    text = explain(view(phase="paused"), None, PLAN, NOW)

    assert "- a person: `coalmine resume flights` or `coalmine rollback flights`" in text


def test_a_look_of_an_earlier_attempt_explains_nothing() -> None:
    assert "look 12" not in explain(view(), look(attempt=3), PLAN, NOW)


def test_without_findings_it_says_so() -> None:
    text = explain(view(findings=[], step=None, phase="pending"), None, None, NOW)

    assert text.endswith("No check has been evaluated in this attempt yet.")


def test_a_check_without_data_invents_no_rate() -> None:
    bare = errors()
    bare.n, bare.values, bare.estimate, bare.log_e_rollback = {}, {}, None, None

    text = explain(view(findings=[bare]), None, PLAN, NOW, "errors")

    assert "canary: no rows yet" in text
    assert "to roll back: e-value unknown" in text


def test_what_was_decided_can_be_added_up_from_the_record() -> None:
    bad = errors()
    bad.log_e_rollback = 5.0
    over = slow()
    over.values = {**over.values, "log_e_limit": 4.0}
    proven = errors()
    proven.log_e_promotion = 3.1

    assert "e-value 74 of 20 that the canary is worse: to be rolled back" in recomputed(look(findings=[bad, slow()]))
    assert recomputed(look(findings=[errors(), over])).endswith("above the limit: slow: to be rolled back")
    assert recomputed(look(findings=[proven, slow()])).endswith("every guardrail is proven")


def test_rates_that_only_look_different_over_the_ramp_are_told_beside_the_right_difference() -> None:
    finding = errors()
    finding.values = {**finding.values, "rows.canary_events": 20}

    text = explain(view(findings=[finding]), None, PLAN, NOW, "errors")

    assert "difference: +0.25 pp, between -0.40 pp and +1.20 pp" in text
    assert "(all rows thrown together: 5.0 % against 0.25 %, +4.75 pp; that misleads" in text


def test_segments_are_told_worst_first() -> None:
    finding = errors()
    finding.measure = "rows/MQ"
    finding.values = {f"rows/{name}.log_e_rollback": log_e for name, log_e in
                      [("UA", -1.0), ("MQ", 3.4), ("A", 0.1), ("B", 0.2), ("C", 0.3), ("D", 0.0)]}  # fmt: skip

    text = explain(view(findings=[finding]), None, PLAN, NOW, "errors")

    assert "segments, by the e-value that it is worse there: MQ 30, C 1.3, B 1.2, A 1.1, D 1 and 1 more" in text
