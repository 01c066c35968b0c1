"""Many e-values, one decision: a weighted mean, and which of them to blame."""

import math
from collections.abc import Sequence

import numpy as np

from .mixture import log_sum_exp

__all__ = ["blamed", "log_mean_of"]


def log_mean_of(log_e: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Return the logarithm of the mean of e-values; -inf without any, so that nothing decides nothing.

    `weights` must be fixed beforehand and sum to 1; None: all equal. A mean is valid under any dependence, and the only
    admissible way that is (Wang, 2024, arXiv 2409.19888). It must be taken of current values: a mean of running maxima
    is no e-process.
    """
    if not log_e:
        return -math.inf
    if weights is None:
        return log_sum_exp(np.array(log_e)) - math.log(len(log_e))
    return log_sum_exp(np.array(log_e) + np.log(weights))


def blamed(log_e: Sequence[float], alpha: float) -> tuple[int, ...]:
    """Return the indices of those e-values that hold up against the number of them, largest first.

    e-BH (Wang & Ramdas, 2022): the k largest, for the largest k whose k-th is at least K / (k alpha); the false
    discovery rate stays below alpha under any dependence.

    >>> blamed([6.0, 0.1], alpha=0.05)
    (0,)
    """
    ranked = sorted(range(len(log_e)), key=lambda index: -log_e[index])
    bars = [math.log(len(log_e) / (k * alpha)) for k in range(1, len(log_e) + 1)]
    reached = [k for k, index in enumerate(ranked, start=1) if log_e[index] >= bars[k - 1]]
    return tuple(ranked[: max(reached)]) if reached else ()
