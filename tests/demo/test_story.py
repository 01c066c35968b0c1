"""The spectator of the demo counts what it sees and says honestly how it ended."""

from collections.abc import Iterable
from io import StringIO
from typing import Any, cast

import pytest
from rich.console import Console, RenderableType

from coalmine.demo.scenario import SCENARIOS, scenario_named
from coalmine.demo.screen import LiveView, event_time, frame
from coalmine.demo.story import Story
from coalmine.demo.summary import Ending, summary
from coalmine.errors import ConfigError
from coalmine.policies import Advance, At, Command, FrozenNumbers, ModelRef, Phase, Rollback, Start
from coalmine.rollout_file import load
from coalmine.streams.kafka.topics import NamespaceTopics
from coalmine.streams.wire.codec import encode, encode_command
from coalmine.streams.wire.messages import ErrorRecord, Heartbeat, LoadedModel, Look, Prediction
from tests.cli.records import event, view

CRASH = SCENARIOS["crash"]
PLAN, DIGEST = load(CRASH.file)
CANARY = ModelRef(uri="tailnum", digest="sha256:" + "0" * 64, name="flights", version="2-tailnum")
SHARED = NamespaceTopics()
FROZEN = FrozenNumbers(rows=1000, calls=100, error_rate=0.0, slow_ms={"slow": 50.0})
DEPARTURE_MS = 1362114300000


def prediction(id_: str, variant: str = "stable", fallback: str | None = None) -> tuple[str, bytes]:
    record = Prediction(
        id=id_, rollout="flights", variant=variant, model_name="flights", model_version="1", prediction=0.2, ts=0,
        latency_ms=1.0, revision=1, src="flights.requests/0@0", fallback=fallback,
    )  # fmt: skip
    return PLAN.topics.predictions, encode(record)


def error_record(id_: str) -> tuple[str, bytes]:
    record = ErrorRecord(id=id_, rollout="flights", ts=0, src="", error="no", error_code="bad_json")
    return PLAN.topics.predictions, encode(record)


def command(of: Command) -> tuple[str, bytes]:
    return SHARED.control, encode_command(of)


def look(number: int, decision: str) -> tuple[str, bytes]:
    record = Look(
        rollout="flights", attempt=0, look=number, time="2026-11-21T10:00:00Z", control_offset=1, evidence_offset=1,
        offsets={}, increments=[], findings=[], verdict="fail", decision=decision, reason="why", now_ms=DEPARTURE_MS,
    )  # fmt: skip
    return SHARED.looks, encode(record)


def heartbeat(role: str, **more: Any) -> tuple[str, bytes]:
    beat = Heartbeat(worker=role, host="h", version="0", role=role, time="2026-11-21T10:00:00Z", control_offset=-1)
    for name, value in more.items():
        setattr(beat, name, value)
    return SHARED.workers, encode(beat)


def told(*records: tuple[str, bytes]) -> Story:
    """Return the story of these records, a second apart."""
    story = Story("flights", SHARED, PLAN.topics)
    offsets: dict[str, int] = {}
    for second, (topic, value) in enumerate(records, 1):
        story.take(topic, At(offsets.setdefault(topic, 0), second * 1000), value)
        offsets[topic] += 1
    return story


START = command(Start(rollout="flights", canary=CANARY, file=PLAN, file_digest=DIGEST, issued_by="operator:demo"))
FIRST_STEP = command(
    Advance(rollout="flights", step=1, attempt=0, expected_revision=1, frozen=FROZEN, issued_by="analyzer")
)
BACK = command(
    Rollback(rollout="flights", attempt=0, look=7, issued_by="analyzer", reason="errors got worse with the canary")
)
CRASHED = (START, FIRST_STEP, look(7, "rollback"), BACK)


def printed(drawn: RenderableType) -> str:
    console = Console(width=110, force_terminal=False)
    with console.capture() as capture:
        console.print(drawn)
    return capture.get()


def ending(asked: Iterable[str], *records: tuple[str, bytes]) -> Ending:
    return Ending(scenario=CRASH, story=told(*records), asked=frozenset(asked), began_ms=0)


def test_a_fallback_counts_as_an_answer_of_stable() -> None:
    answers = told(prediction("a"), prediction("b", "canary"), prediction("c", "canary", "model_error")).answers

    assert dict(answers.by_variant) == {"stable": 2, "canary": 1}
    assert dict(answers.fallbacks) == {"model_error": 1}


def test_an_error_record_answers_its_request() -> None:
    told_of = ending("a", error_record("a"))

    assert told_of.exactly_once
    assert dict(told_of.story.answers.errors) == {"bad_json": 1}


