"""How long a plan takes and what it can find, before it starts: a walk through its steps at one pace. Pure.

Evidence of all steps counts for every margin, so parts of the way to a proof or to a rollback (`lanes`) add up over the
steps. There is no chance in a course; the two outer paces enclose eight of ten runs.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ..checks.compared import SEGMENT_STEPS, SEGMENT_TRAFFIC
from ..frozen.numbers import FrozenNumbers
from ..judging.freezing import LEAST_CALLS, LEAST_LABELS, LEAST_ROWS
from ..plan.plan import Plan, Step
from .lanes import MIXTURE_COST, Lane, Pace, Supply, lanes

__all__ = ["Course", "End", "Stay", "course", "detectable", "needed", "provable"]


class End(Enum):
    """How an attempt ends; `inconclusive`: the deadline came first, whatever the plan does then."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """The time in one step, in seconds, the canary's rows in it, and what it waited for: `hold`, `samples`, or
    the name of a check."""

    step: int
    weight: float
    seconds: float
    canary_rows: float
    waited_for: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A walk through the steps: how long stable's numbers take, each stay, and the end.

    `seconds` are those from the start to the end, infinite without traffic.
    """

    waited_seconds: float
    stays: tuple[Stay, ...]
    end: End

    @property
    def seconds(self) -> float:
        """The time from the start to the end."""
        return self.waited_seconds + sum(stay.seconds for stay in self.stays)

    @property
    def canary_rows(self) -> float:
        """The requests that the canary answers until the end."""
        return sum(stay.canary_rows for stay in self.stays)


def course(
    plan: Plan, base: FrozenNumbers, supply: Supply, pace: Pace = Pace.MIDDLE, shifts: Mapping[str, float] | None = None
) -> Course:
    """Return the walk of an attempt through the plan, whose canary adds `shifts` to the mean losses of checks."""
    every = plan.analysis.every_ms / 1_000
    if not supply.rows_per_second:
        return Course(waited_seconds=math.inf, stays=(), end=End.INCONCLUSIVE)
    waited = whole(numbers_seconds(plan, supply), every)
    walk = Walk(plan, lanes(plan, base, supply, shifts or {}), supply, pace, every)
    stays = tuple(walk.stays())
    return Course(waited_seconds=waited, stays=stays, end=walk.end)


def numbers_seconds(plan: Plan, supply: Supply) -> float:
    """Return how long stable must serve before its numbers can be frozen."""
    served = max(LEAST_ROWS, LEAST_CALLS * supply.rows_per_call) / supply.rows_per_second
    if all(check.metric.is_served for check in plan.analysis.checks):
        return served
    return max(served, LEAST_LABELS / supply.rows_per_second + supply.label_seconds)


def whole(seconds: float, every: float) -> float:
    """Return the first look at which so much time is over."""
    return math.ceil(seconds / every - 1e-9) * every if math.isfinite(seconds) else math.inf


