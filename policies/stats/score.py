"""The score process with a normal mixture: for differences whose variance must be estimated. Asymptotic.

Each epoch k gives a difference d_k with variance 1 / I_k. T = sum d_k I_k and V = sum I_k behave like a Brownian
motion with drift delta in the time V, whatever the epochs' weights were. The one-sided mixture over the drift
(Robbins, 1970; Howard et al., 2021, eq. 14) is an e-process for that motion, so it holds at all looks at once,
approximately. Serves as the second opinion under keyed routing, and for intervals that are shown.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from scipy.special import log_ndtr, ndtri

from .combine import log_mean_of

__all__ = ["Difference", "log_e_above", "log_e_below", "pooled", "tuning"]

POWER = 0.8
"""Power of the fixed-size test at whose information the mixture is tightest."""


MULTIPLES = (1.0, 4.0)
"""Multiples of the design effect at which one half each of the evidence for a rollback is quickest: a canary that is
worse by five margins is found after two thirds of the rows."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference canary - stable and its information, the inverse of its variance; no information: nan."""

    estimate: float
    information: float

    def interval(self, rho: float, alpha: float) -> tuple[float, float]:
        """Return the two-sided interval that covers at all looks at once with probability 1 - alpha."""
        if not self.information > 0.0:
            return -math.inf, math.inf
        spread = self.information + rho
        half = math.sqrt(spread * math.log(spread / (rho * alpha**2))) / self.information
        return self.estimate - half, self.estimate + half


def pooled(differences: Iterable[Difference]) -> Difference:
    """Return the mean difference over epochs, weighted by information; nan with none."""
    score = information = 0.0
    for difference in differences:
        if difference.information > 0.0:
            score += difference.estimate * difference.information
            information += difference.information
    return Difference(score / information if information else math.nan, information)


@lru_cache(maxsize=64)
def tuning(effect: float, alpha: float) -> float:
    """Return rho, the prior precision at which the test is quickest around the fixed size for `effect`."""
    information = ((ndtri(1.0 - alpha) + ndtri(POWER)) / effect) ** 2
    chance = math.log(1.0 / (2.0 * alpha))
    return float(information / (2.0 * chance + math.log1p(2.0 * chance)))


def log_e_below(difference: Difference, bound: float, rho: float) -> float:
    """Return ln E against "delta >= bound": large when the difference lies below; 0 without information.

    >>> round(log_e_below(Difference(0.0, 1e6), bound=0.005, rho=tuning(0.005, 0.05)), 1)
    11.1
    """
    if not difference.information > 0.0:
        return 0.0
    spread = difference.information + rho
    u = (bound - difference.estimate) * difference.information
    root = math.sqrt(spread)
    return math.log(2.0) + 0.5 * math.log(rho / spread) + u * u / (2.0 * spread) + float(log_ndtr(u / root))


def log_e_above(difference: Difference, bound: float, effect: float, alpha: float) -> float:
    """Return ln E against "delta <= bound": large when the difference lies above; 0 without information.

    The mean of the tests tuned to `MULTIPLES` of `effect` (0..1).

    >>> round(log_e_above(Difference(0.02, 1e5), bound=0.0, effect=0.01, alpha=0.05), 1)
    17.9
    """
    mirrored = Difference(-difference.estimate, difference.information)
    return log_mean_of([log_e_below(mirrored, -bound, tuning(multiple * effect, alpha)) for multiple in MULTIPLES])
