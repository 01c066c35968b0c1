"""The command that begins an attempt: it brings the plan and names the canary by its content."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coalmine.errors import CommandError, ModelError

from .options import Name, NoWait, Reason, Yes, connect, settings_of
from .output import note
from .report import ask, report, signed

if TYPE_CHECKING:
    from coalmine.policies import ModelRef, Plan, Reference, State
    from coalmine.streams.operator import Operator

__all__ = ["start"]


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

    from ..rollout_file import load, require_runnable

    plan, file_digest = load(file) if file is not None else (None, "")
    if plan is not None:
        if plan.name != name:
            raise CommandError(f"{file} is the file of {plan.name!r}; type `coalmine start {plan.name} --file {file}`")
        require_runnable(plan, str(file))
    root = settings_of(ctx).models.root
    model = canary_of(plan, canary, digest, root)
    with connect(ctx) as operator:
        state = operator.look(name).states.get(name, initial(name))
        if plan is None and state.plan is None:
            raise CommandError(f"{name!r} has no attempt yet; the first one needs the rollout file: add --file FILE")
        refuse_mixed_stable(operator, name)
        announce(plan or state.plan, yes)
        foretell(operator, plan or state.plan, state, yes)
        command = Start(
            rollout=name,
            canary=model,
            file=plan and replace(plan, stable=resolved(plan.stable, root)),
            file_digest=file_digest,
            replace=replace_attempt,
            references=references_of(plan or state.plan, model, root),
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


def references_of(plan: "Plan | None", canary: "ModelRef", root: Path) -> "tuple[Reference, ...]":
    """Return how the features of the canary were distributed when it was trained, if a check asks for it.

    Says so where the package has no such histograms, or cannot be read here: the check has no data then.
    """
    from coalmine.models.store import read
    from coalmine.policies import Metric, Reference, fitting

    asking = [check.name for check in plan.analysis.checks if check.metric is Metric.FEATURE_DRIFT] if plan else []
    if not asking:
        return ()
    try:
        features = read(canary.uri, canary.digest, root).manifest.features
    except ModelError as error:
        note(f"warning: check {asking[0]} will have no data, for the package of the canary is not read here: {error}")
        return ()
    known = [(feature.name, feature.histogram) for feature in features if feature.histogram is not None]
    references = []
    for name, seen in known:
        try:
            references.append(
                Reference(name=name, counts=seen.counts, edges=seen.edges, categories=seen.categories,
                          other=seen.other, missing=seen.missing)
            )  # fmt: skip
        except ValueError as error:
            note(f"warning: check {asking[0]} leaves out feature {name[:40]}: {error}")
    if not known:
        note(f"warning: check {asking[0]} will have no data: pack {canary.uri} with `reference`, rows of its training")
    held = fitting(references)
    if len(held) < len(known):
        note(f"warning: check {asking[0]} watches the first {len(held)} of {len(known)} features, which fill its room")
    return held


def resolved(model: "ModelRef", root: Path) -> "ModelRef":
    """Return stable's reference with name, version and digest if its package can be read here, else as it is."""
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
    """Say how long the plan takes at least and what will surprise; ask if it cannot end before its deadline."""
    from ..rollout_file import unreachable, warnings
    from .words import ago, plural, weight

    assert plan is not None
    holds = sum(stage.hold_ms for stage in plan.stages) / 1000
    ramp = ", ".join(weight(step.weight) for step in plan.steps)
    bake = f" and a bake ({weight(plan.bake.weight)})" if plan.bake else ""
    note(f"plan: {plural(len(plan.steps), 'step')} ({ramp}){bake}, at least {ago(holds)} to the promotion")
    too_short = unreachable(plan)
    for warning in warnings(plan):
        if warning in too_short:
            ask(warning, yes)
        else:
            note(f"warning: {warning}")


def foretell(operator: "Operator", plan: "Plan | None", state: "State", yes: bool) -> None:
    """Print what may be expected at the rate of the requests now; ask if the attempt will not end in time.

    Says nothing where there is no traffic yet, or where the time that counts is that of the events.
    """
    from coalmine.policies import Clock
    from coalmine.policies.planning.course import End
    from coalmine.policies.planning.estimate import estimate
    from coalmine.simulate import World, base_like, rows_per_call

    from .estimate import conclusion
    from .worlds import rate_words

    assert plan is not None
    rows = operator.rate(plan.topics.requests)
    if not rows or plan.analysis.clock is Clock.EVENT:
        return
    world = World(base=base_like(plan, state.frozen), rows_per_second=rows, rows_per_call=rows_per_call(rows))
    found = estimate(plan, world.base, world.supply)
    note(f"estimate at {rate_words(rows)}: {conclusion(plan, found)}")
    for warning in found.warnings:
        note(f"warning: {warning}")
    if found.ends == (End.INCONCLUSIVE,):
        ask("at this rate the attempt will not end before its deadline", yes)
