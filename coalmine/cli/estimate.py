"""`coalmine estimate`: how long a plan takes, what it can find, and how it will most likely end."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import columns, document, note, say
from .worlds import Accuracy, Base, Errors, Form, FormOption, Keys, LabelDelay, Rate, Slow, world_of, world_words

if TYPE_CHECKING:
    from coalmine.policies import Check, FrozenNumbers, Plan
    from coalmine.policies.planning.course import Course
    from coalmine.policies.planning.estimate import Estimate

__all__ = ["conclusion", "estimate"]


def estimate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rollout file.", show_default=False)],
    rate: Rate,
    errors: Errors = "",
    slow: Slow = "",
    accuracy: Accuracy = "",
    base: Base = [],  # noqa: B006 - typer wants the default itself and copies it
    keys: Keys = 10_000,
    label_delay: LabelDelay = "0s",
    output: FormOption = Form.TABLE,
) -> None:
    """Say how long a rollout file takes, what it can find at each step, and how it will most likely end.

    A calculation from the rate of the traffic and what stable loses; `coalmine simulate` plays the same by chance.
    """
    from coalmine.policies.planning.estimate import estimate as expect

    from ..rollout_file import load

    plan, _ = load(file)
    world = world_of(plan, rate, errors, slow, accuracy, base, keys, label_delay)
    found = expect(plan, world.base, world.supply)
    if output is Form.JSON:
        say(document({"rollout": plan.name, "rows_per_second": world.rows_per_second,
                      "rows_per_call": world.rows_per_call, "keys": world.keys, **as_record(found)}))  # fmt: skip
        return
    tables = [steps(plan, found)] if found.middle.stays else []
    tables += [finds(plan, world.base, found), bad(found)] if found.middle.stays and found.bad else []
    say("\n\n".join([world_words(plan, world), *tables, conclusion(plan, found)]))
    for warning in found.warnings:
        note(f"warning: {warning}")
    if plan.windows:
        note("the hours outside of the windows are not counted")


def as_record(found: "Estimate") -> dict[str, Any]:
    """Return an estimate as a JSON object; what never happens is null."""
    return {
        **{name: course_record(getattr(found, name)) for name in ("quick", "middle", "slow")},
        "ends": [end.value for end in found.ends],
        "detects": found.detects,
        "bad": [{"check": item.check, "about": item.about, **course_record(item.course)} for item in found.bad],
        "warnings": found.warnings,
    }


def course_record(course: "Course") -> dict[str, Any]:
    """Return a course as a JSON object."""
    return {"end": course.end.value, "seconds": course.seconds, "canary_rows": course.canary_rows,
            "waited_seconds": course.waited_seconds, "stays": [asdict(stay) for stay in course.stays]}  # fmt: skip


def steps(plan: "Plan", found: "Estimate") -> str:
    """Return the table of the steps: how long, how many rows of the canary, and what opens the gate last."""
    from .words import ago, weight

    waited = ago(found.middle.waited_seconds)
    rows = [["STEP", "WEIGHT", "TIME", "OR UP TO", "CANARY ROWS", "WAITS FOR"],
            ["-", weight(0.0), waited, waited, "0", "stable's numbers"]]  # fmt: skip
    for index, stage in enumerate(plan.stages, start=1):
        name = str(index) if index <= len(plan.steps) else "bake"
        walked = {stay.step: stay for stay in found.middle.stays}.get(index)
        longest = {stay.step: stay for stay in found.slow.stays}.get(index)
        if walked is None:
            rows.append([name, weight(stage.weight), "not reached", "-", "-", "-"])
            continue
        up_to = ago(longest.seconds) if longest is not None else "not reached"
        waits = walked.waited_for + (", then a person" if stage.approval else "")
        rows.append([name, weight(stage.weight), ago(walked.seconds), up_to, f"{walked.canary_rows:,.0f}", waits])
    return columns(rows)


def finds(plan: "Plan", base: "FrozenNumbers", found: "Estimate") -> str:
    """Return the table of the smallest harm that would be found by the end of each step."""
    stays = found.middle.stays
    names = [f"STEP {stay.step}" if stay.step <= len(plan.steps) else "BAKE" for stay in stays]
    checks = {check.name: check for check in plan.analysis.checks}
    rows = [["FINDS BY THE END OF", *names]]
    rows += [[name, *(difference(checks[name], base, size) for size in sizes)] for name, sizes in found.detects.items()]
    return columns(rows)


def difference(check: "Check", base: "FrozenNumbers", shift: float) -> str:
    """Return an added mean loss in the words of its check."""
    from coalmine.policies.checks.metrics import bounds_of
    from coalmine.policies.wording import amount, percent, points

    if not math.isfinite(shift):
        return "nothing"
    if check.metric.is_event:
        return f"+{points(shift)}"
    worse = shift * check.margin / bounds_of(check, base).margin
    return f"+{percent(worse)} of the mean" if check.relative else f"+{amount(worse)}"


def bad(found: "Estimate") -> str:
    """Return the table of bad canaries and what they cost."""
    from .words import ago

    rows = [["IF THE CANARY IS BAD", "END", "AFTER", "CANARY ROWS", "IN STEP"]]
    for item in found.bad:
        ended = item.course
        after = ago(ended.seconds) if math.isfinite(ended.seconds) else "-"
        step = str(ended.stays[-1].step) if ended.stays else "-"
        rows.append([item.about, ended.end.value.replace("_", " "), after, f"about {ended.canary_rows:,.0f}", step])
    return columns(rows)


def conclusion(plan: "Plan", found: "Estimate") -> str:
    """Return how an attempt with a good canary will most likely end; both ends where both are plausible."""
    from coalmine.policies.planning.course import End

    from .words import ago

    deadline = ago(plan.analysis.deadline_ms / 1_000)
    middle, slow = found.middle, found.slow
    no_answer = f"no answer until the deadline of {deadline}, then {plan.analysis.on_insufficient.value}"
    if found.ends == (End.PROMOTED,):
        late = f", nine times of ten within {ago(slow.seconds)}" if slow.seconds > middle.seconds else ""
        return (f"a canary as good as stable: promoted after {ago(middle.seconds)}{late}, with "
                f"{middle.canary_rows:,.0f} requests answered by the canary")  # fmt: skip
    if found.ends == (End.INCONCLUSIVE,):
        return f"a canary as good as stable: {no_answer}"
    course = middle if middle.end is End.PROMOTED else found.quick
    promoted = f"promoted after {ago(course.seconds)}"
    first, second = (promoted, no_answer) if middle.end is End.PROMOTED else (no_answer, promoted)
    return f"a canary as good as stable: {first}; or {second}. Both are plausible"
