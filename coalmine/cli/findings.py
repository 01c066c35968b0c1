"""The last look in words: what each check has seen, what it needs, and what the rollout waits for. Pure."""

import math
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from coalmine.policies.wording import e_value, percent, points

from .words import ago, clock, phase, plural, signed_points, stage, status, weight

if TYPE_CHECKING:
    from coalmine.policies import Plan
    from coalmine.streams.wire.messages import FindingRecord, Look, RolloutView, WorkersView

__all__ = ["explain", "recomputed"]

BAR = 20
"""Characters of a bar."""

SHOWN_SEGMENTS = 5
"""Segments that are told of each check."""

MISLEADING = 0.5
"""By how much of the margin a pooled difference must be off to be told."""

LARGEST = 700.0
"""Beyond this an e-value is no floating-point number any more."""


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
        where += f" at {weight(view.weight)}, {stage(view.step.index, view.step.of)}"
    yield where
    yield view.message
    if look is not None and look.attempt == view.attempt:
        why = "" if look.reason in view.message else f" - {look.reason}"
        yield f"look {look.look} at {clock(look.time)}: {look.verdict}, decided: {look.decision}{why}"
        yield f"  recomputed from its record: {recomputed(look)}"
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
    hold = plan.stages[view.step.index - 1].hold_ms / 1000
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
    yield f"{finding.check} ({finding.role}): {status(finding.status)[0]}"
    yield f"  {finding.reason}"
    if finding.measure == "predictions":
        yield from distance_lines(finding)
        return
    if finding.measure == "features":
        yield from feature_lines(finding)
        return
    if finding.margin is None and "limit" in finding.values:
        yield f"  canary: {events_of(finding, 'canary')}, in this step"
        above = bar(finding.log_e_rollback, finding.threshold)
        yield f"  limit: e-value {above} that it is above {percent(finding.values['limit'])}"
        return
    for variant in ("canary", "stable"):
        yield f"  {variant}: {events_of(finding, variant)}"
    if finding.estimate is not None:
        interval = ""
        if finding.interval is not None:
            low, high = finding.interval
            interval = f", between {signed_points(low)} and {signed_points(high)}"
        yield f"  difference: {signed_points(finding.estimate)}{interval}"
        yield from pooled(finding, finding.estimate)
    yield from segments(finding)
    if finding.margin is not None:
        shown = bar(finding.log_e_promotion, finding.threshold)
        yield f"  to go up: e-value {shown} that it is not worse by {points(finding.margin)}"
    beyond = f" by more than {points(finding.tolerance)}" if finding.tolerance else ""
    share = finding.values.get("weight")
    counts = f" (counts {percent(share)} of the decision)" if share is not None and share < 1 else ""
    yield f"  to roll back: e-value {bar(finding.log_e_rollback, finding.threshold)} that it is worse{beyond}{counts}"


def distance_lines(finding: "FindingRecord") -> Iterator[str]:
    """Yield the evidence of a check on the distribution of predictions."""
    for variant in ("canary", "stable"):
        keys = finding.values.get(f"predictions.{variant}_keys")
        worth = f", which count for {keys:,.0f}: keys come again" if keys is not None else ""
        yield f"  {variant}: {finding.n.get(variant, 0):,} predictions{worth}"
    if finding.estimate is not None:
        others = ", ".join(
            f"{name} {finding.values[key]:.3g}"
            for name, key in (("PSI", "psi"), ("Jensen-Shannon", "js"))
            if key in finding.values
        )
        yield f"  distance: {finding.estimate:.3g} of 1 in total variation ({others}), chance taken out"
    close, apart = (bar(log_e, finding.threshold) for log_e in (finding.log_e_promotion, finding.log_e_rollback))
    if finding.margin is not None:
        yield f"  close: e-value {close} that it is below {finding.margin:.3g}"
    yield f"  apart: e-value {apart} that it is above {finding.tolerance or 0.0:.3g}"


