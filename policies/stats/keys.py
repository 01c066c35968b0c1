"""Keys as units: how many keys the traffic really is worth, and what their clusters do to a difference.

Under keyed routing all rows of a key share its variant, so rows are no independent draws. Keys are grouped into 64
buckets by a hash that has nothing to do with the routing; what varies between buckets is what counts.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .losses import LOSS_UNIT, Losses
from .score import Difference

__all__ = ["bucket_difference", "effective_keys"]


def effective_keys(bucket_rows: ArrayLike) -> float:
    """Return the estimated effective number of keys, 1 / (sum of squared shares of rows); 0 without rows.

    The share a_b of bucket b fulfils E[sum a_b^2] = q + (1 - q) / B, q the sum over keys; solved for q. Known to
    about 18 % (sqrt(2/63)); at most the number of rows.

    >>> round(effective_keys([100] + [0] * 63), 3)
    1.0
    """
    rows = np.asarray(bucket_rows, dtype=np.float64)
    total = float(rows.sum())
    if total == 0.0:
        return 0.0
    floor = 1.0 / len(rows)
    concentration = (float(np.square(rows / total).sum()) - floor) / (1.0 - floor)
    return total if concentration * total <= 1.0 else 1.0 / concentration


def bucket_difference(canary: Losses, stable: Losses) -> Difference:
    """Return the difference of the mean losses with the information that the variance between buckets leaves.

    Few events show too little variance, and the fewer the lower the rate, which would flatter an arm that was lucky.
    So the arm with more loss gives the design effect (its variance by that of independent rows), and neither
    arm's variance is taken for less than that effect at the common mean. Information is 0 where an arm has no rows
    or the buckets do not differ.
    """
    if not canary.n or not stable.n:
        return Difference(math.nan, 0.0)
    arms = Arm.of(canary), Arm.of(stable)
    richer = max(arms, key=lambda arm: arm.square)
    rows = canary.n + stable.n
    common = (canary.square + stable.square) / rows - ((canary.loss + stable.loss) / rows) ** 2
    floor = richer.design_effect() * common
    variance = sum(max(arm.variance, floor / arm.rows) for arm in arms)
    return Difference(arms[0].mean - arms[1].mean, 1.0 / variance if variance > 0.0 else 0.0)


@dataclass(frozen=True, slots=True)
class Arm:
    """Rows, mean loss, sum of squared losses, and the variance of the mean, B/(B-1) sum (S_b - m N_b)^2 / N^2."""

    rows: int
    mean: float
    square: float
    variance: float

    @classmethod
    def of(cls, losses: Losses) -> "Arm":
        """Return the arm from losses of one row at least, whose key buckets are known."""
        n = np.array(losses.bucket_n, dtype=np.float64)
        spread = np.array(losses.bucket_total, dtype=np.float64) / LOSS_UNIT - losses.mean * n
        variance = len(n) / (len(n) - 1) * float(np.square(spread).sum()) / losses.n**2
        return cls(losses.n, losses.mean, losses.square, variance)

    def design_effect(self) -> float:
        """Return by how much the variance exceeds that of independent rows; 1 where all rows have the same loss."""
        independent = (self.square / self.rows - self.mean**2) / self.rows
        return self.variance / independent if independent > 0.0 else 1.0
