"""How fast one loss of a check is proved harmless or found worse by given traffic: closed formulas. Pure.

Promotion. The fixed-size test (5 % one-sided, power 80 %) that knows the variance s^2 of a loss needs
n = 6.18 s^2 (1 + w / (1 - w)) / margin^2 canary units at the share w; the sequential test needs 1.4 n on average and
2.7 n in nine cases of ten, and some 5 / margin units even where nothing ever varies, for no bet exceeds 0.6
(measured with `stats.bernstein`: 0 to 10 % events, shares of 1 to 50 %).

Rollback. The e-value of a test grows by its expected logarithm per unit; the canary goes when that reaches
ln(1 / alpha), plus what the checks cost each other that share one alpha.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from ..checks.comparison import worse_test
from ..checks.metrics import Bounds, Measure, Unit, bounds_of, measures
from ..checks.reading import BUCKET_EVENTS, VARIANT_KEYS
from ..frozen.numbers import FrozenNumbers
from ..judging.gates import weights
from ..plan.plan import By, Check, Plan, Role
from ..scorecard.sums import OTHER
from ..stats.bernstein import BET_HIGHEST, BET_LOWEST
from ..stats.block import BlockTest
from ..stats.rate_ratio import RateRatio

__all__ = ["MIXTURE_COST", "Lane", "Pace", "Supply", "lanes"]

FIXED_SIZE = 6.18
"""(z(0.95) + z(0.80))^2 of the fixed-size test."""

BETS = np.geomspace(BET_LOWEST, BET_HIGHEST, 60)

MIXTURE_COST = 1.5
"""By how much a mixture over effects, asked look by look, needs more than a test that knows the effect (measured:
1.3 to 1.7 from the margin to fifty times the base rate)."""


class Pace(Enum):
    """How lucky a course is: multiples of the fixed size, and of 1 / margin, until a promotion."""

    QUICK = (0.3, 4.0)
    """One run of ten is quicker."""
    MIDDLE = (1.4, 4.5)
    """The mean."""
    SLOW = (2.7, 5.0)
    """One run of ten is slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """The traffic in scope: rows a second, rows in one call, effective number of keys, and the shares of segments.

    Labels come `label_seconds` after the request.
    """

    rows_per_second: float
    rows_per_call: int = 1
    keys: float = math.inf
    segments: Mapping[str, float] = field(default_factory=dict)
    label_seconds: float = 0.0


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

    @property
    def is_labelled(self) -> bool:
        """Whether the loss waits for labels."""
        return not self.check.metric.is_served

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
        if not taken:
            continue
        if not taken:
            continue  # the drift of predictions has a test of its own, which no closed formula foretells
        log_bar = math.log(len(taken) / (weight * plan.analysis.alpha))
        for index, measure in enumerate(taken):
            hit = index == 0 or measure.segment is not None
            found.append(Lane(check=check, measure=measure, bounds=bounds_of(check, base),
                              shift=shifts.get(check.name, 0.0) if hit else 0.0, log_bar=log_bar, supply=supply,
                              keyed=plan.routing.by is By.KEY))  # fmt: skip
    return found
