"""Is the canary's distribution of classes too far from stable's, or close enough? Tests of a distance, e-processes.

The total variation distance is the largest difference in the probability of any set A of classes, so tests of sets are
tests of the distance. With the losses 1{class in A} and phi as in `bernstein`:

- "the distance is at most the tolerance" holds only if E[phi] <= tolerance for every A. So a single set suffices, and
  it may be chosen anew at each look from the looks before: the classes that the canary has favoured so far.
- "the distance is at least the margin" holds if E[phi] >= margin for one A at least. So the least e-value over all A
  must be large. With the centre 1/2 every loss has the same (x - c)^2 = 1/4, so ln E is linear in the sum over the
  classes of A, the worst A is the set of classes with a positive sum, and nothing has to be enumerated:

    ln E(f) = sum over looks of (f / C) (margin n - S0) - (-ln(1-f) - f) V / C^2  -  sum over k of max(U_k, 0),
    U_k = sum over looks of (f / C) (x_k / w - y_k / (1 - w)),   S0 = -(n_c / w - n_s / (1 - w)) / 2.

  The least of a mixture is at least the mixture of the least, which is what `value` returns.

Both are exact under random routing with the designed share, whatever drifts, and need no least number of predictions;
rows of sticky keys are no independent draws, so with them both are bolder than they say.
Guarantee: P(E ever reaches 1/alpha) <= alpha under the null (Ville, 1939).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bernstein import BET_HIGHEST, BET_LOWEST, LOG_PRIOR, MULTIPLES, Arms, Bernstein, Null
from .distribution import ClassCounts
from .mixture import Floats, log_sum_exp

__all__ = ["Apart", "Close"]


@dataclass(frozen=True, slots=True, eq=False)
class Apart:
    """The state of a test of "the distance is at most the tolerance", for rollback: a value, made anew by every look.

    `test` is that of the sets chosen. `leaning` is by class the sum of phi around stable's frequency, `stable` the
    units of stable; both choose the set of the next look.
    """

    test: Bernstein
    leaning: Floats
    stable: Floats

    @classmethod
    def start(cls, classes: int, tolerance: float, effect: float, late_looks: int) -> "Apart":
        """Return the test before any look.

        `effect` is the distance beyond the tolerance that it should find soonest; `late_looks` is the number of looks
        over which later starts are spread.
        """
        nothing = np.zeros(classes)
        return cls(Bernstein.start(Null.NOT_WORSE, (tolerance,), (effect,), late_looks), nothing, nothing)

    def update(self, epochs: Iterable[ClassCounts]) -> "Apart":
        """Return the test after one more look with these counts; epochs whose share is 0 or 1 are skipped."""
        both = [epoch for epoch in epochs if 0.0 < epoch.share < 1.0]
        frequency = (self.stable + 1.0) / (self.stable.sum() + len(self.stable))
        favoured = self.leaning > 0.0
        centre = float(frequency[favoured].sum())
        arms = [arms_of(epoch, favoured) for epoch in both] if favoured.any() and not favoured.all() else []
        leaning = self.leaning + sum((lean(epoch, frequency) for epoch in both), start=np.zeros(len(frequency)))
        stable = self.stable + sum((epoch.stable for epoch in both), start=np.zeros(len(frequency)))
        return Apart(self.test.update(arms, centre, self._variance(centre)), leaning, stable)

    def _variance(self, centre: float) -> float:
        # Of a set that stable hardly ever predicts the canary's losses vary more: a bet that looked at stable alone
        # would be far too bold to ever find a class that is new.
        sought = centre + self.test.bounds[0] + self.test.effects[0]
        likely = centre if centre > 0.5 else min(sought, 0.5)
        return likely * (1.0 - likely)

    def value(self) -> float:
        """Return ln E now; 0 before any look.

        >>> test = Apart.start(classes=2, tolerance=0.05, effect=0.05, late_looks=0)
        >>> for _ in range(4):
        ...     test = test.update([ClassCounts.of(0.1, [60, 40], [810, 90])])
        >>> round(test.value(), 1)
        23.9
        """
        return self.test.value(self.test.bounds[0])

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON; floats keep every bit."""
        return {"test": self.test.to_json(), "leaning": self.leaning.tolist(), "stable": self.stable.tolist()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Apart":
        """Return the state that `to_json` wrote."""
        leaning, stable = (np.array(value[name], dtype=np.float64) for name in ("leaning", "stable"))
        return cls(Bernstein.from_json(value["test"]), leaning, stable)


def arms_of(epoch: ClassCounts, favoured: NDArray[np.bool_]) -> Arms:
    """Return the losses 1{class is favoured} of one epoch."""
    n, x = float(epoch.canary.sum()), float(epoch.canary[favoured].sum())
    m, y = float(epoch.stable.sum()), float(epoch.stable[favoured].sum())
    return Arms(epoch.share, n, x, x, m, y, y)


def lean(epoch: ClassCounts, frequency: Floats) -> Floats:
    """Return by class the sum of phi around `frequency`."""
    canary = (epoch.canary - frequency * epoch.canary.sum()) / epoch.share
    return np.asarray(canary - (epoch.stable - frequency * epoch.stable.sum()) / (1.0 - epoch.share))


@dataclass(frozen=True, slots=True, eq=False)
class Close:
    """The state of the tests of "the distance is at least the margin", for promotion: a value, made anew by every look.

    `margins` are tested side by side. `common` has what all sets share, a row for each margin and a column for each
    multiple of the best bet; `sums` has U_k of each, classes on the third axis.
    """

    margins: tuple[float, ...]
    common: Floats
    sums: Floats

    @classmethod
    def start(cls, classes: int, margins: tuple[float, ...]) -> "Close":
        """Return the tests before any look."""
        shape = len(margins), len(MULTIPLES)
        return cls(margins, np.zeros(shape), np.zeros((*shape, classes)))

    def update(self, epochs: Iterable[ClassCounts]) -> "Close":
        """Return the tests after one more look with these counts; epochs whose share is 0 or 1 are skipped."""
        common, sums = self.common, self.sums
        for epoch in epochs:
            if 0.0 < epoch.share < 1.0:
                gain, by_class = self._gain(epoch)
                common, sums = common + gain, sums + by_class
        return Close(self.margins, common, sums)

    def _gain(self, epoch: ClassCounts) -> tuple[Floats, Floats]:
        w, v = epoch.share, 1.0 - epoch.share
        n, m = float(epoch.canary.sum()), float(epoch.stable.sum())
        margins = np.array(self.margins)[:, None]
        cap = 0.5 * max(1.0 / w, 1.0 / v)
        best = cap * margins / (0.25 * (1.0 / w + 1.0 / v))
        bets = np.minimum(np.maximum(best * MULTIPLES, BET_LOWEST), BET_HIGHEST)
        square = 0.25 * (n / w**2 + m / v**2)
        common = bets / cap * (margins * (n + m) + 0.5 * (n / w - m / v))
        common = common - (-np.log1p(-bets) - bets) * square / cap**2
        return common, (bets / cap)[:, :, None] * (epoch.canary / w - epoch.stable / v)

    def value(self, margin: float) -> float:
        """Return ln E now for one of the margins; 0 before any look.

        >>> test = Close.start(classes=2, margins=(0.05,))
        >>> round(test.update([ClassCounts.of(0.1, [900, 100], [8_100, 900])]).value(0.05), 1)
        3.2
        """
        index = self.margins.index(margin)
        worst = self.common[index] - np.maximum(self.sums[index], 0.0).sum(axis=1)
        return log_sum_exp(worst + LOG_PRIOR)

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON; floats keep every bit."""
        return {"margins": list(self.margins), "common": self.common.tolist(), "sums": self.sums.tolist()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Close":
        """Return the state that `to_json` wrote."""
        common, sums = (np.array(value[name], dtype=np.float64) for name in ("common", "sums"))
        return cls(tuple(value["margins"]), common, sums)
