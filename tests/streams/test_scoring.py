"""A scorer answers every request of a batch, whatever its canary does, and acknowledges in order."""

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from coalmine.models import Feature, Linear, Manifest, Model, OutputKind, Row, pack
from coalmine.policies import ModelRef, Phase, Plan, State, Step, Topics, initial
from coalmine.streams.scoring import scorer
from coalmine.streams.scoring.guard import Guard
from coalmine.streams.scoring.pipeline import Part, timed_out
from coalmine.streams.scoring.scorer import Scorer
from coalmine.streams.scoring.shelf import Shelf, place
from coalmine.streams.wire.messages import Heartbeat, OpenBreaker

from .test_requests import Record

PLAN = Plan(name="r", topics=Topics.of("r"), stable=ModelRef(uri="v1"), steps=(Step(weight=50),), canary_timeout_ms=150)
CANARY = ModelRef(uri="v2", digest="sha256:canary")
RAMP = dataclasses.replace(
    initial("r", PLAN.stable), phase=Phase.PROGRESSING, plan=PLAN, weight=50.0, attempt=3, revision=5, canary=CANARY
)

Predict = Callable[[Sequence[Row]], NDArray[np.float64]]


@dataclasses.dataclass
class Scripted:
    """A model that does what `predict` does."""

    manifest: Manifest
    predict: Predict
    digest: str = "sha256:canary"


@dataclasses.dataclass
class Polled:
    records: list[Record]
    acked: list[int]
    received: float = dataclasses.field(default_factory=time.monotonic)

    def ack(self) -> None:
        self.acked.append(self.records[0].offset)


class Stage:
    """A scorer with a stable model from a package, a scripted canary, and everything it sent."""

    def __init__(self, root: Path, predict: Predict | None, state: State = RAMP) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.places: dict[str, int] = {}
        self.acked: list[int] = []
        self.age = 0.0
        self.trips = 0
        self.faults: list[BaseException] = []
        self.shelf = Shelf(root, lambda: None)
        stable = self.shelf.load_now(PLAN.stable)
        if predict is not None:
            canary: Model = Scripted(stable.manifest, predict)
            self.shelf.models[place(CANARY)] = canary
        self.guard = Guard("r", "me", lambda: self.age, self.trip)
        self.scorer = Scorer(PLAN, self.shelf, self.produce, self.produce, self.guard, "group", on_fault=self.fault)
        self.scorer.follow(state)

    def produce(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int = -1, headers: object = None
    ) -> None:
        self.sent.append((topic, msgspec.json.decode(value or b"null")))
        if topic.endswith("predictions"):
            self.places[self.sent[-1][1]["id"]] = partition

    def trip(self) -> None:
        self.trips += 1

    async def fault(self, error: BaseException) -> None:
        self.faults.append(error)

    def poll(self, first: int = 1, count: int = 20) -> Polled:
        body = b'{"id":"i%d","key":"k%d","features":{"x":%d}}'
        return Polled([Record(body % (i, i, i), offset=i) for i in range(first, first + count)], self.acked)

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [value for name, value in self.sent if name == topic]

    async def play(self, *batches: Polled) -> None:
        for batch in batches:
            await self.scorer.accept(batch)
        await self.scorer.settle_all()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    linear = Linear(logit=False, intercept=0.0, weights={"x": 2.0})
    pack(linear, folder / "v1", name="m", version="1", features=[Feature(name="x")], output=OutputKind.NUMBER,
         golden=[(1.0,)])  # fmt: skip
    return folder


def tripled(rows: Sequence[Row]) -> NDArray[np.float64]:
    return np.array([3.0 * float(row[0] or 0) for row in rows])


def broken(rows: Sequence[Row]) -> NDArray[np.float64]:
    raise RuntimeError("down")


def test_each_variant_answers_its_rows_and_all_rows_have_outcomes(root: Path) -> None:
    stage = Stage(root, tripled)

    asyncio.run(stage.play(stage.poll()))

    answers = {(p["variant"], p["prediction"] / int(p["id"][1:])) for p in stage.of("r.predictions")}
    assert answers == {("stable", 2.0), ("canary", 3.0)}
    assert sorted(int(o["id"][1:]) for o in stage.of("r.outcomes")) == list(range(1, 21))


