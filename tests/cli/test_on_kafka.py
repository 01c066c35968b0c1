"""The commands on a real Kafka, with no worker and no analyzer of ours: the log alone decides."""

import json
import signal
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coalmine.cli import report
from coalmine.cli.app import app
from coalmine.cli.exits import Exit
from coalmine.streams.wire.codec import encode
from tests.cli.namespace import DIGEST, Namespace, watching
from tests.cli.records import errors, look, slow, view

pytestmark = pytest.mark.kafka

NO_ANALYZER = "no analyzer is alive: automatic decisions are off"

STEPS_WITH_APPROVAL = """\
steps:
  - {weight: 1%, hold: 10m, samples: 100, margin_factor: 2, approval: true}
  - {weight: 50%, hold: 10m, samples: 100, approval: true}
"""


def wait_for(fact: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until a fact holds."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "the fact did not come true in time"


def test_topics_are_planned_created_and_then_as_they_must_be(namespace: Namespace) -> None:
    file = namespace.file(f"t-{uuid.uuid4().hex[:8]}")

    before = namespace.call("topics", "plan", file)
    applied = namespace.call("topics", "apply", file)
    after = namespace.call("topics", "plan", file)

    assert before.stdout.count("+  create") == 7  # six of the rollout and the changelog of its tally
    assert before.stdout.count("=  keep") == 7
    assert "7 of 14 topics changed" in applied.stdout
    assert after.stdout.count("=  keep") == 14


def test_a_topic_with_the_wrong_settings_is_corrected_and_one_with_wrong_partitions_is_not(
    namespace: Namespace, new_topic: Callable[..., str]
) -> None:
    rollout = f"t-{uuid.uuid4().hex[:8]}"
    requests, outcomes = new_topic("requests", partitions=3), new_topic("outcomes", partitions=2)
    letters = new_topic("letters", config={"retention.ms": "1000"})
    topics = f"topics: {{requests: {requests}, outcomes: {outcomes}, dead_letters: {letters}}}\n"
    file = namespace.file(rollout, topics)
    wait_for(lambda: namespace.call("topics", "plan", file).stdout.count("+  create") == 4)

    result = namespace.call("topics", "apply", file)

    assert result.exit_code == 1
    assert f"{outcomes} cannot be used as it is" in result.stderr
    lines = {line.split()[2]: line for line in result.stdout.splitlines() if len(line.split()) > 2}
    assert "has 2 partitions and needs 3" in lines[outcomes]
    assert "retention.ms 1000 -> 7776000000" in lines[letters]
    assert "yours, 3 partitions" in lines[requests]
    assert lines[f"{rollout}.predictions"].split()[3:5] == ["3", "partitions,"]
    wait_for(lambda: f"=  keep      {letters}" in namespace.call("topics", "plan", file).stdout)


def test_start_pause_resume_and_rollback_work_with_no_analyzer_and_say_so(namespace: Namespace) -> None:
    rollout = namespace.started()

    results = [namespace.call(verb, rollout) for verb in ("pause", "resume", "rollback")]

    assert [result.exit_code for result in results] == [0, 0, 0]
    firsts = [result.stdout.splitlines()[0] for result in results]
    assert firsts == [
        f"rollout '{rollout}' paused (revision 2)",
        f"rollout '{rollout}' resumed (revision 3)",
        f"rollout '{rollout}' rolled back (revision 4)",
    ]
    assert all(NO_ANALYZER in result.stderr for result in results)
    assert all(f"no worker of '{rollout}' is alive" in result.stdout for result in results)
    assert namespace.state(rollout)["phase"] == "rolled_back"


def test_a_command_of_a_foreign_producer_in_raw_json_is_obeyed(namespace: Namespace) -> None:
    rollout = namespace.started()

    namespace.command(rollout=rollout, command="pause", reason="lunch")

    state = namespace.state(rollout)
    assert (state["phase"], state["revision"], state["message"]) == ("paused", 2, "paused at 0 %: lunch")


def test_rubbish_on_the_control_topic_changes_nothing(namespace: Namespace) -> None:
    rollout = namespace.started()

    for rubbish in (b"", b"\xff\xfe", b"[" * 5000, b"{}", b'{"command": "explode", "rollout": "x"}'):
        namespace.write("control", rubbish)

    assert namespace.state(rollout)["revision"] == 1
    assert namespace.call("rollback", rollout).exit_code == 0


def test_a_refused_command_ends_with_1_and_the_reason(namespace: Namespace) -> None:
    rollout = namespace.started()

    result = namespace.call("resume", rollout)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "error: resume refused: resume is not possible while the rollout is pending" in result.stderr


def test_a_start_without_a_file_uses_the_plan_of_the_attempt_before(namespace: Namespace) -> None:
    rollout = namespace.started()
    namespace.call("rollback", rollout)

    first = namespace.call("start", f"new-{rollout}", "--canary", "c/3", "--digest", DIGEST)
    again = namespace.call("start", rollout, "--canary", "c/3", "--digest", DIGEST)

    assert first.exit_code == 1
    assert "the first one needs the rollout file: add --file FILE" in first.stderr
    assert again.exit_code == 0
    assert "plan: 5 steps (1 %, 5 %, 10 %, 25 %, 50 %), at least 50m to the promotion" in again.stderr


def test_diff_compares_a_file_with_the_rollout_that_runs(namespace: Namespace) -> None:
    rollout = namespace.ramped()
    same = namespace.file(rollout)
    other = Path(same).with_suffix(".new.yaml")
    other.write_text(Path(same).read_text() + "analysis: {deadline: 2d}\n")

    unchanged, changed = namespace.call("diff", same), namespace.call("diff", str(other))

    assert unchanged.stdout.endswith(f"progressing, 1 %) -> {same}: no difference\n")
    assert changed.stdout.splitlines()[2:] == [
        f"needs a new attempt, begun by `coalmine start {rollout} --file {other} --replace`",
        "  ~  analysis.deadline  1d -> 2d",
    ]


def test_what_is_risky_needs_yes_where_nobody_can_be_asked(namespace: Namespace) -> None:
    rollout = namespace.ramped()

    weight, full = namespace.call("set", "weight", rollout, "20%"), namespace.call("promote", rollout, "--full")

    assert (weight.exit_code, full.exit_code) == (1, 1)
    assert f"20 % is above the next step of '{rollout}' (5 %); add --yes to go on" in weight.stderr
    assert "add --yes to go on" in full.stderr
    assert namespace.state(rollout)["revision"] == 2
    assert namespace.call("set", "weight", rollout, "20%", "--yes").exit_code == 0
    assert namespace.state(rollout)["weight"] == 20.0


def test_nobody_is_asked_about_what_would_be_refused_anyway(namespace: Namespace) -> None:
    rollout = namespace.started()

    result = namespace.call("promote", rollout, "--full")

    assert result.exit_code == 1
    assert "promote refused: the numbers of stable are not frozen yet" in result.stderr


def test_a_weight_up_to_the_next_step_is_not_asked_for(namespace: Namespace) -> None:
    rollout = namespace.ramped()

    result = namespace.call("set", "weight", rollout, "5%", "-m", "look closer")

    assert result.exit_code == 0
    assert "canary gets 5 %" in result.stdout


def test_every_verb_does_what_it_says(namespace: Namespace) -> None:
    rollout = namespace.ramped()

    said = [
        namespace.call(*arguments, "--no-wait").stdout.splitlines()[0].removeprefix(f"rollout '{rollout}' ")
        for arguments in (
            ("promote", rollout),
            ("freeze", rollout, "--until", "1h"),
            ("unfreeze", rollout),
            ("promote", rollout, "--full", "--yes"),
            ("undo", rollout),
            ("abort", rollout),
            ("retry", rollout),
        )
    ]

    assert said == [
        "moved to the next step (revision 3)",
        "frozen (revision 4)",
        "unfrozen (revision 5)",
        "promoted (revision 6)",
        "going back to the former stable (revision 7)",
        "rolled back (revision 8)",
        "started again (revision 9)",
    ]


def test_approve_lets_a_step_go_on_only_once_it_waits_for_a_person(namespace: Namespace) -> None:
    rollout = namespace.ramped(STEPS_WITH_APPROVAL)

    early = namespace.call("approve", rollout)
    namespace.decide(rollout, "advance", step=2)
    waits = namespace.call("wait", rollout, "-t", "20s")
    first = namespace.call("approve", rollout, "-m", "looks well", "--no-wait")
    namespace.decide(rollout, "promote")
    last = namespace.call("approve", rollout, "--no-wait")

    assert (early.exit_code, early.stdout) == (1, "")
    assert "approve refused: approve is not possible while the rollout is progressing" in early.stderr
    assert waits.exit_code == Exit.NEEDS_A_PERSON
    assert first.stdout.startswith(f"rollout '{rollout}' moved to the next step (revision 4)\n")
    assert "canary gets 50 %" in first.stdout
    assert last.stdout.startswith(f"rollout '{rollout}' promoted (revision 6)\n")
    assert namespace.state(rollout)["phase"] == "promoted"


@pytest.mark.parametrize(
    ("verb", "code"), [(("rollback",), 3), (("pause",), 5), (("promote", "--full", "--yes"), 0), (None, 4)]
)
def test_wait_ends_with_the_verdict_as_its_code(namespace: Namespace, verb: tuple[str, ...] | None, code: int) -> None:
    rollout = namespace.ramped()
    if verb is not None:
        assert namespace.call(verb[0], rollout, *verb[1:], "--no-wait").exit_code == 0

    assert namespace.call("wait", rollout, "-t", "300ms").exit_code == code


def test_wait_hears_of_the_end_when_it_comes(namespace: Namespace) -> None:
    rollout = namespace.ramped()
    timer = threading.Timer(0.5, namespace.command, kwargs={"rollout": rollout, "command": "rollback"})

    timer.start()
    began = time.monotonic()
    result = namespace.call("wait", rollout, "-t", "20s")

    assert result.exit_code == 3
    assert time.monotonic() - began < 5


def test_a_change_is_confirmed_by_workers_and_laggards_are_named(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = namespace.ramped()
    monkeypatch.setattr(report, "CONFIRM_SECONDS", 1.0)
    for worker in ("w1", "w2"):
        namespace.beat(rollout, worker, control_offset=10**9)
    namespace.beat(rollout, "w3", control_offset=0)

    result = namespace.call("pause", rollout)

    assert "canary gets 1 %, confirmed by 2 of 3 workers" in result.stdout
    assert "not confirmed: w3 on box" in result.stderr


def test_a_confirmation_that_comes_late_ends_the_waiting(namespace: Namespace) -> None:
    rollout = namespace.ramped()
    namespace.beat(rollout, "w1", control_offset=0)

    threading.Timer(0.7, namespace.beat, args=(rollout, "w1", 10**9)).start()
    began = time.monotonic()
    result = namespace.call("pause", rollout)

    assert "confirmed by 1 of 1 worker" in result.stdout
    assert time.monotonic() - began < report.CONFIRM_SECONDS / 2


def test_a_start_is_refused_while_workers_serve_different_stable_models(namespace: Namespace) -> None:
    rollout = namespace.started()
    namespace.call("rollback", rollout, "--no-wait")
    namespace.beat(rollout, "w1", 0)
    namespace.beat(rollout, "w2", 0, digest="sha256:" + "c" * 64)

    result = namespace.call("start", rollout, "--canary", "c/3", "--digest", DIGEST)

    assert result.exit_code == 1
    assert f"the workers of '{rollout}' serve different stable models (w1: sha256:" in result.stderr


def test_a_name_with_a_slip_is_not_sent_and_the_right_one_is_named(namespace: Namespace) -> None:
    rollout = namespace.started()

    result = namespace.call("rollback", rollout[:-1] + "x")

    assert result.exit_code == 1
    assert f"did you mean {rollout}?" in result.stderr
    assert namespace.state(rollout)["phase"] == "pending"


def judged(namespace: Namespace) -> str:
    """Return the name of a rollout whose analyzer has written a view, a look and events."""
    rollout = namespace.ramped()
    state = namespace.state(rollout)
    attempt, offset = state["attempt"], state["control_offset"]
    record = view(rollout=rollout, attempt=attempt, control_offset=offset, findings=[errors(), slow()])
    namespace.write("rollouts", encode(record), rollout)
    namespace.write("looks", encode(look(rollout=rollout, attempt=attempt)), rollout)
    for minute in (1, 2):
        namespace.tell(rollout, minute)
    return rollout


def test_get_shows_what_the_analyzer_says_and_the_log_where_it_is_ahead(namespace: Namespace) -> None:
    rollout = judged(namespace)

    screen = namespace.call("get", rollout).stdout
    namespace.command(rollout=rollout, command="rollback")
    after = namespace.call("get", rollout).stdout

    assert "step 2 of 3: the canary gets 25 %" in screen
    assert "12,034" in screen
    assert "12:02:00  pause applied" in screen
    assert f"{rollout}  ✖ rolled back" in after
    assert "12,034" in after
    assert NO_ANALYZER in after


def test_get_lists_all_rollouts_in_every_form(namespace: Namespace) -> None:
    rollout = namespace.started()

    table, wide = namespace.call("get").stdout, namespace.call("get", "-o", "wide").stdout
    records = json.loads(namespace.call("get", "-o", "json").stdout)
    text = namespace.call("get", "-o", "yaml").stdout

    assert f"{rollout}  ◌ pending" in table
    assert "c/2" in next(line for line in wide.splitlines() if line.startswith(rollout)).split()
    assert rollout in [record["rollout"] for record in records]
    assert f"- rollout: {rollout}" in text


def test_explain_tells_the_last_look(namespace: Namespace) -> None:
    rollout = judged(namespace)

    whole, one = namespace.call("explain", rollout).stdout, namespace.call("explain", rollout, "slow").stdout
    wrong = namespace.call("explain", rollout, "slwo")

    assert "look 12 at 12:04:58: undecided, decided: hold" in whole
    assert "canary: 2 of 400 rows failed (0.5 %)" in whole
    assert one.startswith("slow (signal): ✔ pass")
    assert wrong.exit_code == 1
    assert "did you mean slow?" in wrong.stderr


def test_events_can_be_limited_by_name_number_and_age(namespace: Namespace) -> None:
    rollout = judged(namespace)

    both = namespace.call("events", rollout).stdout.splitlines()
    last = namespace.call("events", rollout, "-n", "1").stdout.splitlines()
    recent = namespace.call("events", rollout, "--since", "1h")
    record = json.loads(namespace.call("events", rollout, "-n", "1", "-o", "json").stdout)

    assert [line.rpartition("  ")[2] for line in both] == ["reason 1", "reason 2"]
    assert last == both[1:]
    assert last[0].startswith(f"2026-03-01T12:02:00Z  {rollout}  pause applied by operator:ann  (revision 2, 10 %)")
    assert recent.stdout == ""
    assert "no events" in recent.stderr
    assert record["id"] == "control@2"


def test_watching_without_a_terminal_prints_a_line_for_each_change_until_ctrl_c(namespace: Namespace) -> None:
    rollout = namespace.ramped()

    with watching(namespace, rollout) as watch:
        assert watch.stdout is not None
        phases = [watch.stdout.readline().split("  ")[1]]
        namespace.command(rollout=rollout, command="pause")
        phases.append(watch.stdout.readline().split("  ")[1])
        watch.send_signal(signal.SIGINT)
        rest, _ = watch.communicate(timeout=10)

    assert phases == ["▶ progressing", "‖ paused"]
    assert (rest, watch.returncode) == ("", Exit.INTERRUPTED)


def test_without_the_topics_the_next_step_is_named(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COALMINE_NAMESPACE", raising=False)

    result = CliRunner().invoke(app, ["get", "--bootstrap-server", bootstrap, "--namespace", "nobody"])

    assert result.exit_code == 1
    assert "topic nobody.control does not exist" in result.stderr
    assert "`coalmine topics apply FILE`" in result.stderr
