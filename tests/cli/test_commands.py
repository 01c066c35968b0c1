"""The commands without a broker: help, files, errors, exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coalmine import __version__
from coalmine.cli.app import app
from coalmine.cli.group import with_global_flags_first

GOOD = "apiVersion: coalmine.dev/v1\nkind: Rollout\nname: flights\nstable: {uri: flights/1}\n"
BAD = GOOD.replace("Rollout", "Rolout") + "steps: [{weight: 10}]\n"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("COALMINE_")]:
        monkeypatch.delenv(name)
    Path("good.yaml").write_text(GOOD)
    Path("bad.yaml").write_text(BAD)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_version_is_that_of_the_package() -> None:
    assert call("version").stdout == f"coalmine {__version__}\n"


def test_help_shows_the_commands_in_their_groups() -> None:
    text = call("--help").stdout

    groups = ["Try", "Run", "Look", "Steer", "Rollout files", "Set up"]
    places = [text.index(f"─ {group} ─") for group in groups]
    assert places == sorted(places)
    assert text.index(" rollback ") > places[groups.index("Steer")]


MOST_MODULES = 400
"""Modules that `--help` may load; it loads 343 in a fifth of a second, and numpy alone would add 140."""


def test_help_loads_little_so_that_nobody_waits_for_it() -> None:
    program = (
        "import atexit, sys; atexit.register(lambda: print(len(sys.modules), file=sys.stderr));"
        "from coalmine.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program, "--help"], check=True, capture_output=True, text=True)

    assert int(done.stderr) <= MOST_MODULES


def test_a_valid_file_passes_lint() -> None:
    result = call("lint", "good.yaml")

    assert (result.exit_code, result.stdout) == (0, "good.yaml: flights is valid\n")


def test_lint_prints_every_error_with_its_place_and_ends_with_1() -> None:
    result = call("lint", "good.yaml", "bad.yaml")

    assert result.exit_code == 1
    assert result.stderr == (
        "bad.yaml:2:7: kind: Rolout is not one of Rollout; did you mean Rollout?\n"
        "    2 | kind: Rolout\n"
        "      |       ^\n"
        "bad.yaml:5:18: steps[0].weight: 10 is not a percentage; write 10%\n"
        "    5 | steps: [{weight: 10}]\n"
        "      |                  ^\n"
        "2 errors\n"
    )


def test_lint_reports_to_machines_too() -> None:
    github = call("lint", "-o", "github", "bad.yaml").stdout.splitlines()
    problems = json.loads(call("lint", "-o", "json", "bad.yaml").stdout)

    assert github[1] == ("::error file=bad.yaml,line=5,col=18::steps[0].weight: 10 is not a percentage; write 10%25")
    assert [(problem["line"], problem["path"]) for problem in problems] == [(2, "kind"), (5, "steps[0].weight")]


def test_show_tells_the_plan_in_a_few_lines() -> None:
    result = call("show", "good.yaml")

    assert "1     1 %     10m   100      x4       -" in result.stdout
    assert "slow    slow_rate over 50 ms  guardrail  2 pp    1 pp       -" in result.stdout


def test_show_tells_how_the_ramp_ends_and_when_it_may_move() -> None:
    hours = "{days: mon-fri, from: 09:00, to: 17:00, zone: UTC}, {days: [sat, mon], zone: Europe/Berlin}"
    Path("end.yaml").write_text(f"{GOOD}bake: {{hold: 12h}}\non_success: approval\nwindows: [{hours}]\n")

    result = call("show", "end.yaml")

    assert (
        "bake  95 %    12h   100      x1       -\n"
        "then a person decides about the promotion\n"
        "automation moves up mon-fri 09:00 to 17:00 UTC, or mon, sat 00:00 to 24:00 Europe/Berlin only\n"
    ) in result.stdout


def test_show_full_is_itself_a_valid_file() -> None:
    Path("full.yaml").write_text(call("show", "--full", "good.yaml").stdout)

    assert call("lint", "full.yaml").exit_code == 0
    assert "load_timeout: 2m" in Path("full.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set", "weight", "flights", "25"], "25 is not a percentage; write 25%"),
        (["wait", "flights", "-t", "10"], "10 is not a duration; write 10m"),
        (["events", "--since", "soon"], "soon is not a duration; write 10m"),
        (["freeze", "flights", "--until", "soon"], "soon is neither a time"),
        (["get", "-w"], "name the rollout to watch"),
        (["gt"], "Did you mean 'get'?"),
        (["run"], "Missing argument"),
        (["run", "good.yaml", "--role", "scorer"], "'scorer' is not one of"),
    ],
)
def test_wrong_usage_ends_with_2_and_what_to_write(arguments: list[str], message: str) -> None:
    result = call(*arguments)

    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.parametrize("command", ["get", "rollback flights", "wait flights", "events", "topics plan good.yaml"])
def test_a_broker_that_does_not_answer_is_said_with_the_next_step(command: str) -> None:
    result = call(*command.split(), "--bootstrap-server", "127.0.0.1:1")

    assert result.exit_code == 1
    assert "error: no Kafka answers at 127.0.0.1:1" in result.stderr
    assert "name another one with --bootstrap-server" in result.stderr


def test_a_misspelt_setting_stops_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COALMINE_NAMESPCE", "x")

    result = call("get")

    assert result.exit_code == 1
    assert "did you mean COALMINE_NAMESPACE?" in result.stderr


def test_run_ends_with_64_for_a_bad_file_and_for_bad_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("run", "bad.yaml").exit_code == 64
    monkeypatch.setenv("COALMINE_NAMESPCE", "x")
    assert call("run", "good.yaml").exit_code == 64


def test_start_refuses_a_file_of_another_rollout_and_names_the_right_command() -> None:
    result = call("start", "flihgts", "--file", "good.yaml", "--canary", "x")

    assert result.exit_code == 1
    assert "type `coalmine start flights --file good.yaml`" in result.stderr


def test_start_refuses_two_different_canaries() -> None:
    Path("good.yaml").write_text(GOOD + "canary: {uri: flights/2}\n")

    result = call("start", "flights", "--file", "good.yaml", "--canary", "flights/3")

    assert result.exit_code == 1
    assert "--canary says flights/3, the file says flights/2; drop one of them" in result.stderr


def test_start_names_a_model_that_is_not_there() -> None:
    result = call("start", "flights", "--file", "good.yaml", "--canary", "nowhere")

    assert result.exit_code == 1
    assert "model nowhere" in result.stderr


def test_global_flags_may_stand_behind_the_command() -> None:
    assert with_global_flags_first(["get", "x", "--namespace", "n", "-w", "--config=c", "--", "--namespace"]) == [
        "--namespace", "n", "--config=c", "get", "x", "-w", "--", "--namespace",
    ]  # fmt: skip
    assert with_global_flags_first(["get", "--namespace"]) == ["--namespace", "get"]


def test_no_colour_without_a_terminal() -> None:
    assert "\x1b[" not in call("lint", "bad.yaml").stderr
    assert "\x1b[" not in call("--help").stdout


def test_a_file_whose_checks_need_labels_passes_lint_with_a_warning_and_is_refused_by_start_and_run() -> None:
    Path("labelled.yaml").write_text(
        GOOD + "analysis: {checks: {e: {metric: error_rate}, wrong: {metric: accuracy}}}\n"
    )
    refusal = "this version joins no labels yet, which wrong needs"

    lint, run = call("lint", "labelled.yaml"), call("run", "labelled.yaml")
    start = call("start", "flights", "--file", "labelled.yaml", "--canary", "x")

    assert (lint.exit_code, run.exit_code, start.exit_code) == (0, 64, 1)
    assert f"labelled.yaml:5:53: warning: analysis.checks.wrong: {refusal}" in lint.stderr
    assert refusal in run.stderr
    assert refusal in start.stderr


def test_an_annotation_names_a_file_with_odd_signs() -> None:
    Path("a,b.yaml").write_text(BAD)

    assert call("lint", "-o", "github", "a,b.yaml").stdout.startswith("::error file=a%2Cb.yaml,line=2,col=7::kind:")


def test_lint_reports_warnings_to_machines_without_failing() -> None:
    Path("short.yaml").write_text(GOOD + "analysis: {deadline: 30m}\n")

    github, report = call("lint", "-o", "github", "short.yaml"), call("lint", "-o", "json", "short.yaml")

    assert (github.exit_code, report.exit_code) == (0, 0)
    assert github.stdout.startswith("::warning file=short.yaml,line=5,col=22::analysis.deadline: 30m is over before")
    assert [(problem["severity"], problem["line"]) for problem in json.loads(report.stdout)] == [("warning", 5)]


def test_diff_tells_what_changes_between_two_files_and_what_it_takes() -> None:
    Path("new.yaml").write_text(GOOD + "analysis: {deadline: 2d}\ndescription: late flights\n")

    result = call("diff", "good.yaml", "new.yaml")

    assert result.exit_code == 0
    assert result.stdout == (
        "good.yaml -> new.yaml: 2 differences\n"
        "\n"
        "needs a new attempt\n"
        "  ~  analysis.deadline  1d -> 2d\n"
        "\n"
        "needs nothing: it is for people\n"
        "  +  description  late flights\n"
    )
    assert call("diff", "good.yaml", "good.yaml").stdout == "good.yaml -> good.yaml: no difference\n"


def test_diff_reports_to_machines_too() -> None:
    Path("new.yaml").write_text(GOOD + "analysis: {deadline: 2d}\n")

    report = json.loads(call("diff", "good.yaml", "new.yaml", "-o", "json").stdout)

    assert report == [{"path": "analysis.deadline", "before": "1d", "after": "2d", "needs": "attempt"}]


def test_schema_prints_a_json_schema() -> None:
    assert json.loads(call("schema").stdout)["properties"]["kind"]["const"] == "Rollout"
