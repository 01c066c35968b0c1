"""Keys as units: how many keys the traffic really is worth, and what their clusters do to a difference.

Under keyed routing all rows of a key share its variant, so rows are no independent draws. Keys are grouped into 64
buckets by a hash that has nothing to do with the routing; what varies between buckets is what counts.
"""

import math
from collections.abc import Sequence

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

    Information is 0 where an arm has no rows or its buckets do not differ.
    """
    canary, canary_variance = ratio(canary_rows, canary_events)
    stable, stable_variance = ratio(stable_rows, stable_events)
    usable = canary_variance > 0.0 and stable_variance > 0.0
    return Difference(canary - stable, 1.0 / (canary_variance + stable_variance) if usable else 0.0)


def ratio(rows: Sequence[int], events: Sequence[int]) -> tuple[float, float]:
    """Return events / rows and its variance B/(B-1) sum (S_b - m N_b)^2 / N^2; nan without rows."""
    n, s = np.asarray(rows, dtype=np.float64), np.asarray(events, dtype=np.float64)
    total = float(n.sum())
    if total == 0.0:
        return math.nan, math.nan
    mean = float(s.sum()) / total
    spread = float(np.square(s - mean * n).sum())
    return mean, len(n) / (len(n) - 1) * spread / total**2
