"""What the judge writes, as functions of values: commands, looks, events, views. No clock, no topics, no rules.

Every id is computed from what was decided, so a judge that decides again after a crash writes the same record again.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from coalmine.errors import DecodeError
from coalmine.policies import (
    HEARTBEAT_LIFE_MS,
    NAME,
    Advance,
    Applied,
    At,
    Clock,
    Command,
    Cut,
    Decision,
    Effect,
    Finding,
    Judgement,
    ModelStatus,
    Pause,
    Plan,
    Promote,
    Refusal,
    Rollback,
    State,
    Sums,
    Variant,
    WorkerReport,
    duration_quantile,
    is_frozen,
    next_step,
)

from ..control.fold import Folded
from ..control.heartbeat import rfc3339
from ..wire.messages import Event, FindingRecord, Look, RolloutView, StepView, WorkersView

__all__ = [
    "ANALYZER",
    "Ledger",
    "addressed",
    "answers",
    "attempt_command_id",
    "by_variant",
    "command_for",
    "command_id",
    "finding_record",
    "is_due",
    "look_record",
    "rollout_view",
    "stale",
    "verdict_event",
]

ANALYZER = "analyzer"
"""The issuer of every command of automation."""

Ledger = Mapping[int, Mapping[str, Sums]]
"""Sums by revision and variant."""

UPWARDS = frozenset({Decision.ADVANCE, Decision.PROMOTE})
"""What a freeze holds back."""


def is_due(last_ms: int | None, now_ms: int, every_ms: int) -> bool:
    """Tell whether an interval has passed since the last look; the first one is due at once."""
    return last_ms is None or now_ms >= last_ms + every_ms


def stale(plan: Plan, event_time_ms: int | None, wall_ms: int) -> str | None:
    """Say that the evidence is too old to go up on, None if it is fresh. The events' own clock is never late."""
    if event_time_ms is None:
        return "there is no evidence yet"
    age_ms = wall_ms - event_time_ms
    if plan.analysis.clock is Clock.EVENT or age_ms <= plan.analysis.freshness_ms:
        return None
    return f"the newest evidence is {age_ms / 1000:.0f} s old, more than {plan.analysis.freshness_ms / 1000:.0f} s"


def command_id(state: State, decision: str) -> str:
    """Return the id of an automatic command: the same for the same decision on the same revision.

    If that id was refused before on this revision (a freeze ended between decision and append), the next one in a
    fixed row, so that the decision is not taken for a copy for ever.
    """
    turn = 0
    while True:
        text = f"{state.rollout}/{state.attempt}/{state.revision}/{decision}" + (f"/{turn}" if turn else "")
        identity = sha256(text.encode()).hexdigest()
        if identity not in state.seen:
            return identity
        turn += 1


def attempt_command_id(state: State, cause: str) -> str:
    """Return the id of a command that an attempt can see only once, whatever its revision."""
    return sha256(f"{state.rollout}/{state.attempt}/{cause}".encode()).hexdigest()


def command_for(judgement: Judgement, state: State, look: int, wall_ms: int) -> Command | None:
    """Return the command that a judgement asks for; None for hold, and for a move upwards while a freeze is on."""
    decision = judgement.decision
    if decision in UPWARDS and is_frozen(state, wall_ms):
        return None
    command = bare_command(judgement, state, look)
    return command and addressed(command, state, command_id(state, decision.value), judgement.reason, wall_ms)


def bare_command(judgement: Judgement, state: State, look: int) -> Command | None:
    """Return the command of a decision without what all commands have in common."""
    match judgement.decision:
        case Decision.HOLD:
            return None
        case Decision.ADVANCE:
            step = next_step(state)
            assert step is not None, "a judge advances only where a step follows"
            return Advance(rollout=state.rollout, step=step, look=look)
        case Decision.PROMOTE:
            return Promote(rollout=state.rollout, look=look)
        case Decision.PAUSE:
            return Pause(rollout=state.rollout, look=look)
        case Decision.ROLLBACK:
            return Rollback(rollout=state.rollout, look=look, hard_limit=judgement.hard_limit)


