"""How long a plan takes and what it can find, before it starts: closed formulas over base rates and traffic. Pure.

Promotion. The fixed-size test (5 % one-sided, power 80 %) that knows the variance s^2 of a loss needs
n = 6.18 s^2 (1 + w / (1 - w)) / margin^2 canary units at the share w; the sequential test needs 1.4 n on average and
2.7 n in nine cases of ten, and some 5 / margin units even where nothing ever varies, for no bet exceeds 0.6
(measured with `stats.bernstein`: 0 to 10 % events, shares of 1 to 50 %). Evidence of all steps counts for every margin,
so parts of the way to a proof add up over the steps.

Rollback. The e-value of a test grows by its expected logarithm per unit; the canary goes when that reaches
ln(1 / alpha), plus what the checks cost each other that share one alpha.

A course is the walk through the steps at one pace: no chance in it, the two outer paces enclose eight of ten runs.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from .checks import SEGMENT_STEPS, SEGMENT_TRAFFIC
from .comparison import worse_test
from .frozen import LEAST_CALLS, LEAST_ROWS
from .gates import weights
from .metrics import Bounds, Measure, Unit, bounds_of, measures
from .plan import By, Check, FrozenNumbers, Plan, Role, Step
from .reading import BUCKET_EVENTS, VARIANT_KEYS
from .scorecard import OTHER
from .stats.bernstein import BET_HIGHEST, BET_LOWEST
from .stats.block import BlockTest
from .stats.rate_ratio import RateRatio

__all__ = ["Course", "End", "Pace", "Stay", "Supply", "course", "detectable", "needed", "provable"]

FIXED_SIZE = 6.18
"""(z(0.95) + z(0.80))^2 of the fixed-size test."""

BETS = np.geomspace(BET_LOWEST, BET_HIGHEST, 60)

MIXTURE_COST = 1.5
"""By how much a mixture over effects needs more than the test that knows the effect, in logarithms."""


class Pace(Enum):
    """How lucky a course is: multiples of the fixed size, and of 1 / margin, until a promotion."""

    QUICK = (0.3, 4.0)
    """One run of ten is quicker."""
    MIDDLE = (1.4, 4.5)
    """The mean."""
    SLOW = (2.7, 5.0)
    """One run of ten is slower."""


class End(Enum):
    """How a course ends."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """The traffic in scope: rows a second, rows in one call, effective number of keys, and the shares of segments."""

    rows_per_second: float
    rows_per_call: int = 1
    keys: float = math.inf
    segments: Mapping[str, float] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One loss of one check: `shift` is what the canary adds to its mean, `log_bar` the logarithm for a rollback."""

    check: Check
    measure: Measure
    bounds: Bounds
    shift: float
    log_bar: float
    supply: Supply
    keyed: bool

    @property
    def part(self) -> float:
        """The share of the rows that this loss is taken of: that of its segment."""
        if self.measure.segment is None:
            return 1.0
        return self.supply.segments.get(self.measure.segment, 0.0)

    def units(self, share: float) -> tuple[float, float]:
        """Return the units of canary and stable a second at a share of 0..1 of the rows."""
        rows = self.supply.rows_per_second
        if self.measure.unit is Unit.ROWS:
            return rows * share * self.part, rows * (1.0 - share) * self.part
        size = self.supply.rows_per_call
        calls = rows / size
        return calls * (1.0 - (1.0 - share) ** size), calls * (1.0 - share**size)

    def variances(self) -> tuple[float, float]:
        """Return the variance of a loss of the canary and of stable."""
        history = self.measure.history
        if not self.check.metric.is_event:
            return history.variance, history.variance
        worse = min(max(history.mean + self.shift, 0.0), 1.0)
        return worse * (1.0 - worse), history.mean * (1.0 - history.mean)

    def proof_seconds(self, share: float, margin: float, pace: Pace) -> float:
        """Return the time at one share until the canary is shown not to be worse by `margin`."""
        canary, stable = self.units(share)
        left = margin - self.shift
        if left <= 0.0 or not canary or not stable:
            return math.inf
        ours, theirs = self.variances()
        fixed = FIXED_SIZE * (ours + theirs * canary / stable) / left**2
        sizes, bets = pace.value
        return (sizes * fixed + bets / left) / canary

    @property
    def by_buckets(self) -> bool:
        """Whether sticky keys make the variance between key buckets count, too."""
        return self.keyed and self.measure.unit is Unit.ROWS

    def has_keys(self, share: float) -> bool:
        """Tell whether each variant has keys enough to pass without the variance between buckets."""
        return self.supply.keys * min(share, 1.0 - share) >= VARIANT_KEYS

    def bucket_seconds(self, share: float) -> float:
        """Return the time at one share until its losses show how keys cluster."""
        square = self.measure.history.mean**2 + self.variances()[1]
        losses = square * max(self.units(share))
        return BUCKET_EVENTS / losses if losses else math.inf

    def growth(self, share: float) -> float:
        """Return by how much ln E of "not worse by more than the tolerance" grows a second; at least 0."""
        canary, stable = self.units(share)
        beyond = self.shift - self.bounds.tolerance
        if beyond <= 0.0 or not canary or not stable:
            return 0.0
        share = canary / (canary + stable)
        base = min(max(self.measure.history.mean, 1e-6), 1.0 - 1e-6)
        test = worse_test(self.check.metric.is_event, self.bounds, base, 1)
        worse = min(base + self.shift, 1.0 - 1e-9)
        if isinstance(test, RateRatio) or (self.keyed and self.measure.has_keys and not self.bounds.tolerance):
            return max(rate_ratio_growth(share, base, worse), 0.0) * (canary + stable)
        if isinstance(test, BlockTest):
            return block_growth(share, base, worse) * (canary + stable)
        return bernstein_growth(share, base, self.shift, beyond, self.variances()) * (canary + stable)


