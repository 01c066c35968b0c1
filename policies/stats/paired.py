"""Both models scored the same request: is the canary worse on it? Tests of pairs, e-processes.

A pair removes what its request does to both losses, so a shadow needs a small part of the rows a canary needs: 2 points
of 10 % errors, where the models differ in 4 % of the rows, take 620 pairs at a fixed size instead of 15,500 rows.
Looked at all the time, the sign test needs 740 on average and the difference 1,200.

- Sign test: only pairs whose losses differ count. If the canary is not worse, it is the worse one in half of them at
  most, so they are a split with the share 1/2: `RateRatio`, with `discordant` for its events.
- Difference: d = loss of the canary - loss of stable lies in -1..1, and `bernstein` holds with phi = d, S = sum d, V =
  sum (d - c)^2 and C = 1 + c against "not worse by the bound", 1 - c against "worse by the bound".
- Agreement: whether the two predictions differ is an event with a rate of its own. `excess` finds it above a limit,
  `log_e_agreement` below: the likelihood ratio of a rate p < limit against the limit, mixed over a uniform prior
  (one-sided beta-binomial mixture: Howard et al., 2021, Proposition 7).

Assumes pairs that fulfil the null given the past. Rows that repeat each other, as those of one key do, make the tests
bolder than they say. Guarantee: P(E ever reaches 1/alpha) <= alpha (Ville, 1939).
"""

import math
from dataclasses import dataclass

from scipy.special import betainc, betaln

from .bernstein import Null, Terms
from .rate_ratio import RateRatio, Split

__all__ = ["Pairs", "discordant", "log_e_agreement", "sign_test"]


def sign_test(margin: float, discordance: float, late_looks: int) -> RateRatio:
    """Return the sign test before any look.

    Its design effect is a difference of `margin` in the mean of losses 0 and 1, of which the share `discordance` of
    all pairs (above 0) differs. `late_looks` is the number of looks over which later starts are spread.

    >>> test = sign_test(margin=0.02, discordance=0.04, late_looks=100)
    >>> round(test.update([discordant(canary_worse=24, stable_worse=8)]).value(), 1)
    3.1
    """
    rest = max(discordance - margin, discordance / 100.0)
    return RateRatio.start(2.0 * margin / rest, late_looks)


def discordant(canary_worse: int, stable_worse: int) -> Split:
    """Return the pairs whose losses differ, for the sign test."""
    return Split(0.5, canary_worse, stable_worse)


@dataclass(frozen=True, slots=True)
class Pairs:
    """The paired differences d of one look, each -1..1: their number, their sum and the sum of their squares.

    A sample for `Bernstein`, whose `centre` is a guess of the mean of d (-1..1, 0 will do) and whose `variance` is
    that of d.

    >>> from coalmine.policies.stats.bernstein import Bernstein
    >>> test = Bernstein.start(Null.WORSE, (0.02,), (0.02,))
    >>> round(test.update([Pairs(1_000, 0.0, 40.0)], centre=0.0, variance=0.04).value(0.02), 1)
    2.6
    """

    n: int
    total: float
    squares: float

    def terms(self, null: Null, centre: float, variance: float) -> Terms | None:
        """Return what ln E takes; never None."""
        square = self.squares - 2.0 * centre * self.total + self.n * centre * centre
        cap = 1.0 + centre if null is Null.NOT_WORSE else 1.0 - centre
        return Terms(self.total, max(square, 0.0), self.n, cap, variance)


def log_e_agreement(limit: float, n: int, disagreements: int) -> float:
    """Return ln E against "the models disagree at a rate of `limit` or more" after `n` pairs; 0 with n = 0.

    >>> round(log_e_agreement(0.05, 200, 2), 1)
    3.9
    """
    if n == 0:
        return 0.0
    below = float(betainc(disagreements + 1.0, n - disagreements + 1.0, limit))
    if below == 0.0:
        return -math.inf
    mixed = float(betaln(1.0 + disagreements, 1.0 + n - disagreements)) + math.log(below) - math.log(limit)
    return mixed - disagreements * math.log(limit) - (n - disagreements) * math.log1p(-limit)
