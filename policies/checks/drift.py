"""Which features do not come as they used to? Rows that are scored now against the histograms of a reference.

Distance is total variation, TV: the largest difference in the probability of any set A of bins. So "TV <= tolerance"
says that no A is likelier now than in the reference by more than that. At each look the set A of bins that recent rows
have filled beyond the reference is held against it:

    E(p) gets p / l for each row inside A, (1 - p) / (1 - l) outside,   l = reference(A) + tolerance + error, p > l

A is chosen before the look, so this is a likelihood ratio given the past, whatever A was; mixed over p. `error` bounds
the TV between the reference's `n` rows and what they were drawn from: sqrt((bins - 1) / n) / 2 on average at most, and
beyond that by sqrt(ln(1/d) / (2 n)) with probability d (McDiarmid, 1989). A part of the prior starts anew at later
looks (`restarts`), so a feature that moves after weeks is found too.

A reference of 1,000 rows allows for 0.1 and hides much, one of 10,000 for 0.035, one of 100,000 for 0.011.

Assumes rows that are independent draws. Requests come in waves and by keys, so this names features for a person or
holds a ramp; it is no reason to blame a canary. Guarantee: if all features are within the tolerance, any is ever named
with probability <= alpha + `UNLUCKY` (mean of e-processes, Ville, 1939). Once some have moved, about alpha of those
named at a look are wrong (e-BH: Wang & Ramdas, 2022).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..frozen.reference import Reference
from ..stats.combine import blamed
from ..stats.distribution import ClassCounts, distance
from ..stats.restarts import Restarts

__all__ = ["Drift", "FeatureDrift"]

Floats = NDArray[np.float64]

STEPS = np.geomspace(0.01, 0.9, 16)
"""Alternatives: p this part of the way from l to 1."""

LOG_PRIOR = np.full(len(STEPS), -math.log(len(STEPS)))

RECENT_ROWS = 2_000.0
"""Rows after which a row has lost 63 % of its say in which bins are filled beyond the reference."""

UNLUCKY = 0.01
"""Probability that any reference lies further from its source than `error` allows."""


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """How far one feature is from its reference, over all rows counted.

    `variation` is the total variation distance (0..1) and `stability` the PSI, both without what chance adds, nan
    without rows; `log_e` is ln of the e-value of "not further than the tolerance, now or at any look". `allowance` is
    what the few rows of the reference add to the tolerance; with it above 1 nothing can be found.
    """

    name: str
    rows: int
    variation: float
    stability: float
    log_e: float
    allowance: float


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """The state of the tests of all features: a value, made anew by every look.

    `seen` and `recent` have a row for each feature and a column for each bin (of the feature with most bins), the
    second with forgetting. `restarts` has the features on its first axis.
    """

    references: tuple[Reference, ...]
    tolerance: float
    seen: Floats
    recent: Floats
    restarts: Restarts

    @classmethod
    def start(cls, references: Sequence[Reference], tolerance: float, late_looks: int) -> "Drift":
        """Return the tests before any look.

        `tolerance` (0..1) is the distance that is no drift yet; `late_looks` the number of looks over which later
        starts are spread.
        """
        nothing = np.zeros((len(references), max((len(each.rows) for each in references), default=0)))
        restarts = Restarts.start((len(references), len(STEPS)), late_looks)
        return cls(tuple(references), tolerance, nothing, nothing, restarts)

    def update(self, counts: Sequence[ArrayLike]) -> "Drift":
        """Return the tests after one more look: for each feature, its new rows by bin (`Reference.count`)."""
        new = padded(counts, self.seen.shape[1])
        rows = new.sum(axis=1, keepdims=True)
        kept = self.recent * np.exp(-rows / RECENT_ROWS)
        return Drift(
            self.references, self.tolerance, self.seen + new, kept + new, self.restarts.update(self._gain(new))
        )

    def _gain(self, new: Floats) -> Floats:
        reference, error = shares_of(self.references, self.seen.shape[1])
        filled = self.recent > reference * self.recent.sum(axis=1, keepdims=True)
        inside = np.where(filled, new, 0.0).sum(axis=1)[:, None]
        outside = new.sum(axis=1)[:, None] - inside
        limit = np.where(filled, reference, 0.0).sum(axis=1)[:, None] + self.tolerance + error[:, None]
        testable = limit < 1.0
        limit = np.where(testable, limit, 0.5)
        likelier = limit + (1.0 - limit) * STEPS
        gain = inside * np.log(likelier / limit) + outside * np.log1p(-STEPS)
        return np.where(testable & filled.any(axis=1)[:, None], gain, 0.0)

    def readings(self) -> tuple[FeatureDrift, ...]:
        """Return what is known of each feature, in the order of the references."""
        _, allowances = shares_of(self.references, self.seen.shape[1])
        return tuple(self._reading(index, float(allowance)) for index, allowance in enumerate(allowances))

    def _reading(self, index: int, allowance: float) -> FeatureDrift:
        reference = self.references[index]
        now = self.seen[index, : reference.bins]
        apart = distance([ClassCounts(0.5, now, reference.rows)])
        log_e = self.restarts.part(index).value(LOG_PRIOR)
        return FeatureDrift(reference.name, int(now.sum()), apart.variation, apart.stability, log_e, allowance)

    def moved(self, alpha: float) -> tuple[str, ...]:
        """Return the names of the features that have moved, the clearest first.

        >>> origin = Reference(name="origin", categories=("EWR", "JFK"), counts=(5_000, 5_000))
        >>> test = Drift.start([origin], tolerance=0.05, late_looks=100)
        >>> for _ in range(3):
        ...     test = test.update([origin.count(["EWR"] * 70 + ["JFK"] * 30)])
        >>> test.moved(alpha=0.05)
        ('origin',)
        """
        log_e = [self.restarts.part(index).value(LOG_PRIOR) for index in range(len(self.references))]
        return tuple(self.references[index].name for index in blamed(log_e, alpha))

    def log_e(self) -> float:
        """Return ln of the largest of k times the k-th largest e-value by the number of features; 0 without any.

        It reaches ln(1/alpha) exactly where `moved` names a feature (e-BH), so it is what decides.
        """
        log_e = sorted((self.restarts.part(i).value(LOG_PRIOR) for i in range(len(self.references))), reverse=True)
        return max((value + math.log(k / len(log_e)) for k, value in enumerate(log_e, start=1)), default=0.0)

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON, without the references; floats keep every bit."""
        counts = {"seen": self.seen.tolist(), "recent": self.recent.tolist()}
        return {"tolerance": self.tolerance, **counts, **self.restarts.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], references: Sequence[Reference]) -> "Drift":
        """Return the state that `to_json` wrote, of the same references."""
        if not references:
            return cls.start((), value["tolerance"], value["late_looks"])  # JSON knows no second axis of nothing
        seen, recent = (np.array(value[name], dtype=np.float64) for name in ("seen", "recent"))
        return cls(tuple(references), value["tolerance"], seen, recent, Restarts.from_json(value))


def padded(counts: Sequence[ArrayLike], bins: int) -> Floats:
    """Return counts of features with different bins as one array; missing bins are empty."""
    result = np.zeros((len(counts), bins))
    for row, of_feature in zip(result, counts, strict=True):
        numbers = np.asarray(of_feature)
        row[: len(numbers)] = numbers
    return result


def shares_of(references: Sequence[Reference], bins: int) -> tuple[Floats, Floats]:
    """Return by feature and bin the shares of the reference rows, and by feature their `error`."""
    if not references:
        return np.zeros((0, bins)), np.zeros(0)
    rows = padded([each.rows for each in references], bins)
    n = rows.sum(axis=1)
    sizes = np.array([len(each.rows) for each in references])
    error = 0.5 * np.sqrt((sizes - 1) / n) + np.sqrt(math.log(len(references) / UNLUCKY) / (2.0 * n))
    return rows / n[:, None], error
