"""Has the canary's distribution of predictions moved away from stable's? The tests of one check, and their counts.

Under random routing every row is an independent draw with the designed share, and the tests of `stats.closeness` are
exact. Rows of sticky keys are no independent draws, and a canary with few keys differs from stable by those keys
alone, however many rows they send. So there rows count only as much as they add to the effective number of keys K of
their variant. N rows of keys whose shares have the sum of squares q are worth K = N / (1 + N q) keys; one more row adds
dK/dN = (K / N)^2. With K and N from the looks before, that is what each row of a look counts, and the sum of all never
exceeds K. (K / N itself would count ln N times too much: the same keys come again and again.) K is an estimate, and the
tests do not know that old keys come back in the set of bins they have chosen: so this is approximate, and no reason for
a rollback.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bins import PredictionBins
from .comparison import late_looks_of
from .epochs import EpochSums
from .plan import By, Check, FrozenNumbers, Plan
from .scorecard import Sums
from .stats.closeness import Apart, Close
from .stats.distribution import ClassCounts
from .stats.keys import effective_keys

__all__ = ["Movement", "counts_by_epoch", "loosened"]


@dataclass(frozen=True, slots=True, eq=False)
class Movement:
    """The tests of one check: `apart` of "within the tolerance", `close` of "beyond the margin"."""

    apart: Apart
    close: Close

    @classmethod
    def start(cls, check: Check, plan: Plan, frozen: FrozenNumbers) -> "Movement":
        """Return the tests before the first look; everything they bet on is fixed here."""
        bins = len(frozen.predictions[check.name].names)
        margins = tuple(sorted({loosened(check, step.margin_factor) for step in plan.stages}))
        beyond = check.margin - check.tolerance or check.margin
        return cls(Apart.start(bins, check.tolerance, beyond, late_looks_of(plan)), Close.start(bins, margins))

    def update(
        self, epochs: Sequence[EpochSums], before: Sequence[EpochSums], bins: PredictionBins, by: By
    ) -> "Movement":
        """Return the tests after one more look: its increments by epoch, and all that was known before it."""
        worth = (1.0, 1.0) if by is By.RANDOM else tuple(added_keys(arm) for arm in both(before))
        counts = list(counted(epochs, bins, worth, by))
        return Movement(self.apart.update(counts), self.close.update(counts))

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON."""
        return {"apart": self.apart.to_json(), "close": self.close.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Movement":
        """Return the state that `to_json` wrote."""
        return cls(Apart.from_json(value["apart"]), Close.from_json(value["close"]))


def loosened(check: Check, factor: float) -> float:
    """Return the margin of a step with this factor; no distance exceeds 1."""
    return min(check.margin * factor, 1.0)


def both(epochs: Sequence[EpochSums]) -> tuple[list[Sums], list[Sums]]:
    """Return the sums of canary and stable in the epochs with a canary."""
    compared = [epoch for epoch in epochs if epoch.share > 0]
    return [epoch.canary for epoch in compared], [epoch.stable for epoch in compared]


def worth_of(arm: Sequence[Sums]) -> float:
    """Return the effective keys of a variant by its rows, at most 1; 0 without rows."""
    rows = sum(sums.rows for sums in arm)
    return min(effective_keys(np.sum([sums.bucket_rows for sums in arm], axis=0)) / rows, 1.0) if rows else 0.0


def added_keys(arm: Sequence[Sums]) -> float:
    """Return what one more row adds to the effective keys of a variant."""
    return worth_of(arm) ** 2


def counts_by_epoch(epochs: Sequence[EpochSums], bins: PredictionBins, by: By) -> list[ClassCounts]:
    """Return all predictions so far, by bin and epoch; with sticky keys each for what it is worth."""
    canary, stable = both(epochs)
    return list(counted(epochs, bins, (1.0, 1.0) if by is By.RANDOM else (worth_of(canary), worth_of(stable)), by))


def counted(epochs: Sequence[EpochSums], bins: PredictionBins, worth: Sequence[float], by: By) -> Iterator[ClassCounts]:
    """Yield predictions by bin in each epoch with a canary, canary's and stable's times their worth.

    Under random routing the share is the designed one. Rows of sticky keys have none: given how many of them each
    variant had, the observed share takes its place.
    """
    for epoch in epochs:
        if epoch.share > 0:
            canary, stable = (
                part * bins.count(arm.predicted) for part, arm in zip(worth, (epoch.canary, epoch.stable), strict=True)
            )
            total = float(canary.sum() + stable.sum())
            if total > 0.0:
                yield ClassCounts(epoch.share if by is By.RANDOM else float(canary.sum()) / total, canary, stable)
