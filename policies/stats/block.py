"""Is a frequent event likelier for the canary? The block test of two Bernoulli arms, an e-process.

The rows of one epoch in one look are a block. With p_s a guess of stable's rate from the past, g > 0 a log-odds ratio,
p_c = logistic(logit p_s + g), w the canary's share and p_0 = w p_c + (1 - w) p_s, each row multiplies E by

    canary: p_c / p_0 for an event, (1 - p_c) / (1 - p_0) without;   stable: the same with p_s in place of p_c

(Turner, Ly & Gruenwald, 2024, arXiv 2106.02693). For a row whose event has the probability q in both arms the two
means are a(q) and b(q) with w a + (1 - w) b = 1. So under random routing with the designed w the mean of E is exactly
1, and at most exp(w k sum(q_c - q_s)) with a k > 0 if the arms differ: it needs no p_s that is right, no equal rows and
no constant rate. With the observed share in place of w it is at most 1 for rows of equal rates given the past (weighted
means: a^w b^(1-w) <= 1); rows that differ among themselves then cost up to a factor 1 + w (1-w) (p_c-p_s)^2 / (2 p q)
a block, 1.0002 at 2 points of 10 %.

Null: the canary's rate is not above stable's. Guarantee: P(E ever reaches 1/alpha) <= alpha (Ville, 1939). Unlike the
rate ratio it counts the rows without an event too, and so is quicker above 5 %.

The prior over g is a bell in ln g around the design effect; a part of it starts anew at later looks (`restarts`).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .mixture import Floats, bell_weights
from .restarts import Restarts

__all__ = ["Block", "BlockTest"]

MULTIPLES = np.exp(np.linspace(-2.5, 2.5, 24))
"""Alternatives as multiples of the design effect: a twelfth to twelve times its log-odds ratio."""

SPREAD = 0.7
"""Standard deviation of ln g in the prior: half of it within a factor 1.6 of the design effect."""

LOG_PRIOR = bell_weights(np.log(MULTIPLES), 0.0, SPREAD)


@dataclass(frozen=True, slots=True)
class Block:
    """Rows and events of both arms in one epoch of one look.

    `share` is the canary's share of the rows: the designed one under random routing, else the observed one.
    """

    share: float
    canary_n: int
    canary_events: int
    stable_n: int
    stable_events: int


@dataclass(frozen=True, slots=True, eq=False)
class BlockTest:
    """The state of one test: a value, made anew by every look.

    `log_odds` is the design effect as a log-odds ratio; `restarts` has a number for each alternative.
    """

    log_odds: float
    restarts: Restarts

    @classmethod
    def start(cls, base: float, margin: float, late_looks: int) -> "BlockTest":
        """Return the test before any look.

        The design effect is a rate of `base` + `margin` against `base` (0 < base < 1; margin > 0; their sum is kept
        below 1). `late_looks` is the number of looks over which later starts are spread.
        """
        worse = min(base + margin, 0.5 * (1.0 + base))
        return cls(logit(worse) - logit(base), Restarts.start(MULTIPLES.shape, late_looks))

    def update(self, blocks: Iterable[Block], centre: float) -> "BlockTest":
        """Return the test after one more look.

        `centre` (above 0, below 1) is stable's rate as earlier looks show it. Blocks whose share is 0 or 1 compare
        nothing and are skipped.
        """
        gain = np.zeros(len(MULTIPLES))
        for block in blocks:
            if 0.0 < block.share < 1.0:
                gain += self._gain(block, centre)
        return BlockTest(self.log_odds, self.restarts.update(gain))

    def _gain(self, block: Block, centre: float) -> Floats:
        w, odds = block.share, np.exp(self.log_odds * MULTIPLES)
        scale = 1.0 - centre + centre * odds
        canary_event, canary_none = odds / scale, 1.0 / scale
        event, none = w * canary_event + (1.0 - w), w * canary_none + (1.0 - w)
        gain = block.canary_events * np.log(canary_event) + (block.canary_n - block.canary_events) * np.log(canary_none)
        events = block.canary_events + block.stable_events
        n = block.canary_n + block.stable_n
        return np.asarray(gain - events * np.log(event) - (n - events) * np.log(none))

    def value(self) -> float:
        """Return ln E now; 0 before any row.

        >>> test = BlockTest.start(base=0.1, margin=0.05, late_looks=100)
        >>> round(test.update([Block(0.5, 300, 60, 300, 30)], centre=0.1).value(), 1)
        4.7
        """
        return self.restarts.value(LOG_PRIOR)

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON; floats keep every bit."""
        return {"log_odds": self.log_odds, **self.restarts.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "BlockTest":
        """Return the state that `to_json` wrote."""
        return cls(value["log_odds"], Restarts.from_json(value))


def logit(p: float) -> float:
    """Return the log-odds of a probability above 0 and below 1."""
    return math.log(p) - math.log1p(-p)