def addressed(command: Command, state: State, identity: str, reason: str, wall_ms: int) -> Command:
    """Return `command` with its id, issuer, reason, time, and the attempt and revision it is meant for."""
    return replace(
        command, command_id=identity, issued_by=ANALYZER, reason=reason, attempt=state.attempt,
        expected_revision=state.revision, time=datetime.fromtimestamp(wall_ms / 1000, UTC),
    )  # fmt: skip


def look_record(
    cut: Cut, judgement: Judgement, state: State, command: Command | None, *, wall_ms: int, evidence_offset: int,
    offsets: Mapping[int, int],
) -> Look:  # fmt: skip
    """Return the record of a look: everything a replay needs, and what came out."""
    assert state.attempt is not None, "only an attempt is looked at"
    return Look(
        rollout=state.rollout,
        attempt=state.attempt,
        look=cut.number,
        time=rfc3339(wall_ms / 1000),
        control_offset=state.control_offset,
        evidence_offset=evidence_offset,
        offsets={str(partition): offset for partition, offset in offsets.items()},
        increments=list(judgement.increments),
        findings=[finding_record(finding) for finding in judgement.findings],
        verdict=judgement.verdict.value,
        decision=judgement.decision.value,
        reason=judgement.reason,
        now_ms=cut.now_ms,
        missing=list(judgement.missing),
        command_id=command.command_id if command else None,
    )


def finding_record(finding: Finding) -> FindingRecord:
    """Return a finding for the wire; numbers that are not finite are absent."""
    interval = finding.interval
    return FindingRecord(
        check=finding.check,
        role=finding.role.value,
        status=finding.status.value,
        reason=finding.reason,
        n=dict(finding.n),
        estimate=finite(finding.estimate),
        interval=interval if interval is not None and all(map(math.isfinite, interval)) else None,
        margin=finite(finding.margin),
        tolerance=finite(finding.tolerance),
        log_e_rollback=finite(finding.log_e_rollback),
        log_e_promotion=finite(finding.log_e_promotion),
        threshold=finite(finding.threshold),
        measure=finding.measure,
        event=finding.event,
        values={name: value for name, value in finding.values.items() if math.isfinite(value)},
    )


def finite(value: float | None) -> float | None:
    """Return a number as it is, None where it is none."""
    return value if value is not None and math.isfinite(value) else None


def answers(folded: Folded) -> tuple[Event, ...]:
    """Return what is told of one record of control: its result, and the change of phase it made.

    A copy of a command has the result of the first one, so nothing is told.
    """
    if folded.error is not None:
        return (no_command_event(folded, folded.error),)
    before, after = folded.before, folded.after
    assert before is not None
    assert after is not None
    results = tuple(result_event(effect, after, folded.at) for effect in folded.effects)
    if before.phase is after.phase and before.attempt == after.attempt:
        return results
    return (*results, phase_event(after, folded))


def no_command_event(folded: Folded, error: DecodeError) -> Event:
    """Return the answer to a record that is no command; whom it was meant for only its key may tell."""
    key = (folded.record.key or b"").decode(errors="replace")
    return Event(
        id=f"control@{folded.at.offset}", rollout=key if NAME.fullmatch(key) else "", kind="result",
        reason=error.message, phase="", revision=0, weight=0.0, time=rfc3339(folded.at.ms / 1000), result="refused",
    )  # fmt: skip


def result_event(effect: Effect, after: State, at: At) -> Event:
    """Return the answer to a command; `after` is the state it led to or left."""
    match effect:
        case Applied():
            result, reason = "applied", effect.message
        case Refusal():
            result, reason = "refused", effect.reason
    return Event(
        id=f"control@{at.offset}", rollout=after.rollout, kind="result", reason=reason, phase=after.phase.value,
        revision=after.revision, weight=after.weight, time=rfc3339(at.ms / 1000), attempt=after.attempt,
        command=effect.verb, command_id=effect.command_id, result=result, issued_by=effect.issued_by or None,
    )  # fmt: skip


def phase_event(after: State, folded: Folded) -> Event:
    """Return the event of a change of phase."""
    look: int | None = getattr(folded.command, "look", None)
    hard_limit: str | None = getattr(folded.command, "hard_limit", None)
    issued_by = folded.command.issued_by if folded.command else ""
    return Event(
        id=f"phase@{folded.at.offset}", rollout=after.rollout, kind="phase", reason=after.message,
        phase=after.phase.value, revision=after.revision, weight=after.weight, time=rfc3339(folded.at.ms / 1000),
        attempt=after.attempt, issued_by=issued_by or None, look=look, hard_limit=hard_limit,
    )  # fmt: skip


