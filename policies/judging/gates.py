"""From the evidence of all checks to verdict and decision. One rule a function, in the order of their weight.

Rollback comes first and is possible in every phase of an attempt; then whatever holds; a move up needs every gate.
Current e-values decide, never running maxima: a canary that was good yesterday and is bad now must not be promoted,
and a bound for the mean of several e-processes holds for their current values only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..checks.evidence import Evidence
from ..checks.finding import Decision, Verdict
from ..plan.plan import By, Check, Metric, OnInsufficient, OnSuccess, Plan, Role
from ..plan.windows import closed_until
from ..rollout.ramp import is_last_step, stage_name
from ..rollout.state import Phase, State
from ..stats.combine import blamed, log_mean_of
from ..wording import percent, span

__all__ = ["FEWEST_KEYS", "Outlook", "Ruling", "rule", "weights"]

SEGMENT_SHARE = 0.15
"""Share of the rollback decision that all checks by segment have together: they must not cost the others much."""

DRIFT_SHARE = 0.05
"""Share that all checks on the distribution of predictions have together: a new model should predict differently."""

FEWEST_KEYS = 200
"""Effective keys below which nothing moves up under keyed routing: a handful of keys can look like anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Where the attempt stands at a look, besides its evidence.

    `samples` are canary rows of the step that are evidence, `now_ms` the time of the look, `held_ms` that in the step,
    `age_ms` that since the first look, `effective_keys` those of both variants, `split` says how
    the split of the traffic is broken if it is.
    """

    samples: int
    now_ms: int
    held_ms: int
    age_ms: int
    effective_keys: float
    split: str | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Verdict and decision, the sentence that gives the reason, and which checks are held against the canary."""

    verdict: Verdict
    decision: Decision
    reason: str
    failed: frozenset[str]
    log_e_rollback: float
    hard_limit: str | None = None


def rule(checks: Sequence[Evidence], outlook: Outlook, state: State, plan: Plan) -> Ruling:
    """Return the ruling over all checks of one look."""
    acting = [check for check in checks if check.check.acts]
    log_e = log_mean_of([check.log_e_rollback for check in acting], weights([check.check for check in acting]))
    failed = failing(checks, acting, plan.analysis.alpha, log_e)
    against = taken_back(acting, log_e, -math.log(plan.analysis.alpha))
    if against is not None:
        reason, hard_limit = against
        return Ruling(verdict=Verdict.FAIL, decision=Decision.ROLLBACK, reason=reason, failed=failed,
                      log_e_rollback=log_e, hard_limit=hard_limit)  # fmt: skip
    verdict, decision, reason = onwards(checks, failed, outlook, state, plan)
    return Ruling(verdict=verdict, decision=decision, reason=reason, failed=failed, log_e_rollback=log_e)


def weights(checks: Sequence[Check]) -> list[float]:
    """Return the share of each check in the rollback decision; they sum to 1.

    Checks by segment share `SEGMENT_SHARE` by the number of them, those on predictions `DRIFT_SHARE`, all others the
    rest; without others these two divide everything between them.
    """
    groups = [share_of_kind(check) for check in checks]
    bounded = [share for share in (SEGMENT_SHARE, DRIFT_SHARE) if share in groups]
    if None in groups:
        rest = 1.0 - sum(bounded)
        return [(rest if group is None else group) / groups.count(group) for group in groups]
    return [group / sum(bounded) / groups.count(group) for group in groups if group is not None]


def share_of_kind(check: Check) -> float | None:
    """Return what all checks of this kind have together, None for the kind that has the rest."""
    if check.metric is Metric.PREDICTION_DRIFT:
        return DRIFT_SHARE
    return None if check.segment_by is None else SEGMENT_SHARE


def taken_back(acting: Sequence[Evidence], log_e: float, threshold: float) -> tuple[str, str | None] | None:
    """Return why the canary must go, and the hard limit it broke if it was one; None: it may stay."""
    for check in acting:
        if check.log_e_limit is not None and check.log_e_limit >= threshold:
            limit = percent(check.check.limit or 0.0)
            return f"{check.check.name} is above its limit of {limit}: {check.limit_sentence()}", "limit"
    if log_e < threshold:
        return None
    shares = weights([check.check for check in acting])
    worst = max(zip(acting, shares, strict=True), key=lambda pair: pair[0].log_e_rollback + math.log(pair[1]))[0]
    return f"{worst.check.name} got worse with the canary: {worst.sentence()}", None


