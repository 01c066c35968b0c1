"""What a person at a terminal gets: questions before what is risky, colours, and views that go on until Ctrl-C."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from coalmine.cli.exits import Exit
from tests.cli.namespace import Namespace

pytestmark = pytest.mark.kafka

COLOUR = re.compile(r"\x1b\[[\d;]*3\d[\d;]*m")
CODES = re.compile(r"\x1b\[[?\d;]*[A-Za-z]|\r")


@contextmanager
def terminal(namespace: Namespace, *arguments: str, **environment: str) -> Iterator["pexpect.spawn[str]"]:
    """Type a command at a terminal of its own."""
    variables: Mapping[str, str] = {**os.environ, "TERM": "xterm-256color", **environment}
    person = pexpect.spawn(
        str(Path(sys.executable).with_name("coalmine")), namespace.flags(*arguments), env=variables, encoding="utf-8",
        dimensions=(40, 140), timeout=20,
    )  # fmt: skip
    try:
        yield person
    finally:
        person.close(force=True)


def to_the_end(person: "pexpect.spawn[str]") -> tuple[str, int | None]:
    """Return what is still said, and the exit code."""
    person.expect(pexpect.EOF)
    person.close()
    return person.before or "", person.exitstatus


def test_no_to_the_question_sends_nothing(namespace: Namespace) -> None:
    rollout = namespace.ramped()

    with terminal(namespace, "set", "weight", rollout, "20%") as person:
        person.expect_exact(f"20 % is above the next step of '{rollout}' (5 %). Go on? [y/N]:")
        person.sendline("")
        said, code = to_the_end(person)

    assert "nothing was sent" in said
    assert code == Exit.FAILED
    assert namespace.state(rollout)["revision"] == 2


def test_yes_to_the_question_sends_the_command(namespace: Namespace) -> None:
    rollout = namespace.ramped()

    with terminal(namespace, "set", "weight", rollout, "20%", "--no-wait") as person:
        person.expect_exact("Go on? [y/N]:")
        person.sendline("y")
        _, code = to_the_end(person)

    assert code == Exit.DONE
    assert namespace.state(rollout)["weight"] == 20.0


def test_colours_are_for_terminals_and_not_for_who_wants_none(namespace: Namespace) -> None:
    rollout = namespace.ramped()

    with terminal(namespace, "get", rollout) as person:
        coloured, _ = to_the_end(person)
    with terminal(namespace, "get", rollout, NO_COLOR="1") as person:
        plain, _ = to_the_end(person)

    assert COLOUR.search(coloured)
    assert not COLOUR.search(plain)
    assert "▶ progressing" in CODES.sub("", coloured)
    assert "▶ progressing" in CODES.sub("", plain)


def test_the_view_of_a_terminal_is_drawn_anew_until_ctrl_c(namespace: Namespace) -> None:
    rollout = namespace.ramped()

    with terminal(namespace, "get", rollout, "-w") as person:
        person.expect_exact("progressing")
        namespace.command(rollout=rollout, command="pause")
        person.expect_exact("paused")
        person.sendintr()
        _, code = to_the_end(person)

    assert code == Exit.INTERRUPTED


def test_followed_events_appear_as_they_come_until_ctrl_c(namespace: Namespace) -> None:
    rollout, other = namespace.ramped(), namespace.ramped()
    namespace.tell(rollout, 1)

    with terminal(namespace, "events", rollout, "-f") as person:
        person.expect_exact("reason 1")
        namespace.tell(other, 2)
        namespace.tell(rollout, 3)
        person.expect_exact("reason 3")
        between = person.before or ""
        person.sendintr()
        _, code = to_the_end(person)

    assert "reason 2" not in between
    assert code == Exit.INTERRUPTED
