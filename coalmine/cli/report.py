"""Sending one command: what it did by our own fold, then who obeys. The rest of every command that steers."""

import getpass
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from coalmine.errors import CommandError

from .options import connect, known_state
from .output import note, say

if TYPE_CHECKING:
    from coalmine.policies import Command, State
    from coalmine.streams.control.fold import Folded
    from coalmine.streams.operator import Operator

__all__ = ["ask", "report", "signed", "steer", "would_apply"]

CONFIRM_SECONDS = 10.0
"""How long a change waits to hear that the workers have read it; they say so every 2 s."""

Make = Callable[["State"], "Command"]
"""From the state that was looked at to the command."""


def would_apply(state: "State", command: "Command") -> bool:
    """Tell whether a command would be applied now: nobody should be asked about one that is refused anyway."""
    from coalmine.policies import Applied, At, advance

    at = At(state.control_offset + 1, int(datetime.now(UTC).timestamp() * 1_000))
    _, effects = advance(state, signed(command, ""), at)
    return any(isinstance(effect, Applied) for effect in effects)


def ask(risk: str, yes: bool) -> None:
    """Ask a person to confirm; without a terminal only `--yes` does."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{risk}; add --yes to go on")
    if not typer.confirm(f"{risk}. Go on?", err=True):
        raise CommandError("nothing was sent; type the command again when you are sure")


def steer(ctx: typer.Context, name: str, make: Make, reason: str, no_wait: bool) -> None:
    """Look at the rollout, send the command made for its state, and report."""
    with connect(ctx) as operator:
        state = known_state(operator, name)
        report(operator, operator.send(signed(make(state), reason)), no_wait)


def signed(command: "Command", reason: str) -> "Command":
    """Return the command with its time, issuer and reason."""
    return replace(
        command,
        issued_by=f"operator:{getpass.getuser()}",
        reason=reason,
        time=datetime.now(UTC),
    )


def report(operator: "Operator", folded: "Folded", no_wait: bool) -> None:
    """Print what a command did by our own fold, then who obeys; end with 1 when it was refused."""
    from coalmine.policies import Refusal

    state, [effect] = folded.after, folded.effects
    assert state is not None, "what was sent is a command"
    if isinstance(effect, Refusal):
        raise CommandError(f"{effect.verb.replace('_', ' ')} refused: {effect.reason}")
    say(f"rollout {state.rollout!r} {did(effect.verb, state)} (revision {state.revision})")
    if effect.verb not in ("rollback", "pause", "resume", "unfreeze"):
        say(effect.message)
    operator.read_heartbeats()
    obedience(operator, state, folded.at.offset, no_wait)
    if not operator.picture.has_judge(operator.clock()):
        note("no analyzer is alive: automatic decisions are off; start `coalmine run FILE --role analyze`")


def did(verb: str, state: "State") -> str:
    """Return what a command has done, in the past tense."""
    from .words import DONE, weight

    if verb == "set_weight":
        return f"set to {weight(state.weight)}"
    if verb in ("promote", "approve") and state.phase.value == "baking":
        return "moved into the bake"
    if verb in ("promote", "approve") and state.phase.value != "promoted":
        return "moved to the next step"
    return "promoted" if verb == "approve" else DONE[verb]


def obedience(operator: "Operator", state: "State", offset: int, no_wait: bool) -> None:
    """Print what the traffic gets now and which workers have confirmed it; laggards are named."""
    from .words import plural, weight

    gets = f"canary gets {weight(state.weight)}"
    if no_wait:
        say(f"{gets}; not waiting for the workers")
        return
    confirmation = operator.confirm(state.rollout, offset, CONFIRM_SECONDS)
    of = len(confirmation.confirmed) + len(confirmation.laggards)
    if not of:
        say(f"{gets}, but no worker of {state.rollout!r} is alive: it holds from their start on")
        return
    say(f"{gets}, confirmed by {len(confirmation.confirmed)} of {plural(of, 'worker')}")
    for beat in confirmation.laggards:
        seen = f"last heartbeat {beat.time}, control offset {beat.control_offset}"
        note(f"not confirmed: {beat.worker} on {beat.host} ({seen})")