def onwards(
    checks: Sequence[Evidence], failed: frozenset[str], outlook: Outlook, state: State, plan: Plan
) -> tuple[Verdict, Decision, str]:
    """Return verdict, decision and reason where nothing demands a rollback.

    Past the deadline a plan that wants an end gets one: its last gate may still open, one in the middle not.
    """
    threshold = -math.log(plan.analysis.alpha)
    open_checks = [check for check in checks if check.check.acts and not check.passes(threshold)]
    late = is_automatic(state) and outlook.age_ms > plan.analysis.deadline_ms
    obstacle = blocked(outlook, state, plan) or unproven(checks, open_checks, failed, threshold)
    ends = late and plan.analysis.on_insufficient is not OnInsufficient.HOLD and not is_last_step(state)
    if obstacle is None and not ends:
        return Verdict.PASS, *upwards(outlook, state, plan)
    if late:
        return Verdict.INCONCLUSIVE, *overdue(plan, obstacle or "the ramp has not ended")
    assert obstacle is not None, "nothing speaks against a move up, yet none was made"
    return Verdict.UNDECIDED if open_checks else Verdict.PASS, Decision.HOLD, obstacle


def failing(checks: Sequence[Evidence], acting: Sequence[Evidence], alpha: float, log_e: float) -> frozenset[str]:
    """Return the names of the checks that are held against the canary.

    Those that can roll back share one alpha, so each is held to what their number demands; when only their mean has
    decided, the loudest is named. Every other check is judged by itself, for it decides nothing of the kind.
    """
    names = {acting[index].check.name for index in blamed([check.log_e_rollback for check in acting], alpha)}
    if log_e >= -math.log(alpha) and not names:
        names = {max(acting, key=lambda check: check.log_e_rollback).check.name}
    alone = {c.check.name for c in checks if not c.check.acts and c.log_e_rollback >= -math.log(alpha)}
    return frozenset(names | alone)


def blocked(outlook: Outlook, state: State, plan: Plan) -> str | None:
    """Return what keeps the rollout where it is whatever the checks say, None if nothing does."""
    step = state.current_step
    if step is None or not is_automatic(state):
        return f"the rollout is {state.phase.value}: only a rollback is automatic now"
    where = f"{stage_name(plan, state.step)} at {step.weight:g} %"
    if outlook.missing:
        return f"{where}: evidence is not complete: {'; '.join(outlook.missing)}"
    if outlook.split is not None:
        return f"{where}: {outlook.split}"
    if outlook.samples < step.samples:
        return f"{where}: {outlook.samples:,} of {step.samples:,} canary rows"
    if plan.routing.by is By.KEY and outlook.effective_keys < FEWEST_KEYS:
        return f"{where}: the traffic is worth only about {outlook.effective_keys:.0f} keys, {FEWEST_KEYS} are needed"
    if outlook.held_ms < step.hold_ms:
        return f"{where}: {span(outlook.held_ms)} of {span(step.hold_ms)}"
    return None


def is_automatic(state: State) -> bool:
    """Tell whether automation may do more than roll back; the deadline is one for evidence, not for persons."""
    return state.automatic and state.phase in (Phase.PROGRESSING, Phase.BAKING)


def unproven(
    checks: Sequence[Evidence], open_checks: Sequence[Evidence], failed: frozenset[str], threshold: float
) -> str | None:
    """Return which checks keep the rollout where it is, None if none does."""
    signals = [c.check.name for c in checks if c.check.role is Role.SIGNAL and not c.check.dry_run
               and (c.check.name in failed or c.is_over_limit)]  # fmt: skip
    if signals:
        return f"held by {', '.join(signals)} until it is well again"
    if not open_checks:
        return None
    _, reason = open_checks[0].status(failed=False, threshold=threshold)
    others = f" (also {', '.join(check.check.name for check in open_checks[1:])})" if open_checks[1:] else ""
    return f"{open_checks[0].check.name}: {reason}{others}"


def upwards(outlook: Outlook, state: State, plan: Plan) -> tuple[Decision, str]:
    """Return the move up and its reason; outside the windows of the plan it waits, with nothing else in its way."""
    passed = f"every check has passed on {stage_name(plan, state.step)}"
    if (closed := closed_until(plan.windows, outlook.now_ms)) is not None:
        return Decision.HOLD, f"{passed}; {closed}"
    if not is_last_step(state):
        return Decision.ADVANCE, passed
    asks = "; a person decides" if plan.on_success is OnSuccess.APPROVAL else ""
    return Decision.PROMOTE, f"{passed}, the last one{asks}"


def overdue(plan: Plan, obstacle: str) -> tuple[Decision, str]:
    """Return what the plan wants when its deadline passed without an answer."""
    reason = f"no answer within {span(plan.analysis.deadline_ms)}: {obstacle}"
    if plan.analysis.on_insufficient is OnInsufficient.ROLLBACK:
        return Decision.ROLLBACK, reason
    pauses = plan.analysis.on_insufficient is OnInsufficient.PAUSE
    return (Decision.PAUSE if pauses else Decision.HOLD), reason