@pytest.mark.parametrize(
    ("asked", "records"),
    [
        (("a", "b"), [prediction("a")]),
        (("a",), [prediction("a"), prediction("a")]),
        (("a",), [prediction("a"), prediction("stranger")]),
    ],
    ids=["one without an answer", "one answered twice", "one answered unasked"],
)
def test_a_wrong_count_of_answers_is_noticed(asked: tuple[str, ...], records: list[tuple[str, bytes]]) -> None:
    told_of = ending(asked, *records)

    assert not told_of.exactly_once
    assert "exactly once" not in printed(summary(told_of))


def test_a_stranger_among_the_records_is_passed_over() -> None:
    story = told((PLAN.topics.predictions, b"\xff not ours"), (SHARED.looks, b"[]"), prediction("a"))

    assert story.answers.ids == {"a"}


def test_a_move_leads_to_the_look_that_decided_it() -> None:
    story = told(*CRASHED)
    looks = [story.look_of(move) for move in story.moves]

    assert [found.look if found else None for found in looks] == [None, None, 7]


def test_the_ending_knows_the_weights_and_the_phase() -> None:
    crashed = ending("a", *CRASHED)

    assert (crashed.weights, crashed.story.phase) == ((10.0,), Phase.ROLLED_BACK)
    assert crashed.as_written


def test_a_story_that_ended_otherwise_is_not_as_written() -> None:
    assert not ending("a", START, FIRST_STEP).as_written


def test_the_summary_says_what_when_and_why() -> None:
    text = printed(summary(ending("a", *CRASHED, prediction("a"))))

    assert "✖ rolled back after 4.0 s: flights 2-tailnum (tailnum)" in text
    assert "operator:demo started canary flights 2-tailnum" in text
    assert "Fri 1 Mar 05:05" in text
    assert "errors got worse with the canary" in text
    assert "1 requests: each was answered exactly once" in text
    assert "coalmine demo --scenario clean" in text


def test_without_a_decision_the_summary_says_so() -> None:
    assert "no decision in time: the rollout is progressing" in printed(summary(ending("", START, FIRST_STEP)))


def test_the_stage_is_ready_when_a_worker_has_stable_and_partitions_and_an_analyzer_reports() -> None:
    stable = {"flights": [LoadedModel(role="stable", uri="stable", digest="", status="ready")]}
    score = heartbeat("score", partitions={"flights": [0]}, models=stable)

    assert not told(score).is_served
    assert not told(heartbeat("score", models=stable), heartbeat("analyze")).is_served
    assert told(score, heartbeat("analyze")).is_served


def test_the_live_view_draws_before_anything_is_known() -> None:
    text = printed(frame(CRASH, told(), PLAN, 1.0, 0, "starting", None))

    assert "coalmine demo crash" in text
    assert "0 requests, 0 answered" in text


def test_the_live_view_draws_the_rollout_with_its_events() -> None:
    story = told(*CRASHED, (SHARED.rollouts, encode(view())), (SHARED.events, encode(event())))

    text = printed(frame(CRASH, story, PLAN, 9.0, 7, "until the verdict", None))

    assert "7 requests, 0 answered" in text
    assert "flights  ▶ progressing  canary gets 25 %" in text
    assert "slow" in text
    assert "pause applied" in text


def drawn(height: int) -> str:
    """Return what a terminal of `height` lines is sent while a play is shown three times."""
    story = told(*CRASHED, (SHARED.rollouts, encode(view())))
    console = Console(file=StringIO(), force_terminal=True, width=110, height=height)
    with LiveView(console, CRASH, story, PLAN, lambda: 7) as live:
        for seconds, doing in ((1.0, "first"), (1.1, "too soon"), (1.3, "second")):
            live.show(seconds, doing)
    return cast("StringIO", console.file).getvalue()


def test_a_terminal_is_drawn_anew_at_most_five_times_a_second() -> None:
    text = drawn(height=50)

    assert "first" in text
    assert "too soon" not in text
    assert "second" in text


def test_a_low_terminal_shows_what_matters_most() -> None:
    high, low = drawn(height=50), drawn(height=10)

    assert "requests, 0 answered" in low
    assert "slow" in high
    assert "slow" not in low


def test_times_of_flights_are_told_as_people_say_them() -> None:
    assert (event_time(DEPARTURE_MS), event_time(None)) == ("Fri 1 Mar 05:05", "-")


def test_an_unknown_scenario_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="choose one of clean, crash, slow"):
        scenario_named("clear")


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_the_weights_of_a_scenario_are_the_first_steps_of_its_file(scenario: Any) -> None:
    plan, _ = load(scenario.file)
    steps = tuple(step.weight for step in plan.steps)

    assert steps[: len(scenario.weights)] == scenario.weights
    assert (len(steps) == len(scenario.weights)) == (scenario.end is Phase.PROMOTED)
