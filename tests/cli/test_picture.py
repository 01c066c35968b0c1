"""What the command line knows: who is alive, who has confirmed, and the state where the analyzer is behind."""

from datetime import UTC, datetime

import pytest

from coalmine.policies import ModelRef, Pause, Rollback, Start
from coalmine.streams.kafka.reader import LogRecord
from coalmine.streams.picture import Picture
from coalmine.streams.wire.codec import encode_command
from coalmine.streams.wire.messages import Heartbeat, LoadedModel
from tests.cli.records import PLAN, view

NOW = 1_750_000_000.0


def beat(worker: str, *, age: float = 1.0, role: str = "score", offset: int = 0, stopping: bool = False) -> Heartbeat:
    return Heartbeat(
        worker=worker, host="box", version="0", role=role, control_offset=offset, stopping=stopping,
        time=datetime.fromtimestamp(NOW - age, UTC).isoformat(), partitions={"flights": [0]},
        models={"flights": [LoadedModel(role="canary", uri="c", digest="d", status="ready")]},
    )  # fmt: skip


def picture(*beats: Heartbeat, commands: tuple[object, ...] = ()) -> Picture:
    made = Picture()
    made.heartbeats = {item.worker: item for item in beats}
    for offset, command in enumerate(commands):
        value = encode_command(command)  # type: ignore[arg-type]
        made.fold(LogRecord(offset, int(NOW * 1000), True, b"flights", value, ()))
    return made


START = Start(rollout="flights", canary=ModelRef(uri="c"), file=PLAN, issued_by="operator:ann")


@pytest.mark.parametrize(
    ("item", "is_live"),
    [
        (beat("w", age=10.0), True),
        (beat("w", age=10.1), False),
        (beat("w", stopping=True), False),
        (beat("w", role="analyze"), False),
    ],
)
def test_a_worker_is_live_for_ten_seconds_unless_it_said_goodbye(item: Heartbeat, is_live: bool) -> None:
    assert bool(picture(item).live("score", NOW)) is is_live


def test_only_a_live_analyzer_is_a_judge() -> None:
    assert picture(beat("a", role="analyze")).has_judge(NOW)
    assert not picture(beat("a", role="analyze", age=11), beat("w")).has_judge(NOW)


def test_workers_that_have_not_read_the_record_are_the_laggards() -> None:
    known = picture(beat("w1", offset=7), beat("w2", offset=6), beat("dead", age=60), beat("other", offset=0))
    known.heartbeats["other"].partitions = known.heartbeats["other"].models = {}  # type: ignore[assignment]

    confirmation = known.confirmation("flights", 7, NOW)

    assert [item.worker for item in confirmation.confirmed] == ["w1"]
    assert [item.worker for item in confirmation.laggards] == ["w2"]
    assert not confirmation.is_complete


def test_a_view_that_is_up_to_date_is_shown_as_it_is() -> None:
    known = picture(commands=(START,))
    known.views["flights"] = view(attempt=0, control_offset=0)

    assert known.view("flights", NOW) is known.views["flights"]


def test_a_view_that_is_behind_lends_its_figures_to_our_own_state() -> None:
    known = picture(beat("w1"), commands=(START, Rollback(rollout="flights", reason="bad")))
    known.views["flights"] = view(attempt=0, control_offset=0)

    shown = known.view("flights", NOW)

    assert (shown.phase, shown.weight, shown.revision) == ("rolled_back", 0.0, 2)
    assert shown.message.endswith(": bad")
    assert shown.variants == known.views["flights"].variants
    assert shown.workers is not None
    assert (shown.workers.ready, shown.workers.of) == (1, 1)


def test_figures_of_an_earlier_attempt_are_not_shown_for_this_one() -> None:
    known = picture(commands=(START, Pause(rollout="flights")))
    known.views["flights"] = view(attempt=99, control_offset=0)

    assert known.view("flights", NOW).variants == {}


def test_a_rollout_that_was_only_ever_refused_is_not_listed() -> None:
    known = picture(commands=(Pause(rollout="ghost"), START))

    assert set(known.states) == {"flights"}
