"""`coalmine estimate` and `coalmine simulate` as people see them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coalmine.cli.app import app
from coalmine.cli.worlds import rows_per_second

FILE = """\
apiVersion: coalmine.dev/v1
kind: Rollout
name: flights
stable: {uri: flights/1}
steps:
  - {weight: 10%, hold: 5m, margin_factor: 2}
  - {weight: 50%, hold: 5m, approval: true}
analysis:
  every: 30s
  deadline: 4h
  checks:
    errors: {metric: error_rate}
    wrong: {metric: accuracy, margin: 2pp}
"""

SHOWN = """\
assumed: 100/s in calls of 2, 10,000 keys; stable has 0.1 % in errors, 10 % in wrong

STEP  WEIGHT  TIME  OR UP TO  CANARY ROWS  WAITS FOR
-     0 %     30s   30s       0            stable's numbers
1     10 %    5m    5m        3,000        hold
2     50 %    5m    5m        15,000       hold, then a person

FINDS BY THE END OF  STEP 1     STEP 2
errors               +0.305 pp  +0.144 pp
wrong                +3.17 pp   +2.06 pp

IF THE CANARY IS BAD   END          AFTER  CANARY ROWS  IN STEP
errors 0.1 % to 5.1 %  rolled back  1m     about 300    1
wrong worse by 3 pp    rolled back  6m30s  about 3,600  1
wrong worse by 10 pp   rolled back  1m     about 300    1

a canary as good as stable: promoted after 10m30s, with 18,000 requests answered by the canary
"""


@pytest.fixture(autouse=True)
def _in_a_folder_with_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.yaml").write_text(FILE)
    Path("long.yaml").write_text(FILE.replace("deadline: 4h", "deadline: 90d"))


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_estimate_shows_steps_bad_canaries_and_the_likely_end() -> None:
    result = call("estimate", "file.yaml", "--rate", "100/s")

    assert (result.exit_code, result.stdout) == (0, SHOWN)


def test_estimate_says_what_is_wrong_with_a_plan_on_stderr() -> None:
    result = call("estimate", "file.yaml", "--rate", "1/min")

    assert "no answer until the deadline of 4h, then hold" in result.stdout
    assert "warning: steps[0].samples: 200 canary rows take 33.3 h at 10 %" in result.stderr
    assert "warning: analysis.checks.wrong.margin: 2 pp needs about" in result.stderr


def test_estimate_as_json_has_the_same_numbers() -> None:
    found = json.loads(call("estimate", "file.yaml", "--rate", "100/s", "-o", "json").stdout)

    assert found["ends"] == ["promoted"]
    assert [stay["step"] for stay in found["middle"]["stays"]] == [1, 2]
    assert found["middle"]["seconds"] <= found["slow"]["seconds"]


def test_simulate_shows_shares_with_their_intervals_and_what_they_are_of() -> None:
    result = call("simulate", "file.yaml", "-n", "4", "-s", "equal", "-s", "crash", "--processes", "1")

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "assumed: 50/s row by row, 10,000 keys; stable has 0.1 % in errors, 10 % in wrong"
    assert lines[2].startswith("SCENARIO  PROMOTED")
    assert lines[3].startswith("equal     100 % (40-100)")
    assert lines[-2:] == ["equal: identical models", "crash: canary fails on 5 % more rows"]


def test_simulate_gives_the_same_json_for_the_same_seed_whatever_the_processes() -> None:
    asked = ("simulate", "file.yaml", "-n", "4", "-s", "crash", "-o", "json", "--seed", "5")

    one, two = (json.loads(call(*asked, "--processes", count).stdout) for count in ("1", "2"))

    assert one == two
    assert one["scenarios"][0]["rolled_back"]["count"] == 4


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["estimate", "file.yaml"], 2, "Missing option '--rate'"),
        (["estimate", "file.yaml", "--rate", "50"], 2, "50 is not a rate; write 50/s"),
        (["estimate", "file.yaml", "--rate", "1e9/s"], 2, "is not a rate"),
        (["estimate", "file.yaml", "--rate", "90000/s"], 2, "more than 20,000/s"),
        (["estimate", "gone.yaml", "--rate", "50/s"], 1, "gone.yaml cannot be read"),
        (["estimate", "file.yaml", "--rate", "5/s", "--errors", "1"], 2, "1 is not a percentage; write 1%"),
        (["estimate", "file.yaml", "--rate", "5/s", "--base", "wrnog=90%"], 1, "no check 'wrnog'; did you mean wrong?"),
        (["estimate", "file.yaml", "--rate", "5/s", "--base", "errors=1%"], 1, "use --errors or --slow"),
        (["estimate", "file.yaml", "--rate", "5/s", "--base", "wrong"], 2, "is not CHECK=VALUE"),
        (["estimate", "file.yaml", "--rate", "5/s", "--label-delay", "2"], 2, "2 is not a duration"),
        (["simulate", "file.yaml", "-s", "gone"], 1, "there is no scenario 'gone'"),
        (["simulate", "long.yaml", "--rate", "5000/s"], 1, "a look would have 3,888,000 rows, more than 1,000,000"),
        (["simulate", "file.yaml", "-n", "0"], 2, "Invalid value for '--runs'"),
    ],
)
def test_wrong_usage_says_what_to_write(arguments: list[str], code: int, message: str) -> None:
    result = call(*arguments)

    assert result.exit_code == code
    assert message in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.parametrize(("written", "rate"), [("50/s", 50.0), ("3000/min", 50.0), ("1.5 / h", 1.5 / 3600)])
def test_rates_have_their_unit(written: str, rate: float) -> None:
    assert rows_per_second(written) == pytest.approx(rate)
