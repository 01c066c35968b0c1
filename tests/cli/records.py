"""Records as the analyzer writes them, for screens."""

from datetime import UTC, datetime

from coalmine.policies import ModelRef, Plan
from coalmine.rollout_file import parse
from coalmine.streams.wire.messages import Event, FindingRecord, Look, RolloutView, StepView, WorkersView

__all__ = ["NOW", "PLAN", "drift", "errors", "event", "look", "slow", "view"]

NOW = datetime(2026, 3, 1, 12, 5, 0, tzinfo=UTC)

PLAN: Plan = parse(
    "apiVersion: coalmine.dev/v1\nkind: Rollout\nname: flights\nstable: {uri: flights/1}\nsteps: fast\n", "flights.yaml"
)


def errors() -> FindingRecord:
    """Return a check that has not seen enough."""
    return FindingRecord(
        check="errors",
        role="guardrail",
        status="inconclusive",
        reason="not yet shown to be within 1 pp",
        n={"stable": 4000, "canary": 400},
        estimate=0.0025,
        interval=(-0.004, 0.012),
        margin=0.01,
        tolerance=0.0,
        log_e_rollback=-0.4,
        log_e_promotion=1.5,
        threshold=2.9957,
        values={"rows.stable": 4000, "rows.canary": 400, "rows.stable_events": 10, "rows.canary_events": 2,
                "calls.stable": 90, "calls.canary": 80, "calls.stable_events": 0, "calls.canary_events": 0,
                "weight": 0.5},
    )  # fmt: skip


def slow() -> FindingRecord:
    """Return a check that has passed."""
    return FindingRecord(
        check="slow",
        role="signal",
        status="pass",
        reason="not worse by 4 pp",
        n={"stable": 90, "canary": 80},
        estimate=0.0,
        margin=0.04,
        tolerance=0.01,
        log_e_rollback=-1.0,
        log_e_promotion=4.0,
        threshold=2.9957,
        measure="calls",
        event="took longer than 50 ms",
        values={"calls.stable": 90, "calls.canary": 80, "calls.stable_events": 9, "calls.canary_events": 8,
                "slower_than_ms": 50.0, "weight": 0.5},
    )  # fmt: skip


def drift() -> FindingRecord:
    """Return a check on predictions that holds the ramp, of rows from sticky keys."""
    return FindingRecord(
        check="drift",
        role="signal",
        status="fail",
        reason="further than 0.05: canary's predictions are 0.198 away from stable's",
        n={"stable": 27_000, "canary": 3_000},
        estimate=0.198,
        margin=0.2,
        tolerance=0.05,
        log_e_rollback=4.0,
        log_e_promotion=-2.0,
        threshold=2.9957,
        measure="predictions",
        event="",
        values={"predictions.stable": 27_000, "predictions.canary": 3_000, "psi": 0.206, "js": 0.0253,
                "predictions.stable_keys": 4_146, "predictions.canary_keys": 812, "weight": 0.0},
    )  # fmt: skip


def view(**changes: object) -> RolloutView:
    """Return a rollout in its second step, with `changes`."""
    record = RolloutView(
        rollout="flights",
        phase="progressing",
        message="step 2 of 3: the canary gets 25 %",
        revision=7,
        control_offset=41,
        weight=25.0,
        actual_weight=24.8,
        file_digest="sha256:" + "0" * 64,
        time="2026-03-01T12:04:58Z",
        attempt=17,
        look=12,
        step=StepView(index=2, of=3, since="2026-03-01T12:00:00Z", need=200, have=120),
        stable=ModelRef(uri="flights/1", name="flights", version="1"),
        canary=ModelRef(uri="flights/2"),
        findings=[errors(), slow()],
        variants={
            "stable": {"rows": 12034, "faults": 0, "fault_rate": 0.0, "p50_ms": 2.1, "p99_ms": 5.2,
                       "mean_prediction": 0.23},
            "canary": {"rows": 4011, "faults": 2, "fault_rate": 0.0005, "p50_ms": 15.0, "p99_ms": 61.0},
        },
        workers=WorkersView(ready=3, of=3),
    )  # fmt: skip
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def event(**changes: object) -> Event:
    """Return the answer to a pause, with `changes`."""
    record = Event(
        id="control@40",
        rollout="flights",
        kind="result",
        reason="paused at 10 % by operator:ann",
        phase="paused",
        revision=6,
        weight=10.0,
        time="2026-03-01T12:00:00Z",
        command="pause",
        result="applied",
        issued_by="operator:ann",
    )
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def look(**changes: object) -> Look:
    """Return the look the findings of `view` come from, with `changes`."""
    record = Look(
        rollout="flights",
        attempt=17,
        look=12,
        time="2026-03-01T12:04:58Z",
        control_offset=41,
        evidence_offset=99,
        offsets={"0": 10},
        increments=[],
        findings=[errors(), slow()],
        verdict="undecided",
        decision="hold",
        reason="errors has not passed",
        now_ms=0,
    )
    for name, value in changes.items():
        setattr(record, name, value)
    return record
