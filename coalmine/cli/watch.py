"""One rollout on the screen, again and again until Ctrl-C: drawn on a terminal, else a line or record a change."""

import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .options import Format
from .output import say, yaml_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from coalmine.streams.operator import Operator
    from coalmine.streams.wire.messages import Event, RolloutView

__all__ = ["RECENT", "following", "screen", "watch_lines", "watch_live", "watch_records"]

RECENT = 20
"""Events that are read for a screen; the last few are shown."""

REFRESH_SECONDS = 0.5
"""Pause between two drawings of the live view when nothing happens: times since go on."""


def screen(
    operator: "Operator", name: str, recent: "list[Event]", before: "RolloutView | None" = None
) -> "RenderableType":
    """Return the screen of a rollout as of the operator's picture; `before` is an earlier view, for rates."""
    from .view import rates, render

    now = operator.clock()
    view = operator.picture.view(name, now)
    return render(
        view,
        recent,
        plan=operator.picture.states[name].plan,
        now=datetime.fromtimestamp(now, UTC),
        requests_per_second=rates(before, view) if before is not None else None,
        judge_alive=operator.picture.has_judge(now),
    )


def watch_live(operator: "Operator", name: str) -> None:
    """Draw a rollout again and again until Ctrl-C."""
    from rich.console import Console
    from rich.live import Live

    recent = deque(operator.newest_events(name, RECENT), maxlen=RECENT)
    views = deque([operator.picture.view(name, operator.clock())], maxlen=2)
    drawn = 0.0
    with Live(screen(operator, name, list(recent)), console=Console(highlight=False), auto_refresh=False) as live:
        for arrived in operator.follow():
            mine = [event for event in arrived if event.rollout == name]
            recent.extend(mine)
            if (view := operator.picture.view(name, operator.clock())).time != views[-1].time:
                views.append(view)
            if mine or time.monotonic() - drawn >= REFRESH_SECONDS:
                live.update(screen(operator, name, list(recent), views[0]), refresh=True)
                drawn = time.monotonic()


def watch_lines(operator: "Operator", name: str) -> None:
    """Print a line for each change until Ctrl-C."""
    from .words import phase, weight

    for view in changes(operator, name):
        say(f"{view.time}  {phase(view.phase)[0]}  {weight(view.weight)}  {view.message}")


def watch_records(operator: "Operator", name: str, output: Format) -> None:
    """Print the record of each change until Ctrl-C: JSON one a line, YAML one a document."""
    import msgspec

    for view in changes(operator, name):
        say(msgspec.json.encode(view).decode() if output is Format.JSON else f"---\n{yaml_text(view)}")


def changes(operator: "Operator", name: str) -> "Iterator[RolloutView]":
    """Yield the view of a rollout now and whenever phase, weight, message or revision differ from the last one."""
    last: tuple[object, ...] = ()
    for _ in following(operator):
        view = operator.picture.view(name, operator.clock())
        shown = (view.phase, view.weight, view.message, view.revision)
        if shown != last:
            last = shown
            yield view


def following(operator: "Operator") -> "Iterator[list[Event]]":
    """Yield at once, then whatever comes in."""
    yield []
    for arrived in operator.follow():
        yield list(arrived)
