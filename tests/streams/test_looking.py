"""What the judge writes: answers to commands, findings, views."""

import math
from dataclasses import replace

import pytest

from coalmine.policies import Finding, Phase, Role, Status, Sums, advance
from coalmine.streams.analysis.looking import actual_weight, answers, finding_record, stale
from coalmine.streams.control.fold import ControlFold, Folded
from coalmine.streams.kafka.reader import LogRecord
from coalmine.streams.wire.codec import decode_command, encode
from coalmine.streams.wire.messages import Event
from tests.streams.judge_world import BEGIN_MS, CANARY, EVENT_PLAN, PLAN, World


def told(*values: bytes, key: bytes = b"flights") -> list[Event]:
    """The events that a log of these values makes."""
    heard: list[Folded] = []
    fold = ControlFold(decode_command, advance, heard.append)
    for offset, value in enumerate(values):
        fold.fold(LogRecord(offset, BEGIN_MS, True, key, value, ()))
    return [event for folded in heard for event in answers(folded)]


FREEZE = b'{"rollout": "flights", "command": "freeze", "command_id": "once"}'
RESUME = b'{"rollout": "flights", "command": "resume"}'


def test_an_applied_command_is_answered_under_its_place_in_the_log() -> None:
    (event,) = told(FREEZE)

    assert (event.id, event.kind, event.result, event.command) == ("control@0", "result", "applied", "freeze")
    assert (event.command_id, event.revision, event.time) == ("once", 1, "2023-11-14T22:13:20.000Z")


def test_a_refused_command_is_answered_with_the_reason() -> None:
    (event,) = told(RESUME)

    assert (event.result, event.revision, event.command_id) == ("refused", 0, "control@0")
    assert "not possible" in event.reason


def test_copies_of_a_command_have_one_answer() -> None:
    assert [event.id for event in told(*[FREEZE] * 10)] == ["control@0"]


@pytest.mark.parametrize(("key", "rollout"), [(b"flights", "flights"), (b"\xff \n", ""), (b"", "")])
def test_what_is_no_command_is_answered_to_the_rollout_of_its_key(key: bytes, rollout: str) -> None:
    (event,) = told(b"not json", key=key)

    assert (event.id, event.result, event.rollout) == ("control@0", "refused", rollout)


def test_a_change_of_phase_is_an_event_of_its_own() -> None:
    world = World().start()
    start = b'{"rollout": "flights", "command": "start", "canary": {"uri": "flights/2"}, "file": %s}'
    assert world.state.phase is Phase.PENDING

    events = told(start % encode(PLAN), b'{"rollout": "flights", "command": "rollback"}')

    assert [(event.id, event.kind, event.phase) for event in events] == [
        ("control@0", "result", "pending"),
        ("phase@0", "phase", "pending"),
        ("control@1", "result", "rolled_back"),
        ("phase@1", "phase", "rolled_back"),
    ]


def test_numbers_that_are_not_finite_are_absent() -> None:
    finding = Finding(
        check="errors", role=Role.GUARDRAIL, status=Status.NO_DATA, reason="nothing yet", n={"canary": 0},
        estimate=math.nan, interval=(-math.inf, 0.1), log_e_rollback=-math.inf, values={"a": math.nan, "b": 1.0},
    )  # fmt: skip

    record = finding_record(finding)

    assert (record.estimate, record.interval, record.log_e_rollback) == (None, None, None)
    assert record.values == {"b": 1.0}


def test_evidence_is_stale_beyond_the_freshness_of_the_plan_but_never_under_the_clock_of_events() -> None:
    late = BEGIN_MS + PLAN.analysis.freshness_ms + 1

    assert stale(PLAN, BEGIN_MS, late) is not None
    assert stale(PLAN, BEGIN_MS, late - 1) is None
    assert stale(EVENT_PLAN, BEGIN_MS, late) is None
    assert stale(PLAN, None, late) == "there is no evidence yet"


def test_the_actual_weight_counts_all_traffic_since_the_last_change_of_weight() -> None:
    world = World().start()
    world.traffic(rows=1_000)
    world.tick()
    revision = world.state.revision
    sums = {
        revision - 1: {"stable": Sums(rows=5_000)},
        revision: {"stable": Sums(rows=60, other_rows={"out_of_scope": 30}), "canary": Sums(rows=10)},
    }

    assert actual_weight(sums, world.state) == 10
    assert actual_weight({}, world.state) == 0
    assert actual_weight(sums, replace(world.state, phase=Phase.ROLLED_BACK, canary=CANARY)) == 0