def verdict_event(look: Look, state: State) -> Event:
    """Return the event of a verdict that differs from that of the look before."""
    return Event(
        id=f"look@{look.rollout}/{look.attempt}/{look.look}", rollout=look.rollout, kind="verdict",
        reason=f"{look.verdict}: {look.reason}", phase=state.phase.value, revision=state.revision,
        weight=state.weight, time=look.time, attempt=look.attempt, look=look.look,
    )  # fmt: skip


def rollout_view(
    state: State, sums: Ledger, *, message: str, wall_ms: int, look: Look | None, samples: int,
    workers: Sequence[WorkerReport],
) -> RolloutView:  # fmt: skip
    """Return the view of a rollout; `sums` are those of the last attempt and what came after it."""
    shown = by_variant(sums.values())
    return RolloutView(
        rollout=state.rollout,
        phase=state.phase.value,
        message=message,
        revision=state.revision,
        control_offset=state.control_offset,
        weight=state.weight,
        actual_weight=actual_weight(sums, state),
        file_digest=state.file_digest,
        time=rfc3339(wall_ms / 1000),
        attempt=state.attempt,
        look=look.look if look else None,
        step=step_view(state, samples),
        stable=state.stable,
        canary=state.canary,
        frozen=state.frozen,
        findings=look.findings if look else [],
        variants={name: figures(total) for name, total in shown.items()},
        workers=workers_view(workers),
    )


def workers_view(reports: Sequence[WorkerReport]) -> WorkersView:
    """Return how many of the workers that live and hold a partition have the canary loaded."""
    serving = [report for report in reports if report.age_ms <= HEARTBEAT_LIFE_MS and report.partitions]
    ready = sum(report.canary_status is ModelStatus.READY for report in serving)
    return WorkersView(ready=ready, of=len(serving))


def step_view(state: State, samples: int) -> StepView | None:
    """Return the progress in the step that is on, None outside the ramp."""
    step = state.current_step
    if state.plan is None or step is None or not state.phase.has_attempt:
        return None
    return StepView(index=state.step, of=len(state.plan.steps), since=rfc3339(state.step_since_ms / 1000),
                    need=step.samples, have=samples)  # fmt: skip


def by_variant(parts: Iterable[Mapping[str, Sums]]) -> dict[str, Sums]:
    """Return the sums over partitions or revisions by variant, stable first."""
    totals: dict[str, Sums] = {}
    for variants in parts:
        for name, sums in variants.items():
            totals[name] = totals[name] + sums if name in totals else sums
    order = [variant.value for variant in Variant]
    return {name: totals[name] for name in sorted(totals, key=order.index)}


def figures(sums: Sums) -> dict[str, float]:
    """Return the figures of one variant for a screen; what is undefined is absent."""
    shown = {
        "rows": float(sums.rows + sum(sums.other_rows.values())),
        "faults": float(sums.row_fault_count + sums.call_fault_rows),
        "fault_rate": sums.error_rate,
        "p50_ms": duration_quantile(sums.row_ms, 0.5),
        "p99_ms": duration_quantile(sums.row_ms, 0.99),
        "mean_prediction": sums.predictions.mean if sums.predictions.n else math.nan,
    }
    return {name: value for name, value in shown.items() if math.isfinite(value)}


def actual_weight(sums: Ledger, state: State) -> float:
    """Return the percentage of all rows since the last change of weight that were the canary's; 0 without rows."""
    if not state.epochs or not state.phase.has_attempt:
        return 0.0
    first = state.epochs[-1].first
    totals = by_variant([variants for revision, variants in sums.items() if revision >= first])
    rows = {name: total.rows + sum(total.other_rows.values()) for name, total in totals.items()}
    answered = rows.get(Variant.CANARY.value, 0) + rows.get(Variant.STABLE.value, 0)
    return round(100 * rows.get(Variant.CANARY.value, 0) / answered, 4) if answered else 0.0
