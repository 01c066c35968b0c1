"""What a rollout file may say and will surprise with: warnings, for the person who reviews it or is on call.

Each rule is a function from a plan to the places and sentences it has to tell; a sentence ends with what to do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from coalmine.policies import MINUTES_OF_A_DAY, Check, Clock, Day, Metric, OnInsufficient, Plan, Role, Window

from .differences import in_words
from .document import Path
from .units import format_duration, format_percent

__all__ = ["Advice", "advice", "not_yet", "too_short"]

LEAST_LAST_WEIGHT = 50.0
"""Percent below which the promotion is the largest jump of all: most of the traffic never met the canary."""

LARGEST_FIRST_WEIGHT = 25.0
"""Percent above which the first step is no small share any more."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Something that is allowed and will surprise: where it stands in the file, and what happens."""

    path: Path
    message: str


def advice(plan: Plan) -> list[Advice]:
    """Return everything there is to say about a plan."""
    return [found for rule in RULES for found in rule(plan)]


def too_short(plan: Plan) -> Iterator[Advice]:
    """Tell of a deadline that comes before the ramp can end. Under the clock of events nobody waits for it."""
    holds = sum(stage.hold_ms for stage in plan.stages)
    if plan.analysis.clock is Clock.WALL and holds > plan.analysis.deadline_ms:
        deadline, stages = (
            format_duration(plan.analysis.deadline_ms),
            "the steps and the bake" if plan.bake else "the steps",
        )
        message = f"{deadline} is over before the holds of {stages} ({format_duration(holds)})"
        yield Advice(("analysis", "deadline"), f"{message}; raise it or shorten the holds")


def not_yet(plan: Plan) -> Iterator[Advice]:
    """Tell of checks whose evidence this version does not gather: such a file can be read, but not run."""
    labelled = [check for check in plan.analysis.checks if not check.metric.is_served]
    if labelled:
        names = ", ".join(check.name for check in labelled)
        message = (
            f"this version joins no labels yet, which {names} {'needs' if len(labelled) == 1 else 'need'}: start and "
        )
        yield Advice(at(labelled[0]), message + "run refuse the file; remove what needs it, or keep it in a copy")


def at(check: Check, *key: str) -> Path:
    """Return where a check, or one of its keys, stands."""
    return ("analysis", "checks", check.name, *key)


def acting(plan: Plan) -> list[Check]:
    """Return the checks that can roll back."""
    return [check for check in plan.analysis.checks if check.role is Role.GUARDRAIL and not check.dry_run]


def nobody_guards(plan: Plan) -> Iterator[Advice]:
    """Tell of a plan that promotes whatever the checks say, and of one that does not watch errors."""
    guards = acting(plan)
    if not guards:
        yield Advice(
            ("analysis", "checks"),
            "no check can roll back, so the canary is promoted when the holds are over, whatever it does; "
            "make one a guardrail without dry_run",
        )
    elif not any(check.metric is Metric.ERROR_RATE for check in guards):
        yield Advice(("analysis", "checks"), "no guardrail watches error_rate: only the breaker sees a canary that "
                     "fails; add one")  # fmt: skip


def late_rollbacks(plan: Plan) -> Iterator[Advice]:
    """Tell of tolerances that leave nothing between what is rolled back and what is promoted."""
    for check in acting(plan):
        if check.tolerance == check.margin:
            half = in_words(check, check.margin / 2)
            message = f"as large as the margin, so the canary stays until it is shown to be worse by all of it; {half} "
            yield Advice(at(check, "tolerance"), message + "is the default")


def toothless_steps(plan: Plan) -> Iterator[Advice]:
    """Tell of margins that a step loosens until everything passes, and of a last step that does not claim them."""
    for index, step in enumerate(plan.steps):
        for check in acting(plan):
            widest = 1.0 if check.relative else check.scale
            if check.margin * step.margin_factor >= widest:
                message = f"{check.name} lets everything pass here: {in_words(check, check.margin)} times "
                yield Advice(("steps", index, "margin_factor"), f"{message}{step.margin_factor:g}; lower one of them")
    last = plan.stages[-1]
    if last.margin_factor > 1:
        message = f"the last step decides on the promotion with {last.margin_factor:g} times the margins; end at 1"
        yield Advice(("steps", len(plan.steps) - 1, "margin_factor"), message)


def jumps(plan: Plan) -> Iterator[Advice]:
    """Tell of a ramp that begins high or ends low."""
    first, last = plan.steps[0], plan.steps[-1]
    if first.weight > LARGEST_FIRST_WEIGHT:
        message = f"the first step gives {format_percent(first.weight)} to a model nobody has seen; begin lower"
        yield Advice(("steps", 0, "weight"), message)
    if last.weight < LEAST_LAST_WEIGHT and plan.bake is None:
        message = f"the promotion jumps from {format_percent(last.weight)} to all traffic; add a step of 50%"
        yield Advice(("steps", len(plan.steps) - 1, "weight"), message)


def blind_thresholds(plan: Plan) -> Iterator[Advice]:
    """Tell of slow calls that can never be seen: at the time-out they are faults."""
    for check in plan.analysis.checks:
        if check.slower_than_ms is not None and check.slower_than_ms >= plan.canary_timeout_ms:
            timeout = format_duration(plan.canary_timeout_ms)
            message = f"no canary call is ever slow: after canary_timeout ({timeout}) it is a fault; lower it"
            yield Advice(at(check, "slower_than"), message)


def closed_for_long(plan: Plan) -> Iterator[Advice]:
    """Tell of windows that are closed for longer than the deadline, where passing it has a consequence."""
    harmless = plan.analysis.on_insufficient is OnInsufficient.HOLD or plan.analysis.clock is Clock.EVENT
    if harmless or len({window.zone for window in plan.windows}) != 1:
        return
    closed_ms = longest_closed_ms(plan.windows)
    if closed_ms > plan.analysis.deadline_ms:
        does = "pauses" if plan.analysis.on_insufficient is OnInsufficient.PAUSE else "rolls back"
        message = f"they are closed for up to {format_duration(closed_ms)}, longer than analysis.deadline, which then "
        yield Advice(("windows",), f"{message}{does}; raise it or let on_insufficient hold")


def longest_closed_ms(windows: tuple[Window, ...]) -> int:
    """Return the longest time in a week without an open window; all are of one zone."""
    days = list(Day)
    spans = sorted(
        (
            days.index(day) * MINUTES_OF_A_DAY + window.opens_minute,
            days.index(day) * MINUTES_OF_A_DAY + window.closes_minute,
        )
        for window in windows
        for day in window.days
    )
    reached = max(end for _, end in spans) - len(days) * MINUTES_OF_A_DAY
    longest = 0
    for begin, end in spans:
        longest, reached = max(longest, begin - reached), max(reached, end)
    return longest * 60_000


def names_at_odds(plan: Plan) -> Iterator[Advice]:
    """Tell of keys on both lists, and of a canary that is the stable model."""
    for index, name in enumerate(plan.routing.allow):
        if name in plan.routing.deny:
            yield Advice(("routing", "allow", index), f"{name} is denied too, and deny wins; remove one")
    if plan.canary is not None and plan.canary.uri == plan.stable.uri:
        yield Advice(("canary", "uri"), "the canary is the stable model; name the new version")


RULES: tuple[Callable[[Plan], Iterator[Advice]], ...] = (
    not_yet,
    too_short,
    nobody_guards,
    late_rollbacks,
    toothless_steps,
    jumps,
    blind_thresholds,
    closed_for_long,
    names_at_odds,
)
"""Every rule, in the order of how much it matters."""
