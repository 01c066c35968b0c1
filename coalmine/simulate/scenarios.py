"""The stories that a plan is tried on, by name: what the canary does worse, or what happens to both variants.

A scenario whose variants are equal must not be taken back; the others say what they must not be.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from coalmine.errors import CommandError
from coalmine.policies import Check, Metric, Plan, Role
from coalmine.policies.checks.metrics import bounds_of

from ..suggest import did_you_mean
from .world import Harm, World

__all__ = ["NAMES", "USUAL", "Scenario", "chosen"]

CRASH = 0.05
"""Share of rows that a crashing canary fails on besides the others."""

SLOWDOWN = 0.20
"""Share of calls that are slow besides the others."""

SUBGROUP, SUBGROUP_LOSS = "small", 0.15
"""The segment that is worse in scenario `subgroup` (6.5 % of the traffic), and by how much."""

RELIEF = 0.02
"""By how much all other segments are better there: the total is better by 0.9 points."""

MOVED = 0.20
"""Share of the canary's predictions that are of another kind in scenario `moved`."""

CALLS_LOST, CALLS_SLOW = 0.01, 0.05
"""Shares of calls that fail whole and that are slow in scenario `clustered`."""

GROWTH, DOUBLING = 6.0, 2.0
"""Factors by which all rates rise in scenario `common`, with the weight, and `rising`, with time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A story: its name, what happens in words, the world, and whether the canary is as good as stable."""

    name: str
    about: str
    world: World
    equal: bool


Teller = Callable[[Plan, World], Iterator[Scenario]]


def chosen(names: Sequence[str], plan: Plan, world: World, *, skip: bool = False) -> list[Scenario]:
    """Return the scenarios with these names in the order of `NAMES`; `worse:errors` is one check of `worse`.

    Raises CommandError for a name that is none, and, unless told to `skip` them, for stories that do not fit the plan.
    """
    known = {scenario.name: scenario for teller in NAMES.values() for scenario in teller(plan, world)}
    wanted: list[Scenario] = []
    for name in names:
        found = [scenario for full, scenario in known.items() if name in (full, full.partition(":")[0])]
        if not found:
            choice = ", ".join(dict.fromkeys(full.partition(":")[0] for full in known))
            if name in NAMES and skip:
                continue
            if name in NAMES:
                raise CommandError(f"scenario {name} needs a check that this file does not have; choose from {choice}")
            meant = did_you_mean(name, known)
            raise CommandError(f"there is no scenario {name!r}{meant or ''}; choose from {choice}")
        wanted += [scenario for scenario in found if scenario not in wanted]
    order = list(known)
    return sorted(wanted, key=lambda scenario: order.index(scenario.name))


def equal(plan: Plan, world: World) -> Iterator[Scenario]:
    """Tell of two models that are the same."""
    yield Scenario(name="equal", about="identical models", world=world, equal=True)


def by_margin(name: str, factor: float) -> Teller:
    """Return the story of a canary that is worse by a multiple of the margin, in one guardrail after the other."""

    def tell(plan: Plan, world: World) -> Iterator[Scenario]:
        for check in guardrails(plan):
            harm = harm_in(check, factor * bounds_of(check, world.base).margin)
            about = f"{check.name} {said(check, factor * check.margin)}"
            yield Scenario(name=f"{name}:{check.name}", about=about, world=replace(world, harm=harm), equal=False)

    return tell


def guardrails(plan: Plan) -> list[Check]:
    """Return the checks that can roll back."""
    return [check for check in plan.analysis.checks if check.role is Role.GUARDRAIL and not check.dry_run]


def harm_in(check: Check, extra: float) -> Harm:
    """Return the harm of `extra` more mean loss in one check; by segment, in one of 6.5 % of the traffic."""
    segment = SUBGROUP if check.segment_by is not None else None
    if check.metric is Metric.SLOW_RATE:
        return Harm(slow=extra)
    if check.metric in (Metric.ERROR_RATE, Metric.ERROR_CODE):
        return Harm(errors=extra, segment=segment)
    if check.metric is Metric.PREDICTION_DRIFT:
        return Harm(moved=extra)
    return Harm(losses={check.name: extra}, segment=segment)


def said(check: Check, difference: float) -> str:
    """Return in words by how much a check is worse."""
    where = " in one segment" if check.segment_by is not None else ""
    if check.relative:
        return f"worse by {100 * difference:.3g} % of stable's mean{where}"
    return (
        f"worse by {100 * difference:.3g} pp{where}" if check.metric.is_event else f"worse by {difference:.3g}{where}"
    )


def crash(plan: Plan, world: World) -> Iterator[Scenario]:
    """Tell of a canary that fails on some rows."""
    yield Scenario(name="crash", about=f"canary fails on {100 * CRASH:.0f} % more rows", equal=False,
                   world=replace(world, harm=Harm(errors=CRASH)))  # fmt: skip


