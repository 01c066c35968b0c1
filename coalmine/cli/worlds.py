"""Flags that say what the traffic is like; `estimate` and `simulate` share them."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from coalmine.errors import CommandError

from ..suggest import did_you_mean

if TYPE_CHECKING:
    from coalmine.policies import Check, FrozenNumbers, Plan
    from coalmine.simulate import World

__all__ = [
    "Accuracy",
    "Base",
    "Errors",
    "Form",
    "FormOption",
    "Keys",
    "LabelDelay",
    "Rate",
    "Slow",
    "loss_of",
    "rate_words",
    "rows_per_second",
    "world_of",
    "world_words",
]

RATE = re.compile(r"(\d+(?:\.\d+)?) ?/ ?(ms|s|min|m|h|d)")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}

MOST_ROWS = 20_000.0
"""Requests a second beyond which a simulation would take hours and answer nothing new."""


class Form(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"


Errors = Annotated[
    str, typer.Option("--errors", metavar="PERCENT", help="Rows on which stable fails; 0.1% if not given.")
]
Slow = Annotated[str, typer.Option("--slow", metavar="PERCENT", help="Slow calls of stable; 1% if not given.")]
Accuracy = Annotated[str, typer.Option("--accuracy", metavar="PERCENT", help="Stable's accuracy; 90% if not given.")]
Base = Annotated[
    list[str],
    typer.Option(
        "--base", metavar="CHECK=VALUE", help="Stable's value in one check, as 10% or in its unit; repeatable."
    ),
]
Keys = Annotated[int, typer.Option("--keys", help="Different keys in the traffic.", min=1, max=1_000_000)]
LabelDelay = Annotated[
    str, typer.Option("--label-delay", metavar="DURATION", help="How long labels take, as 2h; 0s if not given.")
]
Rate = Annotated[str, typer.Option("--rate", metavar="N/s", help="Requests in scope: 50/s, 3000/min, 1/h.")]
FormOption = Annotated[Form, typer.Option("--output", "-o", help="Form of the result.")]


def rows_per_second(written: str) -> float:
    """Return requests a second, so 50.0 for `50/s`; raise BadParameter for anything else."""
    match = RATE.fullmatch(written.strip())
    if match is None:
        bare = re.fullmatch(r"\d+(\.\d+)?", written.strip())
        raise typer.BadParameter(f"{written} is not a rate; write {bare[0] if bare else 50}/s", param_hint="--rate")
    rate = float(match[1]) / SECONDS[match[2]]
    if rate > MOST_ROWS:
        raise typer.BadParameter(f"{written} is more than {MOST_ROWS:,.0f}/s; everything above is quicker still",
                                 param_hint="--rate")  # fmt: skip
    return rate


def share(written: str, flag: str) -> float:
    """Return a share 0..1 from a percentage; raise BadParameter for anything else."""
    from ..rollout_file.units import percent

    try:
        value = percent(written) / 100
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from error
    if value > 1:
        raise typer.BadParameter(f"{written} is more than 100%", param_hint=flag)
    return value


def world_of(
    plan: "Plan", rate: str, errors: str, slow: str, accuracy: str, base: Sequence[str], keys: int, label_delay: str
) -> "World":
    """Return the world of these flags in which both variants are equal."""
    from coalmine.policies import Metric
    from coalmine.simulate import World, base_of, rows_per_call

    from ..rollout_file.units import duration_ms

    rows = rows_per_second(rate)
    given = given_bases(plan, base)
    if accuracy:
        wrong = 1.0 - share(accuracy, "--accuracy")
        given = {**{c.name: wrong for c in plan.analysis.checks if c.metric is Metric.ACCURACY}, **given}
    rates = {"errors": share(errors, "--errors") if errors else None, "slow": share(slow, "--slow") if slow else None}
    try:
        delay_ms = duration_ms(label_delay)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--label-delay") from error
    numbers = base_of(plan, means=given, **{name: value for name, value in rates.items() if value is not None})
    return World(base=numbers, rows_per_second=rows, rows_per_call=rows_per_call(rows), keys=keys,
                 label_delay_ms=delay_ms)  # fmt: skip


def given_bases(plan: "Plan", written: Sequence[str]) -> dict[str, float]:
    """Return the mean losses (0..1) that `--base` gives, by check."""
    known = {check.name: check for check in plan.analysis.checks}
    found = {}
    for item in written:
        name, equals, value = item.partition("=")
        if not equals:
            raise typer.BadParameter(f"{item} is not CHECK=VALUE; write wrong=90% or brier=0.08", param_hint="--base")
        if name not in known:
            raise CommandError(f"--base: the file has no check {name!r}{did_you_mean(name, known)}")
        if known[name].metric.is_served:
            raise CommandError(f"--base: {name} is served, not labelled; use --errors or --slow")
        found[name] = loss_of(known[name], value)
    return found


def loss_of(check: "Check", written: str) -> float:
    """Return the mean loss 0..1 of a value in the words of its metric: an accuracy of `90%` is a loss of 0.1."""
    from coalmine.policies import Direction, Metric

    if check.metric.is_event:
        value = share(written, "--base")
        return 1.0 - value if check.metric is Metric.ACCURACY else value
    try:
        value = float(written) / check.scale
    except ValueError as error:
        raise typer.BadParameter(f"{written} is not a number; write {check.name}=0.08", param_hint="--base") from error
    loss = 1.0 - value if check.direction is Direction.DECREASE else value
    if not 0.0 < loss < 1.0:
        raise typer.BadParameter(f"{written} is not between 0 and {check.scale:g}", param_hint="--base")
    return loss


def rate_words(rows: float) -> str:
    """Return a rate for people, in the unit that shows it well.

    >>> rate_words(50.0), rate_words(0.01)
    ('50/s', '36/h')
    """
    if not rows:
        return "no traffic"
    for unit, seconds in (("s", 1.0), ("min", 60.0), ("h", 3_600.0)):
        if rows * seconds >= 1.0 or unit == "h":
            return f"{rows * seconds:.3g}/{unit}"
    raise AssertionError("the last unit takes everything")


def world_words(plan: "Plan", world: "World") -> str:
    """Return what is assumed of the traffic, in one line."""
    from coalmine.policies import By, Clock

    calls = "row by row" if world.rows_per_call == 1 else f"in calls of {world.rows_per_call}"
    keys = f", {world.keys:,} keys" if plan.routing.by is By.KEY else ""
    events = " of event time" if plan.analysis.clock is Clock.EVENT else ""
    base = base_words(plan, world.base)
    stable = f"; stable has {base}" if base else ""
    return f"assumed: {rate_words(world.rows_per_second)}{events} {calls}{keys}{stable}"


def base_words(plan: "Plan", base: "FrozenNumbers") -> str:
    """Return what stable loses in each check."""
    from coalmine.policies.checks.metrics import measures, shown

    found = [(check, measures(check, base)) for check in plan.analysis.checks]
    return ", ".join(f"{shown(check, taken[0].history.mean)} in {check.name}" for check, taken in found if taken)
