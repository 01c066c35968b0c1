"""Does the canary predict the classes as often as stable? Counts of both arms, how far apart they are, and a test.

Dependence: given that a unit's prediction is class k, the unit is the canary's with the designed probability w unless
the arms predict differently. So each class is a split of its own (`split`), classes share no unit, and the product of
their e-values is one: exact under random routing. A new model may well differ; so that alone is no reason to act.

Distance: epochs are compared inside and averaged, weighted by 1 / (1/n + 1/m); `noise` is 1 / (sum of the weights).
Counts that differ by chance alone are apart too, and that bias is subtracted:

- total variation, sum |p - q| / 2: for |N(d, s)| the bias is s b(d / s), b(t) = 2 phi(t) - 2 t Phi(-t). Each class has
  s^2 = p (1 - p) noise and its own t^2 estimated without bias by max(0, (p - q)^2 / s^2 - 1). Within 0.015 of the truth
  with 1,000 canary rows, stable's 9,000 and up to 10 classes, however the difference is spread; without it 0.04 too
  much, with b(0) for every class 0.04 too little;
- PSI, sum (p - q) ln(p / q): (classes - 1) noise (Yurdakul & Naranjo, 2020); Jensen-Shannon: an eighth of that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, xlogy

from .mixture import Floats
from .split import log_e_share

__all__ = ["ClassCounts", "Distance", "distance", "log_e_dependent", "shares"]

EMPTY_CELL = 0.5
"""Rows that stand for a class an arm has never predicted, where a logarithm needs some."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassCounts:
    """Units by predicted class of both arms in one epoch; all epochs have the same classes in the same order.

    `share` is the designed share of the canary, 0..1.
    """

    share: float
    canary: Floats
    stable: Floats

    @classmethod
    def of(cls, share: float, canary: ArrayLike, stable: ArrayLike) -> "ClassCounts":
        """Return the counts; raises ValueError when the arms have not the same number of classes."""
        x, y = np.asarray(canary, dtype=np.float64), np.asarray(stable, dtype=np.float64)
        if x.ndim != 1 or x.shape != y.shape:
            raise ValueError(f"the arms have {x.shape} and {y.shape} counts, not one for each of the same classes")
        return cls(share, x, y)


def log_e_dependent(epochs: Iterable[ClassCounts]) -> float:
    """Return ln E against "the prediction does not depend on the arm", from the counts since each epoch began.

    Epochs whose share is 0 or 1 say nothing; 0 without units.

    >>> same, other = ClassCounts.of(0.1, [90, 10], [810, 90]), ClassCounts.of(0.1, [500, 500], [8100, 900])
    >>> round(log_e_dependent([same]), 1), round(log_e_dependent([other]), 1)
    (-0.4, 305.3)
    """
    split = [epoch for epoch in epochs if 0.0 < epoch.share < 1.0]
    return float(sum(log_e_share(epoch.share, epoch.canary, epoch.stable).sum() for epoch in split))


@dataclass(frozen=True, slots=True)
class Distance:
    """How far apart the two distributions are, corrected for chance, at least 0; nan where an arm has no units.

    `variation` is the total variation distance, 0..1: the largest difference in the probability of any set of classes.
    `stability` is the population stability index, `divergence` that of Jensen and Shannon, 0..ln 2 (both in nats).
    """

    variation: float
    stability: float
    divergence: float


UNKNOWN = Distance(np.nan, np.nan, np.nan)


def distance(epochs: Iterable[ClassCounts]) -> Distance:
    """Return the distance between the arms, from the counts since each epoch began."""
    both = [epoch for epoch in epochs if epoch.canary.sum() > 0 and epoch.stable.sum() > 0]
    if not both:
        return UNKNOWN
    n, m, weights, noise = weighted(both)
    p, q = shares(both)
    pooled = (weights / (n + m)) @ np.array([epoch.canary + epoch.stable for epoch in both])
    excess = (int((pooled > 0.0).sum()) - 1) * noise
    smallest = EMPTY_CELL * float((weights**2 / n).sum()), EMPTY_CELL * float((weights**2 / m).sum())
    return Distance(
        variation=corrected(0.5 * float(np.abs(p - q).sum()), variation_bias(p - q, pooled, noise)),
        stability=corrected(stability_index(p, q, pooled > 0.0, smallest), excess),
        divergence=corrected(divergence_of(p, q), excess / 8.0),
    )


def weighted(epochs: Sequence[ClassCounts]) -> tuple[Floats, Floats, Floats, float]:
    """Return by epoch the units of both arms and the weight of the epoch (they sum to 1), and the noise in all."""
    n, m = (np.array([getattr(epoch, arm).sum() for epoch in epochs]) for arm in ("canary", "stable"))
    weights = 1.0 / (1.0 / n + 1.0 / m)
    noise = 1.0 / float(weights.sum())
    return n, m, weights * noise, noise


def shares(epochs: Iterable[ClassCounts]) -> tuple[Floats, Floats]:
    """Return the share of each class in canary and stable, at the same weights of epochs in which both have units.

    Raises ValueError where there is none.
    """
    both = [epoch for epoch in epochs if epoch.canary.sum() > 0 and epoch.stable.sum() > 0]
    if not both:
        raise ValueError("there is no epoch in which both arms have units")
    n, m, weights, _ = weighted(both)
    canary = (weights / n) @ np.array([epoch.canary for epoch in both])
    return canary, (weights / m) @ np.array([epoch.stable for epoch in both])


def corrected(estimate: float, bias: float) -> float:
    """Return the estimate without its bias; no distance is below 0."""
    return max(estimate - bias, 0.0)


def variation_bias(gaps: Floats, pooled: Floats, noise: float) -> float:
    """Return by how much chance alone raises the total variation distance."""
    spread = np.sqrt(pooled * (1.0 - pooled) * noise)
    moved = spread > 0.0
    t = np.sqrt(np.maximum(np.square(gaps[moved] / spread[moved]) - 1.0, 0.0))
    folded = np.sqrt(2.0 / np.pi) * np.exp(-0.5 * t * t) - 2.0 * t * ndtr(-t)
    return 0.5 * float((spread[moved] * folded).sum())


def stability_index(p: Floats, q: Floats, seen: NDArray[np.bool_], smallest: tuple[float, float]) -> float:
    """Return sum (p - q) ln(p / q) over the classes seen in either arm; empty cells hold the `smallest` of the arm."""
    p, q = np.maximum(p[seen], smallest[0]), np.maximum(q[seen], smallest[1])
    p, q = p / p.sum(), q / q.sum()
    return float(((p - q) * np.log(p / q)).sum())


def divergence_of(p: Floats, q: Floats) -> float:
    """Return the Jensen-Shannon divergence in nats; needs no care for empty cells."""
    middle = 0.5 * (p + q)
    entropies = [-float(xlogy(part, part).sum()) for part in (middle, p, q)]
    return entropies[0] - 0.5 * (entropies[1] + entropies[2])
