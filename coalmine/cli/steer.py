"""Commands that steer: each writes one command to the control topic, says what it did, then who obeys."""

import getpass
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coalmine.errors import CommandError

from .look import known_state
from .options import Name, NoWait, Reason, Yes, connect, settings_of
from .output import note, say

if TYPE_CHECKING:
    from coalmine.policies import Command, ModelRef, Plan, State
    from coalmine.streams.control import Folded
    from coalmine.streams.operator import Operator

__all__ = [
    "approve",
    "freeze",
    "pause",
    "promote",
    "resume",
    "retry",
    "rollback",
    "set_weight",
    "start",
    "undo",
    "unfreeze",
]

CONFIRM_SECONDS = 10.0
"""How long a change waits to hear that the workers have read it; they say so every 2 s."""

Make = Callable[["State"], "Command"]
"""From the state that was looked at to the command."""


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
        bound = state.plan.steps[following - 1].weight if state.plan is not None and following else None
        command = SetWeight(rollout=name, weight=wanted, expected_revision=state.revision)
        if bound is not None and wanted > bound and would_apply(state, command):
            ask(f"{words(wanted)} is above the next step of {name!r} ({words(bound)})", yes)
        return command

    steer(ctx, name, make, reason, no_wait)


def start(
    ctx: typer.Context,
    name: Name,
    canary: Annotated[str, typer.Option("--canary", metavar="URI", help="Model package of the canary.")] = "",
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Rollout file; needed for the first attempt.")
    ] = None,
    digest: Annotated[
        str, typer.Option("--digest", help="Digest of the canary; without it the package is read here to find it.")
    ] = "",
    replace_attempt: Annotated[bool, typer.Option("--replace", help="Also while an attempt is on.")] = False,
    yes: Yes = False,
    reason: Reason = "",
    no_wait: NoWait = False,
) -> None:
    """Begin a new attempt with a canary."""
    from coalmine.policies import Start, initial

    from ..rollout_file import load

    plan, file_digest = load(file) if file is not None else (None, "")
    if plan is not None and plan.name != name:
        raise CommandError(f"{file} is the file of {plan.name!r}; type `coalmine start {plan.name} --file {file}`")
    root = settings_of(ctx).models.root
    model = canary_of(plan, canary, digest, root)
    with connect(ctx) as operator:
        state = operator.look(name).states.get(name, initial(name))
        if plan is None and state.plan is None:
            raise CommandError(f"{name!r} has no attempt yet; the first one needs the rollout file: add --file FILE")
        refuse_mixed_stable(operator, name)
        announce(plan or state.plan, yes)
        command = Start(
            rollout=name,
            canary=model,
            file=plan and replace(plan, stable=resolved(plan.stable, root)),
            file_digest=file_digest,
            replace=replace_attempt,
            expected_revision=state.revision or None,
        )
        report(operator, operator.send(signed(command, reason)), no_wait)


def canary_of(plan: "Plan | None", uri: str, digest: str, root: Path) -> "ModelRef":
    """Return the canary with its digest, from the flags or the file; both given must agree."""
    from coalmine.models.store import read
    from coalmine.policies import ModelRef

    filed = plan.canary if plan is not None else None
    if not uri and filed is None:
        raise CommandError("no canary is named: add --canary URI, or write `canary: {uri: URI}` into the file")
    if uri and filed is not None and filed.uri != uri:
        raise CommandError(f"--canary says {uri}, the file says {filed.uri}; drop one of them")
    address = uri or (filed.uri if filed else "")
    wanted = digest or (filed.digest if filed else "")
    if digest:
        return ModelRef(uri=address, digest=digest)
    package = read(address, wanted, root)
    return ModelRef(uri=address, digest=package.digest, name=package.manifest.name, version=package.manifest.version)


def resolved(model: "ModelRef", root: Path) -> "ModelRef":
    """Return stable's reference with name, version and digest if its package can be read here, else as it is."""
    from coalmine.errors import ModelError
    from coalmine.models.store import read
    from coalmine.policies import ModelRef

    try:
        package = read(model.uri, model.digest, root)
    except ModelError:
        return model
    return ModelRef(uri=model.uri, digest=package.digest, name=package.manifest.name, version=package.manifest.version)


def refuse_mixed_stable(operator: "Operator", name: str) -> None:
    """Raise CommandError while the workers do not all serve the same stable model."""
    serving: dict[str, list[str]] = {}
    for beat in operator.picture.workers_of(name, operator.clock()):
        for model in beat.models.get(name, []):
            if model.role == "stable" and model.digest:
                serving.setdefault(model.digest, []).append(beat.worker)
    if len(serving) > 1:
        who = "; ".join(f"{', '.join(workers)}: {digest[:19]}" for digest, workers in serving.items())
        raise CommandError(f"the workers of {name!r} serve different stable models ({who}); restart the stale ones")


def announce(plan: "Plan | None", yes: bool) -> None:
    """Say how long the plan takes at least, and ask if it cannot end before its deadline."""
    from ..rollout_file import warnings
    from .words import ago, plural, weight

    assert plan is not None
    holds = sum(step.hold_ms for step in plan.steps) / 1000
    ramp = ", ".join(weight(step.weight) for step in plan.steps)
    note(f"plan: {plural(len(plan.steps), 'step')} ({ramp}), at least {ago(holds)} to the promotion")
    for warning in warnings(plan):
        ask(warning, yes)


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
