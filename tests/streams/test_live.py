"""What the judge knows of the scoring workers."""

import time
from typing import Any

import pytest

from coalmine.policies import ModelStatus, WorkerReport
from coalmine.streams.control.live import LiveWorkers
from coalmine.streams.kafka.reader import LogRecord
from coalmine.streams.wire.codec import encode
from coalmine.streams.wire.messages import Heartbeat, LoadedModel, OpenBreaker
from tests.streams.judge_world import CANARY, PLAN, World


def beat(worker: str = "w", **fields: Any) -> Heartbeat:
    models = [
        LoadedModel(role="stable", uri=PLAN.stable.uri, digest=PLAN.stable.digest, status="ready"),
        LoadedModel(role="canary", uri=CANARY.uri, digest=CANARY.digest, status="ready"),
    ]
    told: dict[str, Any] = {"role": "score", "partitions": {"flights": [0, 1]}, "models": {"flights": models}}
    return Heartbeat(worker=worker, host="h", version="1", time="", control_offset=5, **{**told, **fields})


def hear(*beats: Heartbeat | bytes | None, age_ms: int = 0, history: bool = False) -> LiveWorkers:
    workers = LiveWorkers()
    if not history:
        workers.caught_up()
    for offset, item in enumerate(beats):
        value = encode(item) if isinstance(item, Heartbeat) else item
        workers.hear(LogRecord(offset, int(time.time() * 1000) - age_ms, True, b"w", value, ()))
    return workers


def reports(workers: LiveWorkers) -> list[WorkerReport]:
    return workers.of(World().start().state)


def test_a_heartbeat_says_what_is_loaded_and_held() -> None:
    (report,) = reports(hear(beat()))

    assert (report.partitions, report.control_offset) == (2, 5)
    assert report.age_ms < 5_000
    assert (report.stable_digest, report.canary_digest) == (PLAN.stable.digest, CANARY.digest)
    assert report.canary_status is ModelStatus.READY


def test_a_canary_of_another_address_is_still_to_be_loaded() -> None:
    other = LoadedModel(role="canary", uri="flights/9", digest="", status="refused", reason="no")

    (report,) = reports(hear(beat(models={"flights": [other]})))

    assert (report.canary_status, report.reason) == (ModelStatus.LOADING, "")


def test_a_canary_in_a_state_that_is_not_known_here_is_still_to_be_loaded() -> None:
    odd = LoadedModel(role="canary", uri=CANARY.uri, digest=CANARY.digest, status="warming_up")

    (report,) = reports(hear(beat(models={"flights": [odd]})))

    assert report.canary_status is ModelStatus.LOADING


@pytest.mark.parametrize("last", [b"not json", None, beat(worker="a", role="analyze")])
def test_what_is_no_heartbeat_of_a_scorer_changes_nothing(last: Heartbeat | bytes | None) -> None:
    assert [report.worker for report in reports(hear(beat(), last))] == ["w"]


def test_a_worker_that_stopped_is_gone() -> None:
    assert reports(hear(beat(), beat(stopping=True))) == []


@pytest.mark.parametrize("age_ms", [-3_600_000, 120_000, 3_600_000])
def test_a_worker_whose_clock_is_wrong_lives_like_any_other(age_ms: int) -> None:
    (report,) = reports(hear(beat(), age_ms=age_ms))

    assert (report.worker, report.canary_status) == ("w", ModelStatus.READY)


def test_a_worker_that_speaks_again_after_the_history_lives() -> None:
    workers = hear(beat(), history=True)
    workers.caught_up()
    before = reports(workers)

    workers.hear(LogRecord(1, 0, True, b"w", encode(beat()), ()))

    assert (before, [report.worker for report in reports(workers)]) == ([], ["w"])


def test_heartbeats_read_before_the_present_are_history_but_their_breakers_count() -> None:
    report = OpenBreaker(rollout="flights", attempt=0, revision=1, code="model_error", count=6)
    workers = hear(beat(breakers=[report]), history=True)

    assert reports(workers) == []
    assert workers.breaker(World().start().state) == ("w", report)


def test_a_breaker_of_another_attempt_does_not_count() -> None:
    report = OpenBreaker(rollout="flights", attempt=7, revision=1, code="model_error", count=6)

    assert hear(beat(breakers=[report])).breaker(World().start().state) is None
