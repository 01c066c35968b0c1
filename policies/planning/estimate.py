"""What may be expected of a plan under given traffic: how it ends, what it finds, what a bad canary costs. Pure."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..checks.metrics import bounds_of, measures
from ..checks.reading import BUCKET_EVENTS, VARIANT_KEYS
from ..frozen.numbers import FrozenNumbers
from ..plan.plan import Check, Metric, Plan
from ..wording import amount, percent, points, span
from .course import Course, End, course, detectable, needed, provable
from .lanes import Pace, Supply, lanes

__all__ = ["Bad", "Estimate", "estimate"]

CRASH, SLOWDOWN = 0.05, 0.20
"""By how much more rows fail, and calls are slow, in the bad canaries that are told of."""

WRONG = (0.03, 0.10)
"""By how much more predictions are wrong there."""

MEANS = (2.0, 5.0)
"""Multiples of the margin by which other losses are worse there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A canary that is worse in one check: by how much in words, and its course at the mean pace."""

    check: str
    about: str
    course: Course


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What may be expected of a plan.

    `quick`, `middle` and `slow` are the courses of a canary that is as good as stable. `ends` are the ends that are
    plausible for it, the likeliest first. `detects` maps each check to the smallest added loss (in the range of the
    loss, 0..1) that would be found by the end of each stay of the middle course. `bad` tells what bad canaries cost.
    """

    quick: Course
    middle: Course
    slow: Course
    ends: tuple[End, ...]
    detects: Mapping[str, tuple[float, ...]]
    bad: tuple[Bad, ...]
    warnings: tuple[str, ...]


def estimate(plan: Plan, base: FrozenNumbers, supply: Supply) -> Estimate:
    """Return what may be expected of `plan` where stable loses what `base` says and traffic comes as `supply` says."""
    quick, middle, slow = (course(plan, base, supply, pace) for pace in Pace)
    ends = tuple(dict.fromkeys((middle.end, quick.end, slow.end)))
    return Estimate(
        quick=quick,
        middle=middle,
        slow=slow,
        ends=ends,
        detects=detectable(plan, base, supply, middle),
        bad=tuple(bad_canaries(plan, base, supply)),
        warnings=tuple(warnings(plan, base, supply, slow, ends)),
    )


def bad_canaries(plan: Plan, base: FrozenNumbers, supply: Supply) -> Iterator[Bad]:
    """Yield what canaries cost that are clearly worse in one check."""
    for check in plan.analysis.checks:
        if not check.acts or check.segment_by is not None or not measures(check, base):
            continue
        for shift, about in shifts(check, base):
            walked = course(plan, base, supply, Pace.MIDDLE, {check.name: shift})
            yield Bad(check=check.name, about=about, course=walked)


def shifts(check: Check, base: FrozenNumbers) -> Iterator[tuple[float, str]]:
    """Yield added mean losses (0..1) that are clearly bad for a check, and how they read."""
    if check.metric is Metric.ERROR_RATE:
        yield CRASH, f"errors {percent(base.error_rate)} to {percent(base.error_rate + CRASH)}"
    elif check.metric is Metric.SLOW_RATE:
        rate = base.slow_rates[check.name]
        yield SLOWDOWN, f"{check.name} {percent(rate)} to {percent(rate + SLOWDOWN)}"
    elif check.metric.is_event:
        yield from ((wrong, f"{check.name} worse by {points(wrong)}") for wrong in WRONG)
    else:
        for factor in MEANS:
            worse = factor * check.margin
            words = f"{percent(worse)} of stable's mean" if check.relative else amount(worse)
            yield worse / relative_scale(check, base), f"{check.name} worse by {words}"


def relative_scale(check: Check, base: FrozenNumbers) -> float:
    """Return what brings a difference in the words of a check into the range of its losses, by division."""
    return check.margin / bounds_of(check, base).margin


def warnings(plan: Plan, base: FrozenNumbers, supply: Supply, slow: Course, ends: tuple[End, ...]) -> Iterator[str]:
    """Yield what the author of the plan should change or know."""
    deadline = plan.analysis.deadline_ms
    if not supply.rows_per_second:
        yield "without traffic nothing is ever shown: the attempt waits for stable's numbers until somebody ends it"
        return
    for index, step in enumerate(plan.stages, start=1):
        seconds = step.samples / (supply.rows_per_second * step.weight / 100)
        if seconds * 1_000 > deadline:
            yield (f"steps[{index - 1}].samples: {step.samples:,} canary rows take {span(round(seconds * 1_000))} "
                   f"at {step.weight:g} %, the deadline is {span(deadline)}; ask for fewer")  # fmt: skip
    yield from few_keys(plan, base, supply)
    names = dict.fromkeys(lane.check.name for lane in lanes(plan, base, supply, {}))
    if not names:
        yield "analysis.checks: none is a guardrail, so no canary is ever rolled back by itself; give one that role"
    for check in (check for check in plan.analysis.checks if check.name in names):
        need, have = needed(check.name, plan, base, supply)
        if need > have:
            yield tight(check, base, need, have, provable(check.name, plan, base, supply))
    if End.INCONCLUSIVE in ends:
        last = slow.stays[-1]
        stage = f"step {last.step}" if last.step <= len(plan.steps) else "the bake"
        likely = "will" if ends == (End.INCONCLUSIVE,) else "may"
        yield (f"analysis.deadline: {span(deadline)} {likely} pass without an answer, in {stage} at {last.weight:g} %, "
               f"waiting for {last.waited_for}")  # fmt: skip


def few_keys(plan: Plan, base: FrozenNumbers, supply: Supply) -> Iterator[str]:
    """Yield where so few keys get the canary, or stay with stable, that a check must wait for losses to happen."""
    for lane in lanes(plan, base, supply, {}):
        step, share = plan.steps[0], plan.steps[0].weight / 100
        seconds = lane.bucket_seconds(share)
        waits = lane.by_buckets and not lane.has_keys(share) and seconds * 1_000 > max(step.hold_ms, 60_000)
        if waits and lane.measure.segment is None:
            takes = f"which takes {span(round(seconds * 1_000))}" if math.isfinite(seconds) else "which never happens"
            yield (f"steps[0].weight: {step.weight:g} % of the traffic is worth about {supply.keys * share:.0f} keys; "
                   f"below {VARIANT_KEYS} check {lane.check.name} waits until {BUCKET_EVENTS} rows of a variant have "
                   f"the loss, {takes}; begin with more weight")  # fmt: skip


def tight(check: Check, base: FrozenNumbers, need: float, have: float, margin: float) -> str:
    """Return the warning of a margin that the traffic cannot prove, with the numbers."""
    scale = relative_scale(check, base)
    could = "no margin could be shown"
    if math.isfinite(margin):
        words = points(margin) if check.metric.is_event else amount(margin * scale)
        could = f"a margin of {words} could be shown"
    needs = f"needs about {need:,.0f} units of the canary" if math.isfinite(need) else "can never be shown"
    shown = points(check.margin) if check.metric.is_event else amount(check.margin)
    return f"analysis.checks.{check.name}.margin: {shown} {needs}, {have:,.0f} come until the deadline; {could}"
