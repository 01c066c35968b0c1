"""Keys as units: how many keys the traffic really is worth, and what their clusters do to a difference.

Under keyed routing all rows of a key share its variant, so rows are no independent draws. Keys are grouped into 64
buckets by a hash that has nothing to do with the routing; what varies between buckets is what counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

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


def bucket_difference(
    canary_rows: Sequence[int], canary_events: Sequence[int], stable_rows: Sequence[int], stable_events: Sequence[int]
) -> Difference:
    """Return the difference of the event rates with the information that the variance between buckets leaves.

    Few events show too little variance, and the fewer the lower the rate, which would flatter an arm that was lucky.
    So the arm with more events gives the design effect (its variance by that of independent rows), and neither
    arm's variance is taken for less than that effect at the common rate. Information is 0 where an arm has no rows
    or the buckets do not differ.
    """
    arms = Arm.of(canary_rows, canary_events), Arm.of(stable_rows, stable_events)
    if min(arm.rows for arm in arms) == 0:
        return Difference(math.nan, 0.0)
    richer = max(arms, key=lambda arm: arm.events)
    common = sum(arm.events for arm in arms) / sum(arm.rows for arm in arms)
    floor = richer.design_effect() * common * (1.0 - common)
    variance = sum(max(arm.variance, floor / arm.rows) for arm in arms)
    return Difference(arms[0].mean - arms[1].mean, 1.0 / variance if variance > 0.0 else 0.0)


@dataclass(frozen=True, slots=True)
class Arm:
    """Rows, events and the variance of their ratio, B/(B-1) sum (S_b - m N_b)^2 / N^2; nan without rows."""

    rows: float
    events: float
    variance: float

    @classmethod
    def of(cls, rows: Sequence[int], events: Sequence[int]) -> "Arm":
        """Return the arm from its counts per bucket."""
        n, s = np.asarray(rows, dtype=np.float64), np.asarray(events, dtype=np.float64)
        total, hits = float(n.sum()), float(s.sum())
        if total == 0.0:
            return cls(0.0, 0.0, math.nan)
        spread = float(np.square(s - hits / total * n).sum())
        return cls(total, hits, len(n) / (len(n) - 1) * spread / total**2)

    @property
    def mean(self) -> float:
        """Events by row."""
        return self.events / self.rows

    def design_effect(self) -> float:
        """Return by how much the variance exceeds that of independent rows; 1 where no row or every row failed."""
        independent = self.mean * (1.0 - self.mean) / self.rows
        return self.variance / independent if independent > 0.0 else 1.0
