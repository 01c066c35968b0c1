"""What a demo printed is read as the story it told; another story, or none, is told apart."""

from bench.demo_runs import read

PROMOTED = """\
[  9.3 s] the analyzer compares the canary with stable
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


def test_the_story_is_the_verdict_and_the_weights() -> None:
    told = read(0, PROMOTED, 30.0)

    assert (told.code, told.end, told.weights) == (0, "promoted", ("0 %", "10 %", "25 %", "100 %"))
    assert told.exactly_once


def test_a_rollback_is_another_story() -> None:
    told = read(0, PROMOTED.replace("✔ promoted after", "✖ rolled back after"), 30.0)

    assert told.end == "rolled back"


def test_a_demo_without_verdict_or_with_lost_requests_is_told_apart() -> None:
    told = read(1, "Traceback: Kafka could not be reached\n", 3.0)

    assert (told.code, told.end, told.weights, told.exactly_once) == (1, "no verdict", (), False)
