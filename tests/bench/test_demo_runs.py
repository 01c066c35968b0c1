"""What a demo printed is read as the story it told; another story, or none, is told apart."""

import pytest

from bench.demo_runs import SCENARIOS, read

PROMOTED = """\
[  9.3 s] the analyzer compares the canary with stable
[ 28.2 s] attempt 0 was promoted: hinges is stable (analyzer: every check has passed on step 3 of 3, the last one)
[ 28.3 s] the verdict is there; traffic goes on for a moment
✔ promoted after 28.2 s: flights 2 (hinges) is the new stable model and answers everything

 after    flights of          canary gets    why
 9.2 s    Sat 2 Mar 12:39             0 %    operator:demo started canary flights 2 (hinges)
12.1 s    Mon 4 Mar 06:53            10 %    stable's numbers come from
                                             1,383 rows
18.9 s    Thu 7 Mar 19:02            25 %    every check has passed on step 1 of 3
28.2 s    Wed 13 Mar 07:28          100 %    ✔ promoted: canary 0 % of 509 calls failed

The last of 90 looks:
  slow ✔ pass: canary 0 % of 509 calls took longer than 50 ms, stable 0 % of 586

11,773 requests: each was answered exactly once
  stable answered 9,706, the canary 2,067
"""

CRASHED = """\
[  9.9 s] step 1 of 3: the canary gets 10 % (analyzer: the one worker has the canary loaded)
[ 10.4 s] rolled back from 10 %: errors got worse with the canary: canary 29 % of 14 rows failed, stable 0 % (analyzer)
✖ rolled back after 10.3 s: flights 2-tailnum (tailnum) gets no more traffic; stable answers everything

 after    flights of         canary gets    why
 6.7 s    Sat 2 Mar 12:54            0 %    operator:demo started canary flights 2-tailnum (tailnum)
 9.9 s    Mon 4 Mar 08:53           10 %    the one worker has the canary loaded
10.3 s    Mon 4 Mar 10:55            0 %    ✖ rolled back: errors got worse with the canary

The last of 3 looks:
  errors ✖ fail: worse than stable: canary 29 % of 14 rows failed, stable 0 % of 127 (e-value 584, 20 needed)
  slow … inconclusive: not yet shown to be within 12 pp: canary 0 % of 5 calls took longer than 50 ms

4,075 requests: each was answered exactly once
"""


def test_the_story_is_the_verdict_who_decided_and_the_weights() -> None:
    told = read(0, PROMOTED, 30.0)

    assert (told.code, told.end, told.decided_by) == (0, "promoted", "every check")
    assert told.weights == ("0 %", "10 %", "25 %", "100 %")
    assert told.exactly_once


def test_a_rollback_is_another_story() -> None:
    told = read(0, CRASHED, 15.0)

    assert (told.end, told.decided_by, told.weights) == ("rolled back", "errors", ("0 %", "10 %", "0 %"))


@pytest.mark.parametrize(
    ("output", "scenario"),
    [(PROMOTED, "clean"), (CRASHED, "crash"), (CRASHED.replace("errors got worse", "slow got worse"), "slow")],
)
def test_each_scenario_is_as_written_only_when_its_own_check_decides(output: str, scenario: str) -> None:
    told = read(0, output, 15.0)

    assert [name for name in SCENARIOS if told.is_as_written(name)] == [scenario]


def test_a_rollback_for_a_reason_that_is_no_check_is_told_apart() -> None:
    told = read(0, CRASHED.replace("errors got worse with the canary", "somebody said so"), 15.0)

    assert (told.end, told.decided_by) == ("rolled back", "no check")
    assert not told.is_as_written("crash")


def test_a_demo_without_verdict_or_with_lost_requests_is_told_apart() -> None:
    told = read(1, "Traceback: Kafka could not be reached\n", 3.0)

    assert (told.code, told.end, told.decided_by, told.weights) == (1, "no verdict", "no check", ())
    assert not told.exactly_once
