"""The judge: one look at the evidence of an attempt. A pure function of memory, cut and state.

A look learns what changed since the last one, reads what every check says now, and rules. It changes nothing by
itself: whoever calls it stores the memory, records the look and publishes the decision as a command. Given the same
three arguments it answers the same to the last bit, so a recorded run can be judged again (`replay`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..checks.compared import evidence_of
from ..checks.comparison import Comparison
from ..checks.drifted import drift_evidence, feature_counts
from ..checks.evidence import Evidence
from ..checks.fallbacks import fallback_evidence
from ..checks.metrics import Measure, Unit, measures
from ..checks.moved import moved_evidence
from ..checks.reading import effective_keys_of
from ..plan.plan import By, Check, Metric, Plan
from ..rollout.state import State
from ..scorecard.epochs import EpochSums, Ledger, broken_split, by_epoch, first_errors, increments, known
from ..stats.bernstein import Arms
from ..stats.losses import Losses
from ..stats.rate_ratio import Split
from .gates import Outlook, rule, weights
from .judgement import Cut, Judgement
from .memory import Memory

__all__ = ["look"]


def look(memory: Memory, cut: Cut, state: State) -> Judgement:
    """Judge the evidence of one cut under the state of the rollout at that moment.

    `memory` is that of the last look of the same attempt, `Memory.empty` before the first. `state` must have a plan
    and be in an attempt with a canary. Raises ValueError without a plan or for a plan without its frozen numbers.

    What a revision that the state does not know yet has done waits for a later look. Sums that went back (a tally
    that lost something) are not learnt, and nothing moves up while they do.
    """
    if state.plan is None:
        raise ValueError(f"rollout {state.rollout!r} has no plan to judge by")
    plan = state.plan
    sums = known(cut.sums, state.epochs)
    changes = increments(memory.last, sums)
    lost = sorted(revision for revision, variants in changes.items() if any(v.goes_back for v in variants.values()))
    changes = {revision: variants for revision, variants in changes.items() if revision not in lost}
    missing = (*cut.missing, *(f"the sums of revision {revision} went back" for revision in lost))
    learnt = learn(timed(memory, cut, state), changes, sums, plan, state)
    epochs = by_epoch(learnt.last, state.epochs)
    checks = [weighed(check, learnt, epochs, plan, state.step) for check in plan.analysis.checks]
    outlook = outlook_of(learnt, epochs, state, missing)
    ruling = rule(checks, outlook, state, plan)
    acting = [check.check for check in checks if check.check.acts]
    shares = dict(zip((check.name for check in acting), weights(acting), strict=True))
    return Judgement(
        findings=tuple(
            check.finding(check.check.name in ruling.failed, shares.get(check.check.name, 0.0), plan)
            for check in checks
        ),
        verdict=ruling.verdict,
        decision=ruling.decision,
        reason=ruling.reason,
        memory=learnt,
        hard_limit=ruling.hard_limit,
        samples=outlook.samples,
        effective_keys=outlook.effective_keys,
        log_e_rollback=ruling.log_e_rollback,
        increments=recorded(changes),
        missing=missing,
    )


def weighed(check: Check, memory: Memory, epochs: Sequence[EpochSums], plan: Plan, step: int) -> Evidence:
    """Return what speaks for and against the canary in one check."""
    if check.metric is Metric.PREDICTION_DRIFT:
        return moved_evidence(check, memory.movements[check.name], epochs, plan, memory.frozen, step)
    if check.metric is Metric.FEATURE_DRIFT:
        return drift_evidence(check, memory.drifts[check.name], plan)
    if check.metric is Metric.FALLBACK_RATE:
        return fallback_evidence(check, epochs, step)
    return evidence_of(check, memory.comparisons[check.name], epochs, plan, memory.frozen, step)


def timed(memory: Memory, cut: Cut, state: State) -> Memory:
    """Return the memory at the time of the cut; time never runs backwards, whatever a clock says."""
    is_first = memory.looks == 0
    now_ms = cut.now_ms if is_first else max(cut.now_ms, memory.now_ms)
    entered = is_first or (memory.step, memory.weight) != (state.step, state.weight)
    return replace(
        memory,
        looks=memory.looks + 1,
        since_ms=now_ms if is_first else memory.since_ms,
        now_ms=now_ms,
        step=state.step,
        weight=state.weight,
        step_since_ms=now_ms if entered else memory.step_since_ms,
    )


def learn(memory: Memory, changes: Ledger, sums: Ledger, plan: Plan, state: State) -> Memory:
    """Return the memory after the increments of one look went into every test, and into what has been judged."""
    judged = {
        revision: {**memory.last.get(revision, {}), **{name: sums[revision][name].evidence() for name in variants}}
        for revision, variants in changes.items()
    }
    last = {**memory.last, **judged}
    epochs = by_epoch(changes, state.epochs)
    erring = first_errors(epochs, memory.last, last) if plan.routing.by is By.KEY else ()
    comparisons = {
        check.name: {
            measure.name: taught(memory.comparisons[check.name][measure.name], measure, epochs, erring, plan)
            for measure in measures(check, memory.frozen)
        }
        for check in plan.analysis.checks
    }
    so_far = by_epoch(last, state.epochs) if memory.movements else ()
    movements = {
        name: movement.update(epochs, so_far, memory.frozen.predictions[name], plan.routing.by)
        for name, movement in memory.movements.items()
    }
    asked = feature_counts(memory.frozen.references, epochs) if memory.drifts else []
    drifts = {name: drift.update(asked) for name, drift in memory.drifts.items()}
    return replace(memory, comparisons=comparisons, movements=movements, drifts=drifts, last=last)


def taught(
    comparison: Comparison,
    measure: Measure,
    epochs: tuple[EpochSums, ...],
    erring: tuple[Split, ...],
    plan: Plan,
) -> Comparison:
    """Return the tests of one loss after one more look.

    Rows under random routing have the designed share. Calls, and rows of sticky keys, have none: given how many of
    them each variant had, the observed share takes its place; with the designed one a common drift of the rate
    would look like a difference. Labels are there of some rows only, in a share that is observed too. Under keyed
    routing an error counts once a key, against the share of keys.
    """
    designed = measure.unit is Unit.ROWS and plan.routing.by is By.RANDOM and measure.is_of_all_rows
    arms, stables = [], Losses()
    for epoch in epochs:
        canary, stable = measure.take(epoch.canary), measure.take(epoch.stable)
        stables = Losses(stables.n + stable.n, stables.total + stable.total, stables.squares + stable.squares)
        if canary.n or stable.n:
            share = epoch.share if designed else canary.n / (canary.n + stable.n)
            arms.append(Arms(share, canary.n, canary.loss, canary.square, stable.n, stable.loss, stable.square))
    return comparison.update(arms, stables, erring)


def outlook_of(memory: Memory, epochs: tuple[EpochSums, ...], state: State, missing: tuple[str, ...]) -> Outlook:
    """Return where the attempt stands besides its evidence."""
    return Outlook(
        samples=sum(epoch.canary.rows for epoch in epochs if epoch.step == state.step and epoch.share > 0),
        now_ms=memory.now_ms,
        held_ms=memory.now_ms - memory.step_since_ms,
        age_ms=memory.now_ms - memory.since_ms,
        effective_keys=effective_keys_of(epochs),
        split=broken_split(epochs) if state.plan and state.plan.routing.by is By.RANDOM else None,
        missing=missing,
    )


def recorded(changes: Ledger) -> tuple[dict[str, Any], ...]:
    """Return the increments as JSON objects, one for each revision and variant that changed."""
    return tuple(
        {"revision": revision, "variant": variant, "sums": sums.to_json()}
        for revision, variants in sorted(changes.items())
        for variant, sums in sorted(variants.items())
    )
