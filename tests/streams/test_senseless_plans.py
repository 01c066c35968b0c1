"""A start whose plan makes no sense is refused where it is read: nobody has to live with its values."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from coalmine.errors import DecodeError
from coalmine.policies import (
    Bake,
    Check,
    Day,
    FrozenNumbers,
    Metric,
    ModelRef,
    OnSuccess,
    Start,
    Sums,
    Window,
    frozen_numbers,
)
from coalmine.streams.wire.codec import decode_command, encode, encode_command
from tests.policies.rollout.rollouts import PLAN

OFFICE = Window(days=(Day.MON, Day.FRI), opens_minute=540, closes_minute=1_020, zone="Europe/Berlin")
WINDOW = {"days": ["mon"], "opens_minute": 0, "closes_minute": 60, "zone": "UTC"}
CHECK = {"name": "errors", "metric": "error_rate", "margin": 0.01}


def start(*path: str | int, value: Any) -> bytes:
    """A start with one value of its plan exchanged; the plan has one check."""
    plan: Any = msgspec.json.decode(encode(PLAN))
    plan["analysis"]["checks"] = [CHECK.copy()]
    *way, last = path
    place = plan
    for part in way:
        place = place[part]
    place[last] = value
    return encode({"rollout": "flights", "command": "start", "canary": {"uri": "b"}, "file": plan})


def test_the_plan_without_an_exchange_is_accepted() -> None:
    command = decode_command(start("name", value="flights"))

    assert isinstance(command, Start)
    assert command.file is not None


def test_a_plan_with_every_part_comes_back_from_the_wire_as_it_was() -> None:
    ends = replace(PLAN, bake=Bake(holdback=0.5), on_success=OnSuccess.APPROVAL, windows=(OFFICE,))

    command = decode_command(encode_command(Start(rollout="flights", canary=ModelRef(uri="b"), file=ends)))

    assert isinstance(command, Start)
    assert command.file == ends


SENSELESS: list[tuple[tuple[str | int, ...], Any]] = [
    (("name",), "Flights!"),
    (("name",), "x" * 41),
    (("topics", "outcomes"), ""),
    (("topics", "requests"), "no topic"),
    (("routing", "key"), ""),
    *[(("routing", "key"), name) for name in ("ts", "meta", "v", "segment", "features", "specversion", "data")],
    (("canary_timeout_ms",), 0),
    (("canary_timeout_ms",), 3_600_001),
    (("load_timeout_ms",), -1),
    (("load_timeout_ms",), 2**63),
    (("request_deadline_ms",), 0),
    (("analysis", "every_ms"), 0),
    (("analysis", "every_ms"), 10**20),
    (("analysis", "alpha"), 0),
    (("analysis", "alpha"), 0.6),
    (("analysis", "deadline_ms"), 0),
    (("analysis", "freshness_ms"), -5),
    (("analysis", "checks"), [CHECK, CHECK]),
    (("analysis", "checks", 0, "name"), ""),
    (("analysis", "checks", 0, "margin"), 1e300),
    (("analysis", "checks", 0, "limit"), 1),
    (("analysis", "checks", 0, "limit"), -0.1),
    (("analysis", "checks", 0, "slower_than_ms"), 0),
    (("analysis", "checks", 0, "slower_than_ms"), 1e300),
    (("steps", 0, "weight"), 1e-320),
    (("steps", 0, "hold_ms"), 10**20),
    (("steps", 0, "samples"), 0),
    (("steps", 0, "samples"), 10**10),
    (("steps",), []),
    (("bake",), {"hold_ms": -1}),
    (("bake",), {"hold_ms": 10**20}),
    (("bake",), {"holdback": 0}),
    (("bake",), {"holdback": 100}),
    (("bake",), {"holdback": 50}),
    (("bake",), {"holdback": 1e300}),
    (("on_success",), "demote"),
    (("windows",), [WINDOW] * 21),
    (("windows",), [{**WINDOW, "days": []}]),
    (("windows",), [{**WINDOW, "days": ["someday"]}]),
    (("windows",), [{**WINDOW, "opens_minute": -1}]),
    (("windows",), [{**WINDOW, "closes_minute": 10**9}]),
    (("windows",), [{**WINDOW, "zone": "x" * 1_000}]),
]


@pytest.mark.parametrize(("path", "value"), SENSELESS)
def test_a_start_with_a_senseless_value_is_no_command(path: tuple[str | int, ...], value: Any) -> None:
    with pytest.raises(DecodeError, match="start: "):
        decode_command(start(*path, value=value))


@pytest.mark.parametrize("frozen", [
    {"rows": -1, "calls": 1, "error_rate": 0},
    {"rows": 1, "calls": -1, "error_rate": 0},
    {"rows": 1, "calls": 1, "error_rate": 1.5},
    {"rows": 1, "calls": 1, "error_rate": 0, "call_error_rate": -1},
    {"rows": 1, "calls": 1, "error_rate": 0, "slow_rates": {"slow": 2}},
    {"rows": 1, "calls": 1, "error_rate": 0, "slow_ms": {"slow": 1e300}},
])  # fmt: skip
def test_an_advance_with_senseless_numbers_of_stable_is_no_command(frozen: dict[str, Any]) -> None:
    body = {"rollout": "flights", "command": "advance", "step": 1, "frozen": frozen}

    with pytest.raises(DecodeError, match="frozen"):
        decode_command(encode(body))


def test_the_numbers_of_the_slowest_stable_can_be_sent() -> None:
    slow = Check(name="slow", metric=Metric.SLOW_RATE, margin=0.01)
    plan = replace(PLAN, analysis=replace(PLAN.analysis, checks=(slow,)))
    stable = Sums(rows=2_000, calls=200, call_ms={1_047: 200})

    frozen = frozen_numbers(stable, plan)

    assert isinstance(frozen, FrozenNumbers)
    assert msgspec.json.decode(encode(frozen), type=FrozenNumbers) == frozen
