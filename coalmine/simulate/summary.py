"""What many runs of a scenario come to, with the error that chance leaves in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from coalmine.policies.planning.course import End

from .play import Run

__all__ = ["Share", "Spread", "Summary", "summary"]


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the runs did something, and the 95 % interval of the true share (Clopper & Pearson, 1934)."""

    count: int
    of: int

    @property
    def share(self) -> float:
        """The share of the runs, 0..1."""
        return self.count / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """The interval that holds the true share with 95 %.

        >>> low, high = Share(0, 100).interval
        >>> low, round(high, 3)
        (0.0, 0.036)
        """
        below = float(betaincinv(self.count, self.of - self.count + 1, 0.025)) if self.count else 0.0
        above = float(betaincinv(self.count + 1, self.of - self.count, 0.975)) if self.count < self.of else 1.0
        return below, above


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean with its standard error, median and 90 % quantile; all nan of nothing, the error nan of one value."""

    mean: float
    error: float
    p50: float
    p90: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of values."""
        if not values:
            return cls(math.nan, math.nan, math.nan, math.nan)
        found = np.array(values, dtype=np.float64)
        error = float(found.std(ddof=1)) / math.sqrt(len(found)) if len(found) > 1 else math.nan
        return cls(float(found.mean()), error, float(np.quantile(found, 0.5)), float(np.quantile(found, 0.9)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All runs of one scenario.

    `exposure` are the canary's rows of the runs that were rolled back, `rollback_seconds` and `promotion_seconds` the
    time from the start of the attempt to that end. `reason` is what the last look of the commonest end said.
    """

    promoted: Share
    rolled_back: Share
    inconclusive: Share
    exposure: Spread
    rollback_seconds: Spread
    promotion_seconds: Spread
    reason: str


def summary(runs: Sequence[Run]) -> Summary:
    """Return what the runs of a scenario come to; at least one."""
    by_end = {ended: [run for run in runs if run.ended is ended] for ended in End}
    back, up = by_end[End.ROLLED_BACK], by_end[End.PROMOTED]
    commonest = max(by_end.values(), key=len)
    return Summary(
        promoted=Share(len(up), len(runs)),
        rolled_back=Share(len(back), len(runs)),
        inconclusive=Share(len(by_end[End.INCONCLUSIVE]), len(runs)),
        exposure=Spread.of([run.canary_rows for run in back]),
        rollback_seconds=Spread.of([run.ms / 1_000 for run in back]),
        promotion_seconds=Spread.of([run.ms / 1_000 for run in up]),
        reason=commonest[0].reason,
    )
