"""Where a rollout stands on its ramp: predicates of a state that routing, the table and the judge share."""

from ..plan.plan import Plan
from .state import State

__all__ = [
    "FOREVER_MS",
    "is_bake",
    "is_frozen",
    "is_last_step",
    "next_step",
    "receives_traffic",
    "stage_name",
    "step_at",
]

FOREVER_MS = 253_402_300_799_000
"""The end of a freeze without `until`: the last second of the year 9999, which every date type can show."""


def step_at(plan: Plan | None, weight: float) -> int:
    """Return the index (1..n, n+1 for the bake) of the last step whose weight is at most `weight` percent, or 0.

    So a weight set by hand between two steps belongs to the lower one, and the next step is the first with a higher
    weight.
    """
    return 0 if plan is None else sum(step.weight <= weight for step in plan.stages)


def next_step(state: State) -> int | None:
    """Return the index of the step after the current one, None at the end or where there is no ramp."""
    if state.plan is None or state.undoing or not state.phase.has_attempt:
        return None
    return state.step + 1 if state.step < len(state.plan.stages) else None


def is_bake(plan: Plan, step: int) -> bool:
    """Tell whether the index of a step is that of the bake, which follows the last one."""
    return step > len(plan.steps)


def stage_name(plan: Plan, step: int) -> str:
    """Return what people call a step (1..n+1) of a plan."""
    return "the bake" if is_bake(plan, step) else f"step {step} of {len(plan.steps)}"


def is_last_step(state: State) -> bool:
    """Tell whether an attempt is on whose next move up is its promotion; an undo has no steps before it."""
    return state.phase.has_attempt and next_step(state) is None


def receives_traffic(state: State) -> bool:
    """Tell whether the canary answers anybody: no list or rule brings a row to a canary of weight 0."""
    return state.canary is not None and state.phase.has_attempt and state.weight > 0


def is_frozen(state: State, ms: int) -> bool:
    """Tell whether a freeze is on at `ms` (append time, epoch ms)."""
    return state.freeze_until_ms is not None and ms < state.freeze_until_ms
