"""Weights over alternatives, and the logarithm of a weighted mean of e-values.

A mean of e-processes with weights fixed beforehand is an e-process (convexity); so a test need not know how big the
effect is: it bets on many sizes at once. Everything stays in logarithms, so nothing overflows.
"""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "bell_weights", "log_sum_exp"]

Floats = NDArray[np.float64]


def log_sum_exp(terms: Floats, one_more: float = -np.inf) -> float:
    """Return ln of the sum of exp(terms) over all elements and `one_more`; -inf when each is.

    >>> round(log_sum_exp(np.array([1000.0, 1000.0])), 4)
    1000.6931
    """
    top = max(float(terms.max()), one_more)
    if top == -math.inf:
        return top
    return top + math.log(float(np.exp(terms - top).sum()) + math.exp(one_more - top))


def bell_weights(points: Floats, centre: float, spread: float) -> Floats:
    """Return ln of weights that sum to 1, normal in `points` around `centre` with standard deviation `spread`."""
    log_weights = -0.5 * np.square((points - centre) / spread)
    return np.asarray(log_weights - log_sum_exp(log_weights))