def test_a_poll_of_several_partitions_is_one_call_and_each_answer_goes_where_its_request_was(root: Path) -> None:
    calls: list[int] = []

    def counted(rows: Sequence[Row]) -> NDArray[np.float64]:
        calls.append(len(rows))
        return tripled(rows)

    stage = Stage(root, counted)
    poll = stage.poll()
    for record in poll.records[10:]:
        record.partition = 3
    poll.records.append(Record(b'{"id":"bad"}', partition=7))
    asyncio.run(stage.play(poll))

    assert len(calls) == 1
    assert stage.places == {f"i{n}": 2 if n <= 10 else 3 for n in range(1, 21)} | {"bad": 7}
    assert {o["src"] for o in stage.of("r.outcomes") if o["id"] == "i11"} == {"r.requests/3@11"}


def test_stables_predictions_leave_before_the_canary_has_answered(root: Path) -> None:
    released = threading.Event()
    before: list[str] = []

    def waiting(rows: Sequence[Row]) -> NDArray[np.float64]:
        before.extend(value["variant"] for _, value in stage.sent)
        released.set()
        return tripled(rows)

    stage = Stage(root, waiting)
    asyncio.run(stage.play(stage.poll()))

    assert released.is_set()
    assert set(before) == {"stable"}


def test_a_canary_that_answers_soon_has_answered_before_the_next_batch(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer, "HEAD_START_SECONDS", 5.0)
    stage = Stage(root, tripled)

    asyncio.run(stage.scorer.accept(stage.poll()))

    assert stage.acked == [1]


def test_stables_answers_to_the_next_batch_leave_while_a_slow_canary_is_asked(root: Path) -> None:
    next_answered = threading.Event()
    overlapped: list[bool] = []

    def slow(rows: Sequence[Row]) -> NDArray[np.float64]:
        overlapped.append(next_answered.wait(5))
        return tripled(rows)

    patient = dataclasses.replace(RAMP, plan=dataclasses.replace(PLAN, canary_timeout_ms=60_000))
    stage = Stage(root, slow, patient)

    def watched(
        topic: str, value: bytes | None, key: bytes | None, partition: int = -1, headers: object = None
    ) -> None:
        stage.produce(topic, value, key, partition, headers)
        if any(int(p["id"][1:]) > 20 for p in stage.of("r.predictions")):
            next_answered.set()

    stage.scorer.produce = watched
    asyncio.run(stage.play(stage.poll(1), stage.poll(21)))

    assert overlapped[0]
    assert stage.acked == [1, 21]


def test_a_batch_is_acknowledged_only_when_its_outcomes_are_out_and_in_order(root: Path) -> None:
    stage = Stage(root, tripled)

    asyncio.run(stage.play(stage.poll(1), stage.poll(21), stage.poll(41)))

    assert stage.acked == [1, 21, 41]
    assert [o["src"] for o in stage.of("r.outcomes")] == [f"r.requests/2@{i}" for i in range(1, 61)]


def test_a_canary_that_raises_costs_no_user_an_answer(root: Path) -> None:
    stage = Stage(root, broken)

    asyncio.run(stage.play(stage.poll()))

    assert len(stage.of("r.predictions")) == 20
    assert {p.get("fallback") for p in stage.of("r.predictions") if p["variant"] == "canary"} == {"model_error"}
    assert not any(o["ok"] for o in stage.of("r.outcomes") if o["variant"] == "canary")


def test_a_canary_that_hangs_is_left_after_its_time_and_counts_as_one_lost_call(root: Path) -> None:
    released = threading.Event()

    def hanging(rows: Sequence[Row]) -> NDArray[np.float64]:
        released.wait(5)
        return tripled(rows)

    stage = Stage(root, hanging)
    began = time.monotonic()
    asyncio.run(stage.play(stage.poll()))
    took = time.monotonic() - began
    released.set()

    assert took < 2
    assert len(stage.of("r.predictions")) == 20
    assert [o["call"]["fault"] for o in stage.of("r.outcomes") if o["variant"] == "canary" and "call" in o] == [
        "model_timeout"
    ]


def test_a_canary_that_fails_hard_is_cut_by_the_worker_itself_and_told_at_once(root: Path) -> None:
    stage = Stage(root, broken)

    asyncio.run(stage.play(*(stage.poll(1 + 20 * i) for i in range(8))))

    second = [o for o in stage.of("r.outcomes") if int(o["id"][1:]) >= 141]
    assert stage.trips == 1
    assert {o.get("error_code") for o in second if o["variant"] == "canary"} == {"breaker_open"}
    assert not any(o.get("evidence", True) for o in second)