def feature_lines(finding: "FindingRecord") -> Iterator[str]:
    """Yield the features that are furthest from the rows the canary was trained on."""
    if finding.estimate is None:
        return
    yield f"  {finding.n.get('requests', 0):,} requests were held against them, chance taken out:"
    prefix = "variation."
    names = [name.removeprefix(prefix) for name in finding.values if name.startswith(prefix)]
    for name in sorted(names, key=lambda name: -finding.values[prefix + name]):
        apart, psi = finding.values[prefix + name], finding.values.get(f"psi.{name}", 0.0)
        allowed = finding.values.get(f"allowance.{name}", 0.0)
        loose = f", {percent(allowed)} more is allowed for few rows of training"
        yield f"    {name}: {percent(apart)} in total variation (PSI {psi:.3g}{loose})"
    limit = percent(finding.values["limit"])
    yield f"  together: e-value {bar(finding.log_e_rollback, finding.threshold)} that any is above {limit}"


def events_of(finding: "FindingRecord", variant: str) -> str:
    """Return what happened to the units of a variant."""
    unit, _, segment = finding.measure.partition("/")
    n = finding.n.get(variant, 0)
    events = finding.values.get(f"{finding.measure}.{variant}_events")
    if not n or events is None:
        return f"no {unit} yet"
    inside = f" of {segment}" if segment else ""
    if not finding.event:
        return f"mean loss {percent(events / n)} of its range over {n:,} {unit}{inside}"
    return f"{events:,.0f} of {n:,} {unit}{inside} {finding.event} ({percent(events / n)})"


def pooled(finding: "FindingRecord", estimate: float) -> Iterator[str]:
    """Yield what all rows thrown together would show, where that misleads.

    While weights change and everybody's rate drifts, the canary gets most of its rows when the rate is another
    (Simpson's paradox); so the difference is taken at equal weights and added up.
    """
    rates = [finding.values.get(f"{finding.measure}.{variant}_events", 0.0) / n
             for variant in ("canary", "stable") if (n := finding.n.get(variant, 0))]  # fmt: skip
    if len(rates) < 2 or finding.margin is None:
        return
    whole = rates[0] - rates[1]
    if abs(whole - estimate) >= finding.margin * MISLEADING:
        yield (
            f"    (all rows thrown together: {percent(rates[0])} against {percent(rates[1])}, {signed_points(whole)}; "
            "that misleads, because the weight changed while the rate of both did)"
        )


def segments(finding: "FindingRecord") -> Iterator[str]:
    """Yield the segments of a check, the worst first."""
    suffix = ".log_e_rollback"
    names = [name.removesuffix(suffix) for name in finding.values if "/" in name and name.endswith(suffix)]
    if not names:
        return
    worst = sorted(names, key=lambda name: -finding.values[name + suffix])[:SHOWN_SEGMENTS]
    said = [f"{name.partition('/')[2]} {e_value(finding.values[name + suffix])}" for name in worst]
    more = f" and {len(names) - len(worst)} more" if len(names) > len(worst) else ""
    yield f"  segments, by the e-value that it is worse there: {', '.join(said)}{more}"


def recomputed(look: "Look") -> str:
    """Return what the findings of a look amount to, added up anew from their e-values and weights."""
    acting = [finding for finding in look.findings if finding.values.get("weight", 0.0) > 0]
    if not acting or (threshold := acting[0].threshold) is None:
        return "no check decides"
    mean = math.log(sum(f.values["weight"] * math.exp(min(f.log_e_rollback or -math.inf, LARGEST)) for f in acting))
    broken = [f.check for f in acting if f.values.get("log_e_limit", -math.inf) >= threshold]
    open_checks = [f.check for f in acting if f.log_e_promotion is not None and f.log_e_promotion < threshold]
    worse = f"e-value {e_value(mean)} of {e_value(threshold)} that the canary is worse"
    if broken or mean >= threshold:
        return f"{worse}{', above the limit: ' + ', '.join(broken) if broken else ''}: to be rolled back"
    if open_checks:
        return f"{worse}: not to be rolled back; not proven yet: {', '.join(open_checks)}"
    return f"{worse}: not to be rolled back; every guardrail is proven"


def bar(log_e: float | None, threshold: float | None) -> str:
    """Return an e-value beside the one it needs, as numbers and as a bar on a logarithmic scale."""
    if log_e is None or threshold is None:
        return "unknown"
    filled = round(BAR * min(max(log_e / threshold, 0.0), 1.0)) if math.isfinite(log_e) else 0
    return f"{e_value(log_e)} of {e_value(threshold)} [{'#' * filled}{'.' * (BAR - filled)}]"