def slow(plan: Plan, world: World) -> Iterator[Scenario]:
    """Tell of a canary that is slow in some calls."""
    yield Scenario(name="slow", about=f"{100 * SLOWDOWN:.0f} % more of the canary's calls are slow", equal=False,
                   world=replace(world, harm=Harm(slow=SLOWDOWN)))  # fmt: skip


def clustered(plan: Plan, world: World) -> Iterator[Scenario]:
    """Tell of two equal models whose calls fail and lag as a whole, in bursts."""
    slow_rates = dict.fromkeys(world.base.slow_rates, CALLS_SLOW)
    base = replace(world.base, call_error_rate=CALLS_LOST, slow_rates=slow_rates)
    about = "identical models, whole calls fail (1 %) and lag (5 %), in bursts"
    rows = max(world.rows_per_call, 20)
    yield Scenario(name="clustered", about=about, equal=True,
                   world=replace(world, base=base, burst=0.7, rows_per_call=rows))  # fmt: skip


def drift(plan: Plan, world: World) -> Iterator[Scenario]:
    """Tell of two equal models whose rates wander."""
    yield Scenario(name="drift", about="identical models, all rates wander by a factor of 2 each way", equal=True,
                   world=replace(world, wave=0.7, burst=0.2))  # fmt: skip


def common(plan: Plan, world: World) -> Iterator[Scenario]:
    """Tell of two equal models whose rates rise with the weight: what pooling over a ramp takes for harm."""
    yield Scenario(name="common", about=f"identical models, all rates rise {GROWTH:.0f}-fold with the ramp", equal=True,
                   world=replace(world, growth=GROWTH))  # fmt: skip


def rising(plan: Plan, world: World) -> Iterator[Scenario]:
    """Tell of two equal models whose rates double while the ramp goes on."""
    yield Scenario(name="rising", about="identical models, all rates double over the holds of the ramp", equal=True,
                   world=replace(world, growth=DOUBLING, growth_ms=holds_ms(plan)))  # fmt: skip


def hot_keys(plan: Plan, world: World) -> Iterator[Scenario]:
    """Tell of two equal models and a few keys that make much of the traffic and fail always."""
    about = "identical models, 3,000 keys of Pareto 1.5 traffic, half of the errors from keys that always fail"
    yield Scenario(name="hot-keys", about=about, equal=True,
                   world=replace(world, keys=min(world.keys, 3_000), tail=1.5, sticky=0.5))  # fmt: skip


def subgroup(plan: Plan, world: World) -> Iterator[Scenario]:
    """Tell of a canary that is better in all and much worse for a few; needs a check with labels."""
    losses = {check.name: SUBGROUP_LOSS for check in plan.analysis.checks if not check.metric.is_served}
    if not losses:
        return
    harm = Harm(losses=losses, segment=SUBGROUP, elsewhere=-RELIEF)
    about = f"{100 * SUBGROUP_LOSS:.0f} points worse for 6.5 % of the traffic, {100 * RELIEF:.0f} better for the rest"
    yield Scenario(name="subgroup", about=about, world=replace(world, harm=harm), equal=False)


def moved(plan: Plan, world: World) -> Iterator[Scenario]:
    """Tell of a canary that predicts something else; needs a check on predictions."""
    if any(check.metric is Metric.PREDICTION_DRIFT for check in plan.analysis.checks):
        about = f"{100 * MOVED:.0f} % of the canary's predictions are of a kind stable never makes"
        yield Scenario(name="moved", about=about, world=replace(world, harm=Harm(moved=MOVED)), equal=False)


def late(plan: Plan, world: World) -> Iterator[Scenario]:
    """Tell of a canary that begins to fail when half of the holds are over."""
    since_ms = holds_ms(plan) // 2
    about = f"canary fails on {100 * CRASH:.0f} % more rows once half of the holds are over"
    yield Scenario(name="late", about=about, world=replace(world, harm=Harm(errors=CRASH, since_ms=since_ms)),
                   equal=False)  # fmt: skip


def holds_ms(plan: Plan) -> int:
    """Return the time a ramp takes at least."""
    return max(sum(step.hold_ms for step in plan.stages), plan.analysis.every_ms)


NAMES: Mapping[str, Teller] = {
    "equal": equal,
    "half": by_margin("half", 0.5),
    "worse": by_margin("worse", 1.0),
    "twice": by_margin("twice", 2.0),
    "crash": crash,
    "slow": slow,
    "clustered": clustered,
    "drift": drift,
    "common": common,
    "rising": rising,
    "hot-keys": hot_keys,
    "subgroup": subgroup,
    "moved": moved,
    "late": late,
}
"""What there is to tell."""

USUAL = ("equal", "worse", "twice", "crash", "slow")
"""What is told when nothing is asked for."""
