"""The last look in words: what each check has seen, what it needs, and what the rollout waits for. Pure."""

import math
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from coalmine.policies.wording import e_value, percent, points

from .view import unit_of
from .words import ago, clock, phase, plural, signed_points, status, weight

if TYPE_CHECKING:
    from coalmine.policies import Plan
    from coalmine.streams.messages import FindingRecord, Look, RolloutView, WorkersView

__all__ = ["explain"]

BAR = 20
"""Characters of a bar."""


def explain(view: "RolloutView", look: "Look | None", plan: "Plan | None", now: datetime, check: str = "") -> str:
    """Return why a rollout moves or does not, as text; `check` limits it to one of the checks."""
    findings = [finding for finding in view.findings if check in ("", finding.check)]
    paragraphs = ["\n".join(situation(view, look, plan, now))] if not check else []
    paragraphs += ["\n".join(finding_lines(finding)) for finding in findings]
    if not view.findings:
        paragraphs.append("No check has been evaluated in this attempt yet.")
    return "\n\n".join(paragraphs)


def situation(view: "RolloutView", look: "Look | None", plan: "Plan | None", now: datetime) -> Iterator[str]:
    """Yield where the rollout stands and what it waits for."""
    where = f"{view.rollout}: {phase(view.phase)[0]}"
    if view.step is not None:
        where += f" at {weight(view.weight)}, step {view.step.index} of {view.step.of}"
    yield where
    yield view.message
    if look is not None and look.attempt == view.attempt:
        why = "" if look.reason in view.message else f" - {look.reason}"
        yield f"look {look.look} at {clock(look.time)}: {look.verdict}, decided: {look.decision}{why}"
        yield from (f"  evidence: {reason}" for reason in look.missing if reason not in view.message)
    waiting = list(waits_for(view, plan, now))
    if waiting:
        yield "it waits for:"
        yield from (f"  - {item}" for item in waiting)


def waits_for(view: "RolloutView", plan: "Plan | None", now: datetime) -> Iterator[str]:
    """Yield each thing that must still happen before the next step."""
    if view.phase == "paused":
        yield f"a person: `coalmine resume {view.rollout}` or `coalmine rollback {view.rollout}`"
    if view.phase == "awaiting_approval":
        yield f"a person: `coalmine approve {view.rollout}` or `coalmine rollback {view.rollout}`"
    if view.phase == "pending" and view.workers is not None:
        yield from loading(view.workers)
    if view.step is None or plan is None:
        return
    since = (now - datetime.fromisoformat(view.step.since)).total_seconds()
    hold = plan.steps[view.step.index - 1].hold_ms / 1000
    if plan.analysis.clock.value == "wall" and since < hold:
        yield f"the hold of the step: {ago(hold - since)} of {ago(hold)} left"
    if view.step.have < view.step.need:
        yield samples_left(view.step.have, view.step.need, since)
    for finding in view.findings:
        if finding.role == "guardrail" and finding.status != "pass":
            yield f"check {finding.check}: {finding.reason}"


def loading(workers: "WorkersView") -> Iterator[str]:
    """Yield who has not loaded the canary yet."""
    if not workers.of:
        yield "a worker: none is alive; start `coalmine run FILE`"
    elif workers.ready < workers.of:
        yield f"the canary on {workers.of - workers.ready} of {plural(workers.of, 'worker')}"


def samples_left(have: int, need: int, seconds: float) -> str:
    """Return the samples that are missing and, at the pace so far, for how long."""
    pace = f", about {ago((need - have) * seconds / have)} at the pace so far" if have and seconds > 0 else ""
    return f"samples: {have:,} of {need:,}{pace}"


def finding_lines(finding: "FindingRecord") -> Iterator[str]:
    """Yield the evidence of one check."""
    unit = unit_of(finding)
    yield f"{finding.check} ({finding.role}): {status(finding.status)[0]}"
    yield f"  {finding.reason}"
    for variant in ("canary", "stable"):
        yield f"  {variant}: {events_of(finding, unit, variant)}"
    if finding.estimate is not None:
        interval = ""
        if finding.interval is not None:
            low, high = finding.interval
            interval = f", between {signed_points(low)} and {signed_points(high)}"
        yield f"  difference: {signed_points(finding.estimate)}{interval}"
    if finding.margin is not None:
        shown = bar(finding.log_e_promotion, finding.threshold)
        yield f"  to go up: e-value {shown} that it is not worse by {points(finding.margin)}"
    beyond = f" by more than {points(finding.tolerance)}" if finding.tolerance else ""
    share = finding.values.get("weight")
    counts = f" (counts {percent(share)} of the decision)" if share is not None and share < 1 else ""
    yield f"  to roll back: e-value {bar(finding.log_e_rollback, finding.threshold)} that it is worse{beyond}{counts}"


def events_of(finding: "FindingRecord", unit: str, variant: str) -> str:
    """Return what happened to the units of a variant."""
    n = finding.n.get(variant, 0)
    events = finding.values.get(f"{unit}.{variant}_events")
    if not n or events is None:
        return f"no {unit} yet"
    threshold = finding.values.get("slower_than_ms")
    happened = "failed" if threshold is None else f"took longer than {threshold:.3g} ms"
    return f"{events:,.0f} of {n:,} {unit} {happened} ({percent(events / n)})"


def bar(log_e: float | None, threshold: float | None) -> str:
    """Return an e-value beside the one it needs, as numbers and as a bar on a logarithmic scale."""
    if log_e is None or threshold is None:
        return "unknown"
    filled = round(BAR * min(max(log_e / threshold, 0.0), 1.0)) if math.isfinite(log_e) else 0
    return f"{e_value(log_e)} of {e_value(threshold)} [{'#' * filled}{'.' * (BAR - filled)}]"
