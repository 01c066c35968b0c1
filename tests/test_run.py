"""The parent of worker processes: its signals reach the children, its exit code says what became of them."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from coalmine.policies import ModelRef, Plan, Step, Topics
from coalmine.run import duties_of
from coalmine.streams.exits import FAULT, TOO_SLOW, UNREACHABLE

PLANS = [
    Plan(name=name, topics=Topics.of(name), stable=ModelRef(uri="v1"), steps=(Step(weight=50),)) for name in ("a", "b")
]

SECONDS = 60
"""Deadline for the end of a parent: on a busy machine its start and those of its children take most of it."""

Play = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def play() -> Iterator[Play]:
    made: list[subprocess.Popen[str]] = []

    def start(*words: str) -> "subprocess.Popen[str]":
        made.append(
            subprocess.Popen([sys.executable, "-m", "tests.staged_run", *words], stdout=subprocess.PIPE, text=True)
        )
        return made[-1]

    yield start
    for parent in made:
        parent.terminate()
        parent.communicate()


def has_begun(parent: "subprocess.Popen[str]", *roles: str) -> bool:
    assert parent.stdout is not None
    return {parent.stdout.readline().strip() for _ in roles} == set(roles)


def test_a_signal_before_the_first_child_is_passed_on(play: Play) -> None:
    assert play("wait", "early").wait(SECONDS) == 0


def test_children_that_had_not_begun_to_listen_were_stopped_in_order(play: Play) -> None:
    parent = play("also", "wait")
    assert has_begun(parent, "also", "wait")

    parent.send_signal(signal.SIGTERM)

    assert parent.wait(SECONDS) == 0


@pytest.mark.parametrize(("role", "code"), [("unreachable", UNREACHABLE), ("fault", FAULT)])
def test_a_child_that_ends_by_itself_ends_the_others_with_its_code(play: Play, role: str, code: int) -> None:
    assert play(role).wait(SECONDS) == code


@pytest.mark.parametrize("role", ["killed", "raised"])
def test_a_child_that_ends_without_a_code_of_a_worker_had_a_fault(play: Play, role: str) -> None:
    assert play(role).wait(SECONDS) == FAULT


def test_a_child_that_another_kills_while_it_stops_had_a_fault(play: Play) -> None:
    parent = play("killed-at-the-stop")
    assert has_begun(parent, "killed-at-the-stop", "wait")

    parent.send_signal(signal.SIGTERM)

    assert parent.wait(SECONDS) == FAULT


def test_a_child_that_must_be_killed_took_too_long_to_stop(play: Play) -> None:
    parent = play("deaf")
    assert has_begun(parent, "deaf", "wait")

    parent.send_signal(signal.SIGTERM)

    assert parent.wait(SECONDS) == TOO_SLOW


def static_ids(processes: int, **given: str) -> list[str | None]:
    return [duty.kafka(given).get("group.instance.id") for duty in duties_of(PLANS, "all", processes)]


def test_processes_that_score_one_rollout_have_static_ids_of_their_own() -> None:
    assert static_ids(2, **{"group.instance.id": "host"}) == ["host-1", "host-2", "host-1", "host-2", "host"]


def test_a_process_that_scores_a_rollout_alone_keeps_the_static_id_it_was_given() -> None:
    assert static_ids(1, **{"group.instance.id": "host"}) == ["host", "host", "host"]


def test_without_a_static_id_no_process_gets_one() -> None:
    assert static_ids(2) == [None] * 5
