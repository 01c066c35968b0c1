"""Commands that look at the state: get, wait, explain. They change nothing."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from coalmine.errors import CommandError

from ..suggest import did_you_mean
from .exits import Exit
from .options import Format, Name, Output, connect, known_state
from .output import columns, document, is_terminal, note, say, show, yaml_text
from .watch import RECENT, following, screen, watch_lines, watch_live, watch_records

if TYPE_CHECKING:
    from coalmine.streams.operator import Operator
    from coalmine.streams.wire.messages import RolloutView

__all__ = ["explain", "get", "wait"]

ENDS = {"promoted": Exit.DONE, "rolled_back": Exit.ROLLED_BACK}
WAITS_FOR_A_PERSON = frozenset({"paused", "awaiting_approval"})


def get(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Rollout to show; without it all are listed.")] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep watching until Ctrl-C.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show one rollout, or list all of them."""
    if watch and not name:
        raise typer.BadParameter("name the rollout to watch", param_hint="NAME")
    with connect(ctx) as operator:
        if not name:
            show_list(operator, output)
            return
        known_state(operator, name)
        operator.look(name)
        if not watch:
            show_one(operator, name, output)
            return
        if output in (Format.JSON, Format.YAML):
            watch_records(operator, name, output)
        elif is_terminal():
            watch_live(operator, name)
        else:
            watch_lines(operator, name)


def show_list(operator: "Operator", output: Format) -> None:
    """Print all rollouts."""
    picture = operator.look()
    views = [picture.view(name, operator.clock()) for name in sorted(picture.states)]
    if output in (Format.JSON, Format.YAML):
        say(document(views) if output is Format.JSON else yaml_text(views))
    elif views:
        say(columns(list(list_rows(views, wide=output is Format.WIDE))))
    else:
        say("no rollouts yet: begin one with `coalmine start NAME --canary URI --file FILE`")


def list_rows(views: "list[RolloutView]", wide: bool) -> Iterator[list[str]]:
    """Yield the header and a row for each rollout."""
    from .words import phase, weight

    extra = ["REVISION", "ATTEMPT", "ACTUAL", "WORKERS", "STABLE", "CANARY"] if wide else []
    yield ["NAME", "PHASE", "WEIGHT", "STEP", *extra, "MESSAGE"]
    for view in views:
        step = "-" if view.step is None else f"{view.step.index}/{view.step.of}"
        if view.step is not None and view.step.index > view.step.of:
            step = "bake"
        row = [view.rollout, phase(view.phase)[0], weight(view.weight), step]
        if wide:
            row += [
                str(view.revision),
                "-" if view.attempt is None else str(view.attempt),
                weight(round(view.actual_weight, 2)),
                f"{view.workers.ready}/{view.workers.of}" if view.workers else "-",
                view.stable.uri if view.stable else "-",
                view.canary.uri if view.canary else "-",
            ]
        yield [*row, view.message]


def show_one(operator: "Operator", name: str, output: Format) -> None:
    """Print one rollout."""
    view = operator.picture.view(name, operator.clock())
    if output in (Format.JSON, Format.YAML):
        say(document(view) if output is Format.JSON else yaml_text(view))
        return
    show(screen(operator, name, operator.newest_events(name, RECENT)))


def wait(
    ctx: typer.Context,
    name: Name,
    timeout: Annotated[str, typer.Option("--timeout", "-t", metavar="DURATION", help="Give up after this.")] = "10m",
) -> None:
    """Wait for the end of the attempt: 0 promoted, 3 rolled back, 4 timed out, 5 needs a person."""
    from ..rollout_file.units import duration_ms

    try:
        seconds = duration_ms(timeout) / 1000
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from error
    with connect(ctx) as operator:
        state = known_state(operator, name)
        operator.look(name)
        if state.attempt is None:
            raise CommandError(f"no attempt of {name!r} is on; begin one with `coalmine start {name} --canary URI`")
        ending = wait_for_end(operator, name, seconds)
        view = operator.picture.view(name, operator.clock())
    say(f"rollout {name!r} {view.phase.replace('_', ' ')}: {view.message}")
    if ending is Exit.TIMED_OUT:
        note(f"still {view.phase.replace('_', ' ')} after {timeout}; see `coalmine explain {name}`")
    raise typer.Exit(ending)


def wait_for_end(operator: "Operator", name: str, seconds: float) -> Exit:
    """Return how the attempt that is on ended, or that a person is needed, or that the time is over."""
    deadline = time.monotonic() + seconds
    last_look = operator.newest_look(name)
    inconclusive = last_look is not None and last_look.verdict == "inconclusive"
    for arrived in following(operator):
        phase = operator.picture.states[name].phase.value
        inconclusive |= any(
            event.rollout == name and event.kind == "verdict" and event.reason.startswith("inconclusive")
            for event in arrived
        )
        if phase in ENDS:
            return ENDS[phase]
        if phase in WAITS_FOR_A_PERSON or inconclusive:
            return Exit.NEEDS_A_PERSON
        if time.monotonic() >= deadline:
            break
    return Exit.TIMED_OUT


def explain(
    ctx: typer.Context,
    name: Name,
    check: Annotated[str, typer.Argument(metavar="CHECK", help="Only this check.")] = "",
) -> None:
    """Say why a rollout moves or does not: samples, intervals, e-values, what it waits for."""
    from .findings import explain as words

    with connect(ctx) as operator:
        state = known_state(operator, name)
        operator.look(name)
        now = operator.clock()
        view = operator.picture.view(name, now)
        names = [finding.check for finding in view.findings]
        if check and check not in names:
            raise CommandError(
                f"{name!r} has no finding for check {check!r}{did_you_mean(check, names)}; {hint(names)}"
            )
        say(words(view, operator.newest_look(name), state.plan, datetime.fromtimestamp(now, UTC), check))
        if state.phase.has_attempt and not operator.picture.has_judge(now):
            note("no analyzer is alive: automatic decisions are off; start `coalmine run FILE --role analyze`")


def hint(checks: list[str]) -> str:
    """Return which checks have findings."""
    return f"there are: {', '.join(checks)}" if checks else "no check has been evaluated in this attempt yet"