def rate_ratio_growth(share: float, base: float, worse: float) -> float:
    """Return the mean of ln E a unit of both arms in the conditional rate-ratio test that knows the ratio."""
    ratio = worse / base
    pool = math.log1p(share * (ratio - 1.0))
    return share * worse * (math.log(ratio) - pool) - (1.0 - share) * base * pool


def block_growth(share: float, base: float, worse: float) -> float:
    """Return the mean of ln E a unit of both arms in the block test that knows both rates."""
    pooled = share * worse + (1.0 - share) * base
    return share * divergence(worse, pooled) + (1.0 - share) * divergence(base, pooled)


def divergence(p: float, q: float) -> float:
    """Return the Kullback-Leibler divergence of two Bernoulli variables, 0 < p, q < 1."""
    return p * math.log(p / q) + (1.0 - p) * math.log((1.0 - p) / (1.0 - q))


def bernstein_growth(share: float, centre: float, shift: float, beyond: float, variances: tuple[float, float]) -> float:
    """Return the mean of ln E a unit of both arms in the empirical-Bernstein test, with the best of its bets."""
    ours, theirs = variances
    cap = max(centre / share, (1.0 - centre) / (1.0 - share))
    square = (ours + shift**2) / share + theirs / (1.0 - share)
    gains = BETS / cap * beyond - (-np.log1p(-BETS) - BETS) * square / cap**2
    return max(float(gains.max()), 0.0)


def lanes(plan: Plan, base: FrozenNumbers, supply: Supply, shifts: Mapping[str, float]) -> list[Lane]:
    """Return every loss that can roll back or must pass; `shifts` maps names of checks to added mean loss (0..1).

    A shift of the error rate hits rows, not calls.
    """
    acting = [check for check in plan.analysis.checks if check.role is Role.GUARDRAIL and not check.dry_run]
    found = []
    for check, weight in zip(acting, weights(acting), strict=True):
        taken = [m for m in measures(check, base) if m.segment != OTHER]
        log_bar = math.log(len(taken) / (weight * plan.analysis.alpha))
        for index, measure in enumerate(taken):
            hit = index == 0 or measure.segment is not None
            found.append(Lane(check=check, measure=measure, bounds=bounds_of(check, base),
                              shift=shifts.get(check.name, 0.0) if hit else 0.0, log_bar=log_bar, supply=supply,
                              keyed=plan.routing.by is By.KEY))  # fmt: skip
    return found


def course(
    plan: Plan, base: FrozenNumbers, supply: Supply, pace: Pace = Pace.MIDDLE, shifts: Mapping[str, float] | None = None
) -> Course:
    """Return the walk of an attempt through the plan, whose canary adds `shifts` to the mean losses of checks."""
    every = plan.analysis.every_ms / 1_000
    if not supply.rows_per_second:
        return Course(waited_seconds=math.inf, stays=(), end=End.INCONCLUSIVE)
    waited = whole(max(LEAST_ROWS, LEAST_CALLS * supply.rows_per_call) / supply.rows_per_second, every)
    walk = Walk(plan, lanes(plan, base, supply, shifts or {}), supply, pace, every)
    stays = tuple(walk.stays())
    return Course(waited_seconds=waited, stays=stays, end=walk.end)


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
                waits[lane.check.name] = max(need, waits.get(lane.check.name, 0.0))
        last = max(waits, key=lambda name: waits[name])
        return max(whole(waits[last], self.every), self.every), last

    def is_gated(self, lane: Lane, index: int) -> bool:
        """Tell whether a loss must pass in a step: segments in the last ones, and none that is small."""
        if lane.measure.segment is None:
            return True
        return index > len(self.plan.steps) - SEGMENT_STEPS and lane.part >= SEGMENT_TRAFFIC

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

    low, high = 1e-6, 1.0
    if not is_found(high):
        return math.inf
    while high > 1.001 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if is_found(middle) else (middle, high)
    return high


def needed(lane_check: str, plan: Plan, base: FrozenNumbers, supply: Supply) -> tuple[float, float]:
    """Return the canary units that the margin of a check needs on the last step, and those until the deadline.

    Both at the middle pace; of the unit of the check that needs longest.
    """
    share = plan.stages[-1].weight / 100
    deadline = plan.analysis.deadline_ms / 1_000
    own = [lane for lane in lanes(plan, base, supply, {}) if lane.check.name == lane_check]
    lane = max(own, key=lambda lane: lane.proof_seconds(share, lane.bounds.margin, Pace.MIDDLE))
    units = lane.units(share)[0]
    return lane.proof_seconds(share, lane.bounds.margin, Pace.MIDDLE) * units, deadline * units


def provable(lane_check: str, plan: Plan, base: FrozenNumbers, supply: Supply) -> float:
    """Return the smallest margin (0..1) of a check that the traffic can prove on the last step until the deadline."""
    share = plan.stages[-1].weight / 100
    deadline = plan.analysis.deadline_ms / 1_000
    own = [lane for lane in lanes(plan, base, supply, {}) if lane.check.name == lane_check]
    low, high = 1e-6, 1.0
    while high > 1.001 * low:
        middle = math.sqrt(low * high)
        proved = all(lane.proof_seconds(share, middle, Pace.MIDDLE) <= deadline for lane in own)
        low, high = (low, middle) if proved else (middle, high)
    return high
