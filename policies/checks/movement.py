"""Has the canary's distribution of predictions moved away from stable's? The tests of one check, and their counts.

Under random routing every row is an independent draw with the designed share, and the tests of `stats.closeness` are
exact. Rows of sticky keys are no independent draws, and a canary with few keys differs from stable by those keys
alone, however many rows they send. So there the rows of a look count only for the keys by which they have raised the
effective number of keys of their variant, and all rows of an attempt together never for more than that number. It
follows from keys and routing alone, whatever was predicted, so it may include the look itself. (To count every row for
"effective keys by rows" would be ln(rows) times too much: the same keys come again and again.) The number is an
estimate, and the tests do not know that old keys come back in the set of bins they have chosen: so this is approximate,
and no reason for a rollback.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..frozen.bins import PredictionBins
from ..frozen.numbers import FrozenNumbers
from ..plan.plan import By, Check, Plan
from ..scorecard.epochs import EpochSums
from ..scorecard.sums import Sums
from ..stats.closeness import Apart, Close
from ..stats.distribution import ClassCounts
from ..stats.keys import effective_keys
from .comparison import late_looks_of

__all__ = ["Movement", "counts_by_epoch", "loosened"]


WHOLE = 1.0, 1.0
"""What a row of canary and of stable counts for where each is a draw of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Movement:
    """The tests of one check: `apart` of "within the tolerance", `close` of "beyond the margin".

    `keys` are the effective keys of canary and stable for which rows have been counted so far, under keyed routing.
    """

    apart: Apart
    close: Close
    keys: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def start(cls, check: Check, plan: Plan, frozen: FrozenNumbers) -> "Movement":
        """Return the tests before the first look; everything they bet on is fixed here."""
        bins = len(frozen.predictions[check.name].names)
        margins = tuple(sorted({loosened(check, step.margin_factor) for step in plan.stages}))
        beyond = check.margin - check.tolerance or check.margin
        return cls(Apart.start(bins, check.tolerance, beyond, late_looks_of(plan)), Close.start(bins, margins))

    def update(
        self, epochs: Sequence[EpochSums], so_far: Sequence[EpochSums], bins: PredictionBins, by: By
    ) -> "Movement":
        """Return the tests after one more look: its increments by epoch, and all sums that include them."""
        if by is By.RANDOM:
            counts = list(counted(epochs, bins, WHOLE, by))
            return Movement(self.apart.update(counts), self.close.update(counts))
        canary, stable = (max(keys_of(arm), known) for arm, known in zip(both(so_far), self.keys, strict=True))
        rows = [sum(sums.rows for sums in arm) for arm in both(epochs)]
        gains = canary - self.keys[0], stable - self.keys[1]
        worth = [min(gain / n, 1.0) if n else 0.0 for gain, n in zip(gains, rows, strict=True)]
        counts = list(counted(epochs, bins, worth, by))
        return Movement(self.apart.update(counts), self.close.update(counts), (canary, stable))

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON."""
        return {"apart": self.apart.to_json(), "close": self.close.to_json(), "keys": list(self.keys)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Movement":
        """Return the state that `to_json` wrote."""
        canary, stable = value["keys"]
        return cls(Apart.from_json(value["apart"]), Close.from_json(value["close"]), (canary, stable))


def loosened(check: Check, factor: float) -> float:
    """Return the margin of a step with this factor; no distance exceeds 1."""
    return min(check.margin * factor, 1.0)


def both(epochs: Sequence[EpochSums]) -> tuple[list[Sums], list[Sums]]:
    """Return the sums of canary and stable in the epochs with a canary."""
    compared = [epoch for epoch in epochs if epoch.share > 0]
    return [epoch.canary for epoch in compared], [epoch.stable for epoch in compared]


def keys_of(arm: Sequence[Sums]) -> float:
    """Return the effective number of keys of a variant."""
    return effective_keys(np.sum([sums.bucket_rows for sums in arm], axis=0)) if arm else 0.0


def counts_by_epoch(epochs: Sequence[EpochSums], bins: PredictionBins, by: By) -> list[ClassCounts]:
    """Return all predictions so far, by bin and epoch; with sticky keys each for what it is worth."""
    if by is By.RANDOM:
        return list(counted(epochs, bins, WHOLE, by))
    rows = [sum(sums.rows for sums in arm) for arm in both(epochs)]
    worth = [min(keys_of(arm) / n, 1.0) if n else 0.0 for arm, n in zip(both(epochs), rows, strict=True)]
    return list(counted(epochs, bins, worth, by))


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
