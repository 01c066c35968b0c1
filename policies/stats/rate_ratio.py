"""Is an event likelier for the canary? The conditional rate-ratio test, an e-process.

In one look and epoch the canary has a known share w of the exposure. Given that t events happened in all, each is a
canary event with probability theta(r) = w r / (w r + 1 - w), where r is the ratio of the two rates; the common rate
itself drops out, so drift of the traffic, of the rate and of the weight do no harm. The likelihood ratio of r > 1
against 1 is x ln r - t ln(1 + w (r - 1)) in logarithms, added up over looks and epochs.

Null: the canary's rate is not above stable's. Guarantee: P(E ever reaches 1/alpha) <= alpha (Ville, 1939). Exact for
Poisson counts; conservative for at most one event per unit (convex order, sampling without replacement: Hoeffding,
1963, Theorem 4). Units must be independent of each other given the share: calls, rows under random routing, or keys
counted once under keyed routing.

The prior over r is a bell in ln(r - 1) around the design effect; a part of it starts anew at later looks (`restarts`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .mixture import Floats, bell_weights
from .restarts import Restarts

__all__ = ["RateRatio", "Split"]

EXCESSES = np.geomspace(0.1, 30.0, 24)
"""Excess r - 1 of the alternatives: from a tenth more events to thirty times as many."""

SPREAD = 1.5
"""Standard deviation of ln(r - 1) in the prior: half of it within a factor 2.7 of the design effect."""

LOG_RATIOS = np.log1p(EXCESSES)


@dataclass(frozen=True, slots=True)
class Split:
    """Events of one epoch in one look: `canary` of them against `stable`, where the canary's share is `share`."""

    share: float
    canary: int
    stable: int


@dataclass(frozen=True, slots=True, eq=False)
class RateRatio:
    """The state of one test: a value, made anew by every look.

    `excess` is the design effect, r - 1; `restarts` has a number for each alternative.
    """

    excess: float
    restarts: Restarts

    @classmethod
    def start(cls, excess: float, late_looks: int) -> "RateRatio":
        """Return the test before any look; `excess` > 0 is pulled into the range of the alternatives.

        `late_looks` is the number of looks over which later starts are spread.
        """
        return cls(float(np.clip(excess, EXCESSES[0], EXCESSES[-1])), Restarts.start(EXCESSES.shape, late_looks))

    def update(self, splits: Iterable[Split]) -> "RateRatio":
        """Return the test after one more look with these events."""
        gain = np.zeros(len(EXCESSES))
        for split in splits:
            total = split.canary + split.stable
            gain += split.canary * LOG_RATIOS - total * np.log1p(split.share * EXCESSES)
        return RateRatio(self.excess, self.restarts.update(gain))

    def value(self) -> float:
        """Return ln E now; 0 before any event.

        >>> test = RateRatio.start(1.0, late_looks=100)
        >>> round(test.update([Split(0.1, 8, 2)]).value(), 1)
        10.3
        """
        return self.restarts.value(log_prior(self.excess))

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON; floats keep every bit."""
        return {"excess": self.excess, **self.restarts.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RateRatio":
        """Return the state that `to_json` wrote."""
        return cls(value["excess"], Restarts.from_json(value))


@lru_cache(maxsize=64)
def log_prior(excess: float) -> Floats:
    """Return ln of the prior weights of the alternatives."""
    return bell_weights(np.log(EXCESSES), float(np.log(excess)), SPREAD)