def test_a_new_attempt_begins_with_a_closed_breaker(root: Path) -> None:
    stage = Stage(root, broken)
    asyncio.run(stage.play(*(stage.poll(1 + 20 * i) for i in range(8))))
    assert stage.guard.blocked() is not None

    stage.scorer.follow(dataclasses.replace(RAMP, attempt=9, revision=9))

    assert stage.guard.blocked() is None


def test_a_hanging_canary_does_not_condemn_that_of_the_next_attempt(root: Path) -> None:
    released = threading.Event()

    def hanging(rows: Sequence[Row]) -> NDArray[np.float64]:
        released.wait(5)
        return tripled(rows)

    stage = Stage(root, hanging)
    asyncio.run(stage.play(stage.poll()))
    stage.shelf.models[place(CANARY)] = Scripted(stage.shelf.load_now(PLAN.stable).manifest, tripled)
    stage.scorer.follow(dataclasses.replace(RAMP, attempt=9, revision=9))
    asyncio.run(stage.play(stage.poll(101)))
    released.set()

    late = [o for o in stage.of("r.outcomes") if int(o["id"][1:]) > 100]
    assert all(o["ok"] for o in late)


def test_faults_of_an_earlier_attempt_do_not_trip_the_breaker_of_the_next(root: Path) -> None:
    stage = Stage(root, tripled)
    lost = timed_out(Part([0]), 150.0, 150.0)

    for _ in range(5):
        stage.guard.observe(lost, attempt=2)

    assert stage.guard.blocked() is None


def test_a_report_of_this_attempt_cuts_a_worker_that_starts(root: Path) -> None:
    stage = Stage(root, tripled)
    report = OpenBreaker(rollout="r", attempt=3, revision=5, code="model_error", count=6)
    stage.guard.hear(
        Heartbeat(worker="other", host="h", version="0", role="score", time="", control_offset=0, breakers=[report])
    )

    assert stage.guard.blocked() is None
    stage.guard.adopt()
    assert stage.guard.blocked() is not None


def test_two_reports_cut_every_worker_without_any_analyzer(root: Path) -> None:
    stage = Stage(root, tripled)
    report = OpenBreaker(rollout="r", attempt=3, revision=5, code="model_error", count=6)
    for name in ("a", "b"):
        beat = Heartbeat(worker=name, host="h", version="0", role="score", time="", control_offset=0)
        beat.breakers = [report]
        stage.guard.hear(beat)

    assert stage.guard.blocked() is not None


def test_a_worker_that_cannot_hear_control_exposes_nobody(root: Path) -> None:
    stage = Stage(root, tripled)
    stage.age = 31.0

    asyncio.run(stage.play(stage.poll()))

    codes = {o.get("error_code") for o in stage.of("r.outcomes") if o["variant"] == "canary"}
    assert codes == {"control_stale"}


def test_a_canary_that_is_not_loaded_is_answered_for_by_stable_and_is_no_evidence(root: Path) -> None:
    stage = Stage(root, None)

    asyncio.run(stage.play(stage.poll()))

    assert {o.get("error_code") for o in stage.of("r.outcomes") if o["variant"] == "canary"} == {"not_ready"}
    assert len(stage.of("r.predictions")) == 20


def test_a_bad_request_gets_an_error_record_and_a_dead_letter_and_stops_nobody(root: Path) -> None:
    stage = Stage(root, tripled)
    batch = stage.poll()
    batch.records[4] = dataclasses.replace(batch.records[4], value=b'{"id":"i5","features":{}}')

    asyncio.run(stage.play(batch))

    errors = [p for p in stage.of("r.predictions") if "error_code" in p]
    assert [(e["id"], e["error_code"]) for e in errors] == [("i5", "missing_feature")]
    assert stage.of("r.dead-letters") == [{"id": "i5", "features": {}}]
    assert len(stage.of("r.outcomes")) == 19


def test_the_former_stable_answers_until_the_new_one_is_loaded(root: Path) -> None:
    stage = Stage(root, tripled)
    promoted = dataclasses.replace(
        RAMP, phase=Phase.PROMOTED, weight=0.0, canary=None, stable=ModelRef(uri="missing"), revision=6
    )

    stage.scorer.follow(promoted)

    assert stage.scorer.serving is not None
    assert stage.scorer.serving.stable.manifest.version == "1"
