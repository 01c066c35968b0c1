"""A histogram of durations in buckets whose edges grow by 2 %: exact to merge, known to 1 % either way."""

import math
from bisect import bisect_left
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DURATION_EDGES",
    "DURATION_UPPER_MS",
    "count_above",
    "duration_bucket",
    "duration_quantile",
    "duration_upper_ms",
]

DURATION_GAMMA = 1.02
"""Ratio of neighbouring edges of the duration buckets: a duration is known to 1 % either way."""

DURATION_FLOOR_MS = 0.001
"""Upper edge of the first duration bucket; no call is faster."""

DURATION_EDGES = DURATION_FLOOR_MS * np.power(DURATION_GAMMA, np.arange(1_047, dtype=np.float64))
"""Upper edges in ms, 1 us to 990 s; what is longer falls into one last bucket."""

DURATION_UPPER_MS = tuple(DURATION_EDGES.tolist())
"""The same edges, for single durations."""


def duration_bucket(ms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bucket of each duration: bucket i holds edge[i-1] < ms <= edge[i].

    A search in a table and no logarithm: the answer is the same on every machine and for every batch.
    """
    return np.searchsorted(DURATION_EDGES, ms, side="left").astype(np.int64)


def duration_upper_ms(bucket: int) -> float:
    """Return the upper edge of a bucket in ms, infinite for the last one."""
    return float(DURATION_EDGES[bucket]) if bucket < len(DURATION_EDGES) else math.inf


def duration_quantile(counts: Mapping[int, int], q: float) -> float:
    """Return the q-quantile in ms (upper edge of its bucket, 2 % too high at most); nan without durations.

    >>> duration_quantile({0: 99, 347: 1}, 0.5)
    0.001
    """
    need = q * sum(counts.values())
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= need:
            return duration_upper_ms(bucket)
    return math.nan


def count_above(counts: Mapping[int, int], ms: float) -> int:
    """Return how many durations lie above the bucket of `ms`: longer than `ms`, or than up to 2 % more.

    The same edge for every variant, so a comparison is exact for that edge.
    """
    edge = bisect_left(DURATION_UPPER_MS, ms)
    return sum(count for bucket, count in counts.items() if bucket > edge)
