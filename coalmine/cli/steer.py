"""Commands that steer: each writes one command to the control topic, says what it did, then who obeys."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Name, NoWait, Reason, Yes
from .report import ask, steer, would_apply

if TYPE_CHECKING:
    from coalmine.policies import Command, State

__all__ = [
    "approve",
    "freeze",
    "pause",
    "promote",
    "resume",
    "retry",
    "rollback",
    "set_weight",
    "undo",
    "unfreeze",
]


def rollback(ctx: typer.Context, name: Name, reason: Reason = "", no_wait: NoWait = False) -> None:
    """Take the canary off all traffic at once; works in every phase and without an analyzer (alias: abort)."""
    from coalmine.policies import Rollback

    steer(ctx, name, lambda _: Rollback(rollout=name), reason, no_wait)


def pause(ctx: typer.Context, name: Name, reason: Reason = "", no_wait: NoWait = False) -> None:
    """Keep the weight; automation may only roll back."""
    from coalmine.policies import Pause

    steer(ctx, name, lambda _: Pause(rollout=name), reason, no_wait)


def resume(ctx: typer.Context, name: Name, reason: Reason = "", no_wait: NoWait = False) -> None:
    """Let automation go on."""
    from coalmine.policies import Resume

    steer(ctx, name, lambda _: Resume(rollout=name), reason, no_wait)


def promote(
    ctx: typer.Context,
    name: Name,
    full: Annotated[bool, typer.Option("--full", help="Skip all steps: the canary becomes stable now.")] = False,
    yes: Yes = False,
    reason: Reason = "",
    no_wait: NoWait = False,
) -> None:
    """Enter the next step, or end the rollout from the last one."""
    from coalmine.policies import Promote

    def make(state: "State") -> "Command":
        command = Promote(rollout=name, full=full, expected_revision=state.revision)
        if full and state.canary is not None and would_apply(state, command):
            ask(f"{state.canary.uri} becomes stable for all traffic of {name!r} now, without more evidence", yes)
        return command

    steer(ctx, name, make, reason, no_wait)


def approve(ctx: typer.Context, name: Name, reason: Reason = "", no_wait: NoWait = False) -> None:
    """Let a step that waits for a person go on."""
    from coalmine.policies import Approve

    steer(ctx, name, lambda state: Approve(rollout=name, expected_revision=state.revision), reason, no_wait)


def retry(ctx: typer.Context, name: Name, reason: Reason = "", no_wait: NoWait = False) -> None:
    """Begin a new attempt with the same canary."""
    from coalmine.policies import Retry

    steer(ctx, name, lambda state: Retry(rollout=name, expected_revision=state.revision), reason, no_wait)


def undo(
    ctx: typer.Context,
    name: Name,
    to_revision: Annotated[
        int | None, typer.Option("--to-revision", help="Bring back what was stable at this revision.")
    ] = None,
    reason: Reason = "",
    no_wait: NoWait = False,
) -> None:
    """Bring back the former stable model."""
    from coalmine.policies import Undo

    steer(
        ctx,
        name,
        lambda state: Undo(rollout=name, to_revision=to_revision, expected_revision=state.revision),
        reason,
        no_wait,
    )


def freeze(
    ctx: typer.Context,
    name: Name,
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="End by itself: a time (RFC 3339) or a duration such as 2h.")
    ] = "",
    reason: Reason = "",
    no_wait: NoWait = False,
) -> None:
    """Refuse every move upwards until a time or `unfreeze`; rollback always works."""
    from coalmine.policies import Freeze

    end = moment(until) if until else None
    steer(ctx, name, lambda _: Freeze(rollout=name, until=end), reason, no_wait)


def unfreeze(ctx: typer.Context, name: Name, reason: Reason = "", no_wait: NoWait = False) -> None:
    """End a freeze."""
    from coalmine.policies import Unfreeze

    steer(ctx, name, lambda _: Unfreeze(rollout=name), reason, no_wait)


def set_weight(
    ctx: typer.Context,
    name: Name,
    weight: Annotated[str, typer.Argument(metavar="WEIGHT", help="Percent with its sign, such as 25%.")],
    yes: Yes = False,
    reason: Reason = "",
    no_wait: NoWait = False,
) -> None:
    """Set the canary's weight by hand and pause automation until `resume`."""
    from coalmine.policies import SetWeight, next_step

    from ..rollout_file.units import percent
    from .words import weight as words

    try:
        wanted = percent(weight)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="WEIGHT") from error

    def make(state: "State") -> "Command":
        following = next_step(state)
        bound = state.plan.stages[following - 1].weight if state.plan is not None and following else None
        command = SetWeight(rollout=name, weight=wanted, expected_revision=state.revision)
        if bound is not None and wanted > bound and would_apply(state, command):
            ask(f"{words(wanted)} is above the next step of {name!r} ({words(bound)})", yes)
        return command

    steer(ctx, name, make, reason, no_wait)


def moment(written: str) -> datetime:
    """Return a time given as RFC 3339 or as a duration from now."""
    from ..rollout_file.units import duration_ms

    try:
        return datetime.now(UTC).replace(microsecond=0) + timedelta(milliseconds=duration_ms(written))
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(written)
    except ValueError as error:
        message = f"{written} is neither a time such as 2026-12-24T08:00Z nor a duration such as 2h"
        raise typer.BadParameter(message, param_hint="--until") from error
