"""The command that tells what happened."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Format, Output, connect
from .output import note, say, yaml_text

if TYPE_CHECKING:
    from coalmine.streams.wire.messages import Event

__all__ = ["events"]

EVERY = 1_000_000
"""More events than are ever read: the age alone limits them."""


def events(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Only this rollout.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option("--since", metavar="DURATION", help="Not older than this, e.g. 1h.")] = "",
    count: Annotated[int, typer.Option("--tail", "-n", min=1, help="At most this many of the past.")] = 50,
    output: Output = Format.TABLE,
) -> None:
    """Show what happened: results of commands, changes of phase and verdict."""
    from ..rollout_file.units import duration_ms

    try:
        span = timedelta(milliseconds=duration_ms(since)) if since else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from error
    with connect(ctx) as operator:
        operator.fold()
        oldest = datetime.fromtimestamp(operator.clock(), UTC) - span if span else None
        past = operator.newest_events(name or None, count if span is None else EVERY, oldest)
        if not past and not follow:
            note("no events; the analyzer writes them, see `coalmine run FILE --role analyze`")
        for event in past:
            say(event_line(event, output))
        for arrived in operator.follow() if follow else ():
            for event in arrived:
                if name in ("", event.rollout):
                    say(event_line(event, output))


def event_line(event: "Event", output: Format) -> str:
    """Return an event as one line: words, or its record."""
    import msgspec

    from .view import event_words
    from .words import weight

    if output is Format.JSON:
        return msgspec.json.encode(event).decode()
    if output is Format.YAML:
        return f"---\n{yaml_text(event)}"
    issuer = f" by {event.issued_by}" if event.issued_by else ""
    where = f"revision {event.revision}, {weight(event.weight)}"
    return f"{event.time}  {event.rollout}  {event_words(event)}{issuer}  ({where})  {event.reason}"