@dataclass(slots=True)
class Walk:
    """A course while it is walked: the time at each share so far, and the logarithms against each loss."""

    plan: Plan
    lanes: Sequence[Lane]
    supply: Supply
    pace: Pace
    every: float
    spent: list[tuple[float, float]] = field(default_factory=list)
    against: dict[int, float] = field(default_factory=dict)
    end: End = End.PROMOTED

    def stays(self) -> Iterator[Stay]:
        """Yield the stay in each step until something ends the attempt."""
        left = self.plan.analysis.deadline_ms / 1_000
        for index, step in enumerate(self.plan.stages, start=1):
            share = step.weight / 100
            seconds, waited_for = self.gate(index, step)
            back = self.back(share)
            if back <= min(seconds, left):
                self.end = End.ROLLED_BACK
                yield self.stay(index, step, back, "rollback")
                return
            if seconds > left:
                self.end = End.INCONCLUSIVE
                yield self.stay(index, step, left, waited_for)
                return
            yield self.stay(index, step, seconds, waited_for)
            left -= seconds
            self.spent.append((share, seconds))
            for number, lane in enumerate(self.lanes):
                self.against[number] = self.against.get(number, 0.0) + lane.growth(share) * seconds

    def stay(self, index: int, step: Step, seconds: float, waited_for: str) -> Stay:
        """Return a stay of some seconds."""
        rows = self.supply.rows_per_second * step.weight / 100 * seconds
        return Stay(step=index, weight=step.weight, seconds=seconds, canary_rows=rows, waited_for=waited_for)

    def gate(self, index: int, step: Step) -> tuple[float, str]:
        """Return when the gate of a step opens, counted from its beginning, and what opens last."""
        share = step.weight / 100
        waits = {"hold": step.hold_ms / 1_000, "samples": step.samples / (self.supply.rows_per_second * share)}
        for lane in self.lanes:
            if self.is_gated(lane, index):
                need = max(self.proof(lane, share, step.margin_factor), self.confirmed(lane, share, step.margin_factor))
                need += self.supply.label_seconds if need and lane.is_labelled else 0.0
                waits[lane.check.name] = max(need, waits.get(lane.check.name, 0.0))
        last = max(waits, key=lambda name: waits[name])
        return max(whole(waits[last], self.every), self.every), last

    def is_gated(self, lane: Lane, index: int) -> bool:
        """Tell whether a loss must pass in a step: segments in the last ones, and none that is small."""
        if lane.measure.segment is None:
            return True
        return index > len(self.plan.stages) - SEGMENT_STEPS and lane.part >= SEGMENT_TRAFFIC

    def proof(self, lane: Lane, share: float, factor: float) -> float:
        """Return the time until a margin is proved, after what earlier steps brought."""
        margin = lane.bounds.loosened(factor)
        done = sum(seconds / lane.proof_seconds(before, margin, self.pace) for before, seconds in self.spent)
        return max(1.0 - done, 0.0) * lane.proof_seconds(share, margin, self.pace) if done < 1.0 else 0.0

    def confirmed(self, lane: Lane, share: float, factor: float) -> float:
        """Return the time until the variance between key buckets confirms a proof, 0 where it need not.

        A step counts once it has losses enough, by itself; the first that does makes the confirmation necessary.
        """
        if not lane.by_buckets:
            return 0.0
        margin = lane.bounds.loosened(factor)
        known = [(before, seconds) for before, seconds in self.spent if seconds >= lane.bucket_seconds(before)]
        if not known and lane.has_keys(share):
            return 0.0
        done = sum(seconds / lane.proof_seconds(before, margin, self.pace) for before, seconds in known)
        if done >= 1.0:
            return 0.0
        return max((1.0 - done) * lane.proof_seconds(share, margin, self.pace), lane.bucket_seconds(share))

    def back(self, share: float) -> float:
        """Return the time until the canary is taken back at a share, infinite if it never is."""
        times = [
            max(lane.log_bar * MIXTURE_COST - self.against.get(number, 0.0), 0.0) / lane.growth(share)
            + (self.supply.label_seconds if lane.is_labelled else 0.0)
            for number, lane in enumerate(self.lanes)
            if lane.growth(share) > 0.0
        ]
        return max(whole(min(times), self.every), self.every) if times else math.inf


def detectable(plan: Plan, base: FrozenNumbers, supply: Supply, walked: Course) -> dict[str, tuple[float, ...]]:
    """Return for each check the smallest added mean loss (0..1) that would be found by the end of each stay.

    Infinite where nothing would be.
    """
    names = list(dict.fromkeys(lane.check.name for lane in lanes(plan, base, supply, {})))
    return {
        name: tuple(
            smallest(plan, base, supply, name, walked.stays[: number + 1]) for number in range(len(walked.stays))
        )
        for name in names
    }


def smallest(plan: Plan, base: FrozenNumbers, supply: Supply, name: str, stays: Sequence[Stay]) -> float:
    """Return the smallest shift of a check that is found within some stays; by halving, to a thousandth of itself."""

    def is_found(shift: float) -> bool:
        return any(
            sum(lane.growth(stay.weight / 100) * stay.seconds for stay in stays) >= lane.log_bar * MIXTURE_COST
            for lane in lanes(plan, base, supply, {name: shift})
            if lane.check.name == name
        )

    return halved(is_found)


def needed(name: str, plan: Plan, base: FrozenNumbers, supply: Supply) -> tuple[float, float]:
    """Return the canary units that the margin of a check needs on the last stage, and those until the deadline.

    Both at the middle pace; of that loss of the check that needs longest.
    """
    share, own = plan.stages[-1].weight / 100, lanes_of(name, plan, base, supply)
    lane = max(own, key=lambda lane: lane.proof_seconds(share, lane.bounds.margin, Pace.MIDDLE))
    units = lane.units(share)[0]
    seconds = lane.proof_seconds(share, lane.bounds.margin, Pace.MIDDLE)
    return seconds * units, plan.analysis.deadline_ms / 1_000 * units


def provable(name: str, plan: Plan, base: FrozenNumbers, supply: Supply) -> float:
    """Return the smallest margin (0..1) of a check that the traffic can prove on the last stage until the deadline."""
    share, own = plan.stages[-1].weight / 100, lanes_of(name, plan, base, supply)
    deadline = plan.analysis.deadline_ms / 1_000
    return halved(lambda margin: all(lane.proof_seconds(share, margin, Pace.MIDDLE) <= deadline for lane in own))


def lanes_of(name: str, plan: Plan, base: FrozenNumbers, supply: Supply) -> list[Lane]:
    """Return the losses of one check that must pass on the last stage."""
    found = [lane for lane in lanes(plan, base, supply, {}) if lane.check.name == name]
    return [lane for lane in found if lane.part >= SEGMENT_TRAFFIC]


def halved(holds: Callable[[float], bool]) -> float:
    """Return the smallest number of 0..1 from which something holds, to a thousandth of itself; infinite: never."""
    low, high = 1e-6, 1.0
    if not holds(high):
        return math.inf
    while high > 1.001 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
