"""Commands on rollout files: lint, show. They talk to nobody."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coalmine.errors import CoalmineError, Problem, RolloutFileError

from .exits import Exit
from .group import fail
from .options import Files
from .output import columns, document, note, say

if TYPE_CHECKING:
    from coalmine.policies import Check, Plan

__all__ = ["Report", "lint", "show"]


class Report(StrEnum):
    """How `lint` reports."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def lint(
    files: Files,
    output: Annotated[Report, typer.Option("--output", "-o", help="Form of the report.")] = Report.TEXT,
) -> None:
    """Check rollout files; every error with its place. Ends with 1 when there is any; warnings do not count."""
    from ..rollout_file import review

    problems: list[Problem] = []
    failed = False
    for file in files:
        try:
            reviewed = review(file)
        except RolloutFileError as error:
            problems += error.problems
            if output is Report.TEXT:
                fail(error)
        except CoalmineError as error:
            failed = True
            fail(error)
        else:
            problems += reviewed.warnings
            if output is Report.TEXT:
                for warning in reviewed.warnings:
                    note(str(warning))
                say(f"{file}: {reviewed.plan.name} is valid")
    if output is Report.JSON:
        say(document([asdict(problem) for problem in problems]))
    if output is Report.GITHUB:
        for problem in problems:
            say(annotation(problem))
    if failed or any(problem.severity == "error" for problem in problems):
        raise typer.Exit(Exit.FAILED)


def annotation(problem: Problem) -> str:
    """Return a problem in the form that GitHub shows beside the line."""
    text = f"{problem.path}: {problem.message}" if problem.path else problem.message
    file = problem.file.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    place = f"file={file},line={problem.line},col={problem.column}"
    return f"::{problem.severity} {place}::{text.replace('%', '%25')}"


def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rollout file.", show_default=False)],
    full: Annotated[bool, typer.Option("--full", help="The whole file with every default written out.")] = False,
) -> None:
    """Show what a rollout file means."""
    from ..rollout_file import load, warnings, write

    plan, digest = load(file)
    if full:
        say(write(plan).rstrip("\n"))
    else:
        say("\n".join(summary(plan, digest)))
    for warning in warnings(plan):
        note(f"warning: {warning}")


def summary(plan: "Plan", digest: str) -> list[str]:
    """Return a rollout file in a few lines for a person."""
    from .words import ago

    steps = [["STEP", "WEIGHT", "HOLD", "SAMPLES", "MARGINS", "APPROVAL"]]
    steps += [step_row(plan, index) for index in range(1, len(plan.stages) + 1)]
    checks = [
        ["CHECK", "METRIC", "ROLE", "MARGIN", "TOLERANCE", "LIMIT"],
        *(check_row(c) for c in plan.analysis.checks),
    ]
    analysis = plan.analysis
    return [
        f"{plan.name}: {plan.description}" if plan.description else plan.name,
        f"stable {plan.stable.uri}, canary {plan.canary.uri if plan.canary else 'named at `coalmine start`'}",
        f"reads {plan.topics.requests}, answers on {plan.topics.predictions}, by {plan.routing.by.value}",
        "",
        columns(steps),
        *ending(plan),
        "",
        columns(checks),
        "",
        f"looks every {ago(analysis.every_ms / 1000)} ({analysis.clock.value} clock), alpha {analysis.alpha:g}, "
        f"deadline {ago(analysis.deadline_ms / 1000)}, then {analysis.on_insufficient.value}",
        f"a canary call may take {plan.canary_timeout_ms} ms; breaker {'on' if plan.breaker else 'off'}",
        digest,
    ]


def step_row(plan: "Plan", index: int) -> list[str]:
    """Return a step, or the bake, as cells."""
    from coalmine.policies import is_bake

    from .words import ago, weight

    step = plan.stages[index - 1]
    name = "bake" if is_bake(plan, index) else str(index)
    hold, approval = ago(step.hold_ms / 1000), "a person" if step.approval else "-"
    return [name, weight(step.weight), hold, str(step.samples), f"x{step.margin_factor:g}", approval]


def ending(plan: "Plan") -> list[str]:
    """Return how the ramp ends and when it may move, where that is not the usual."""
    from coalmine.policies import OnSuccess

    from ..rollout_file.windows import in_words

    lines = ["then a person decides about the promotion"] if plan.on_success is OnSuccess.APPROVAL else []
    if plan.windows:
        lines.append(f"automation moves up {', or '.join(in_words(window) for window in plan.windows)} only")
    return lines


def check_row(check: "Check") -> list[str]:
    """Return a check as cells."""
    from coalmine.policies.wording import percent

    from ..rollout_file.differences import in_words

    metric = check.own or (check.metric.value if check.code is None else f"{check.metric.value} {check.code}")
    if check.slower_than_ms is not None:
        metric += f" over {check.slower_than_ms:g} ms"
    if check.field is not None:
        better = "lower" if check.direction.value == "increase" else "higher"
        metric += f" of {check.field}, {better} is better"
    if check.segment_by is not None:
        metric += f" by {check.segment_by}"
    role = check.role.value + (" (dry run)" if check.dry_run else "")
    limit = "-" if check.limit is None else percent(check.limit)
    bounds = (
        ["-", "-"]
        if check.metric.has_only_a_limit
        else [in_words(check, check.margin), in_words(check, check.tolerance)]
    )
    return [check.name, metric, role, *bounds, limit]
