"""Commands on topics: plan shows what is missing or wrong, apply does it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .exits import Exit
from .options import Files, settings_of
from .output import columns, note, say

if TYPE_CHECKING:
    from coalmine.streams.kafka.admin import Admin, Change

__all__ = ["topics"]

DEFAULT_PARTITIONS = 4
"""Partitions of topics that are created where no `requests` topic says how many: room for four workers."""

MARKS = {"create": "+", "alter": "~", "keep": "=", "conflict": "!"}

Partitions = Annotated[
    int, typer.Option("--partitions", min=1, help="Partitions of new topics; an existing requests topic decides.")
]

topics = typer.Typer(no_args_is_help=True, help="Create and check the topics of rollouts.")


@topics.command()
def plan(ctx: typer.Context, files: Files, partitions: Partitions = DEFAULT_PARTITIONS) -> None:
    """Show what `apply` would do; ends with 1 when a topic cannot be used as it is."""
    _, changes = compared(ctx, files, partitions)
    show(changes)
    refuse_conflicts(changes)


@topics.command()
def apply(ctx: typer.Context, files: Files, partitions: Partitions = DEFAULT_PARTITIONS) -> None:
    """Create what is missing and correct settings; partitions and your own topics are never changed."""
    admin, changes = compared(ctx, files, partitions)
    show(changes)
    admin.apply(changes)
    refuse_conflicts(changes)
    done = sum(change.action.value in ("create", "alter") for change in changes)
    say(f"{done} of {len(changes)} topics changed")


def compared(ctx: typer.Context, files: Sequence[Path], partitions: int) -> "tuple[Admin, list[Change]]":
    """Return the client and what has to be done for the rollouts in `files`."""
    from coalmine.streams.kafka.admin import Admin, compare, specs_for
    from coalmine.streams.kafka.client import KafkaSettings
    from coalmine.streams.kafka.topics import NamespaceTopics

    from ..rollout_file import load

    settings = settings_of(ctx)
    plans = [load(file)[0] for file in files]
    admin = Admin(KafkaSettings(settings.kafka))
    found = admin.find({name for plan in plans for name in (plan.topics.requests,)})
    specs = specs_for(NamespaceTopics(settings.namespace), plans, found, partitions)
    users = frozenset(name for plan in plans for name in (plan.topics.requests, plan.topics.feedback))
    return admin, compare(specs, admin.find([spec.name for spec in specs]), users)


def show(changes: "Sequence[Change]") -> None:
    """Print a line for each topic."""
    say(
        columns(
            [[MARKS[change.action.value], change.action.value, change.spec.name, change.detail] for change in changes]
        )
    )


def refuse_conflicts(changes: "Sequence[Change]") -> None:
    """End with 1 when a topic is in the way."""
    conflicts = [change.spec.name for change in changes if change.action.value == "conflict"]
    if conflicts:
        note(f"error: {', '.join(conflicts)} cannot be used as it is; see the lines with !")
        raise typer.Exit(Exit.FAILED)
