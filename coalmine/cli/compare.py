"""The commands that set a rollout file beside something else: diff (another file, or what runs), schema."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coalmine.errors import CommandError

from .options import connect, known_state
from .output import columns, document, say

if TYPE_CHECKING:
    from coalmine.policies import Plan, State
    from coalmine.rollout_file.changes import Change

__all__ = ["diff", "schema"]


class Form(StrEnum):
    """How differences are printed."""

    TEXT = "text"
    JSON = "json"


def diff(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rollout file.", show_default=False)],
    other: Annotated[
        Path | None,
        typer.Argument(
            metavar="OTHER", help="What FILE becomes; without it: what runs becomes FILE.", show_default=False
        ),
    ] = None,
    output: Annotated[Form, typer.Option("--output", "-o", help="Form of the output.")] = Form.TEXT,
) -> None:
    """Show what differs between two rollout files, or between the rollout that runs and a file."""
    from ..rollout_file import load
    from ..rollout_file.changes import changes

    plan, _ = load(file)
    if other is not None:
        found, sides, hint = changes(plan, load(other)[0]), f"{file} -> {other}", ""
    else:
        state = state_of(ctx, plan.name)
        found, sides, hint = (
            changes(planned(state, plan), plan),
            f"{standing(state)} -> {file}",
            next_start(state, file),
        )
    if output is Form.JSON:
        say(document([{**asdict(change), "needs": change.needs.name.lower()} for change in found]))
    else:
        say("\n".join(report(found, sides, hint)))


def state_of(ctx: typer.Context, name: str) -> "State":
    """Return the state of a rollout that has a plan."""
    with connect(ctx) as operator:
        state = known_state(operator, name)
    if state.plan is None:
        raise CommandError(f"no attempt of {name!r} was ever on; begin with `coalmine start {name} --file FILE`")
    return state


def planned(state: "State", file: "Plan") -> "Plan":
    """Return the plan of a state with the canary that was named at the start, if the file names one to compare."""
    from dataclasses import replace

    assert state.plan is not None
    return replace(state.plan, canary=state.canary or state.plan.canary if file.canary else None)


def standing(state: "State") -> str:
    """Return how it stands with a rollout, for the head of a comparison."""
    from .words import weight

    phase = state.phase.value.replace("_", " ")
    if state.phase.has_attempt:
        return f"{state.rollout} as it runs (attempt {state.attempt}, {phase}, {weight(state.weight)})"
    return f"{state.rollout} as it ran last (attempt {state.attempt}, {phase})"


def next_start(state: "State", file: Path) -> str:
    """Return the command that begins an attempt with a file."""
    replacing = " --replace" if state.phase.has_attempt else ""
    return f", begun by `coalmine start {state.rollout} --file {file}{replacing}`"


def report(found: "list[Change]", sides: str, hint: str) -> list[str]:
    """Return differences as lines, under what they take; `hint` is how a new attempt begins."""
    from ..rollout_file.changes import Needs
    from .words import plural

    if not found:
        return [f"{sides}: no difference"]
    lines = [f"{sides}: {plural(len(found), 'difference')}"]
    for needs in dict.fromkeys(change.needs for change in found):
        rows = [["", *cells(change)] for change in found if change.needs is needs]
        lines += ["", f"needs {needs.value}{hint if needs is Needs.ATTEMPT else ''}", columns(rows)]
    return lines


def cells(change: "Change") -> list[str]:
    """Return a difference as cells: what happened, where, and the values."""
    if change.before is None:
        return ["+", change.path, change.after or ""]
    if change.after is None:
        return ["-", change.path, change.before]
    return ["~", change.path, f"{change.before} -> {change.after}"]


def schema() -> None:
    """Print the JSON Schema of rollout files, for editors."""
    from ..rollout_file.json_schema import json_schema

    say(document(json_schema()))
