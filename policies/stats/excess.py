"""Is a rate above a fixed limit, whatever the other variant does? A one-sample test, an e-process.

The likelihood ratio of a rate p > limit against the limit, mixed over a Beta(1, 1) prior cut off at the limit, has a
closed form in the counts (one-sided beta-binomial mixture: Howard et al., 2021, Proposition 7). Assumes units whose
event probabilities are at most the limit given the past; rows that fail together make it bolder than it says.
"""

import math

from scipy.special import betainc, betaln

__all__ = ["log_e_above"]


def log_e_above(limit: float, n: int, events: int) -> float:
    """Return ln E against "rate <= limit" after `n` units of which `events` happened; 0 with n = 0.

    >>> round(log_e_above(0.05, 20, 20), 1)
    56.9
    """
    if n == 0:
        return 0.0
    above = float(betainc(n - events + 1.0, events + 1.0, 1.0 - limit))
    if above == 0.0:
        return -math.inf
    mixed = float(betaln(1.0 + events, 1.0 + n - events)) + math.log(above) - math.log1p(-limit)
    return mixed - events * math.log(limit) - (n - events) * math.log1p(-limit)
