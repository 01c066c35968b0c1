from dataclasses import replace

import pytest

from coalmine.policies import (
    ModelRef,
    ModelStatus,
    NeverReady,
    Readiness,
    Ready,
    State,
    Waiting,
    WorkerReport,
    readiness,
)

from .rollouts import V1, V2, on_ramp

READY, LOADING, REFUSED, UNAVAILABLE = ModelStatus

FINE = WorkerReport(
    worker="a-1",
    host="a",
    age_ms=900,
    control_offset=0,
    partitions=2,
    stable_digest=V1.digest,
    canary_status=READY,
    canary_digest=V2.digest,
)
OTHER = replace(FINE, worker="b-1", host="b")


def judge(*reports: WorkerReport, waited_ms: int = 5_000, state: State | None = None) -> Readiness:
    return readiness(state or on_ramp(0), reports, waited_ms=waited_ms, load_timeout_ms=120_000)


def test_step_1_may_begin_when_every_live_worker_has_the_canary() -> None:
    assert judge(FINE, OTHER) == Ready(2)


@pytest.mark.parametrize(
    ("flaw", "part"),
    [
        ({"canary_status": LOADING, "canary_digest": ""}, "b is still loading flights/2"),
        ({"canary_digest": "sha256:other"}, "b is still loading flights/2"),
        ({"canary_status": UNAVAILABLE, "reason": "the store is away"}, "b cannot load flights/2: the store is away"),
        ({"control_offset": -1}, "b has not read of attempt 0 yet"),
        ({"stable_digest": V2.digest}, "b has not loaded the stable model flights/1"),
        ({"stable_digest": ""}, "b has not loaded the stable model flights/1"),
    ],
)
def test_one_worker_that_is_not_ready_holds_the_attempt_and_is_named(flaw: dict[str, object], part: str) -> None:
    answer = judge(FINE, replace(OTHER, **flaw), waited_ms=10**9)  # type: ignore[arg-type]

    assert isinstance(answer, Waiting)
    assert part in answer.reason


def test_a_refusal_anywhere_ends_the_attempt_at_once() -> None:
    refusing = replace(OTHER, partitions=0, canary_status=REFUSED, reason="golden row 3 gives 0.4, not 0.7")

    answer = judge(FINE, refusing)

    assert answer == NeverReady("flights/2 was refused on b: golden row 3 gives 0.4, not 0.7")


def test_a_refusal_of_an_earlier_attempt_says_nothing() -> None:
    before = replace(OTHER, canary_status=REFUSED, control_offset=-1)

    assert isinstance(judge(FINE, before), Waiting)


def test_a_package_that_nobody_can_load_ends_the_attempt_only_after_the_time_to_load() -> None:
    away = [replace(one, canary_status=UNAVAILABLE, reason="the store is away") for one in (FINE, OTHER)]

    assert isinstance(judge(*away, waited_ms=119_999), Waiting)
    assert isinstance(judge(*away, waited_ms=120_000), NeverReady)


def test_without_a_live_worker_the_attempt_waits_however_long() -> None:
    silent = replace(FINE, age_ms=10_001)
    idle = replace(FINE, partitions=0)

    assert [type(judge(waited_ms=10**9)), type(judge(silent)), type(judge(idle))] == [Waiting] * 3


def test_dead_and_idle_workers_are_not_waited_for() -> None:
    silent = replace(OTHER, age_ms=10_001, canary_status=REFUSED)
    idle = replace(OTHER, partitions=0, canary_status=LOADING)

    assert judge(FINE, silent, idle) == Ready(1)


def test_an_address_without_a_digest_must_mean_one_package() -> None:
    loose = replace(on_ramp(0), canary=ModelRef(uri="flights/2"), stable=ModelRef(uri="flights/1"))
    differing = replace(OTHER, canary_digest="sha256:other")

    assert judge(FINE, OTHER, state=loose) == Ready(2)
    assert "pin its digest" in str(judge(FINE, differing, state=loose))
    assert "stable" in str(judge(FINE, replace(OTHER, stable_digest=V2.digest), state=loose))
