"""How much worse is the canary, in absolute terms? The empirical-Bernstein test of a difference, an e-process.

A loss x lies in 0..1, and a unit belongs to the canary with the known probability w (or w is the observed share, and
everything holds given the counts). With a centre c taken from the past,

    phi = (x - c) / w for a canary unit, -(x - c) / (1 - w) for a stable one,   E[phi] = delta = canary - stable.

For y >= -1 and 0 <= f < 1: exp(f y - (-ln(1-f) - f) y^2) <= 1 + f y (Fan, Grama & Liu, 2015; Howard et al., 2020,
Theorem 4). With y = phi / C for "delta <= bound", y = -phi / C for "delta >= bound", C the largest -y can be,

    ln E(f) = sum over looks of (f / C) * gain - (-ln(1-f) - f) V / C^2,   gain = +-(S - bound n),

S and V the sums of phi and phi^2, which follow from the number, the total and the squares of the losses of each arm.
A mixture over f needs no knowledge of the variance: a guess from the past only aims it, so it follows the ramp.
Assumes nothing of the distribution, the drift or the size of a look. Guarantee: P(E ever reaches 1/alpha) <= alpha
under the null (Ville, 1939).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol

import numpy as np

from .mixture import Floats, bell_weights
from .restarts import Restarts

__all__ = ["Arms", "Bernstein", "Null", "Sample", "Terms"]

MULTIPLES = np.exp(np.linspace(-3.0, 3.0, 20))
"""Bets as multiples of the best one for the design effect."""

LOG_PRIOR = bell_weights(np.log(MULTIPLES), 0.0, 1.0)

BET_LOWEST, BET_HIGHEST = 6e-4, 0.6
"""Bounds of f: below, a bet says nothing within a million rows; above, one loss costs too much."""


class Null(Enum):
    """What is to be refuted."""

    NOT_WORSE = "not_worse"
    """delta <= bound: refuted, the canary is worse than the bound; for rollback."""
    WORSE = "worse"
    """delta >= bound: refuted, the canary is not worse by the bound; for promotion."""


class Terms(NamedTuple):
    """What ln E takes from a sample: S and V, the units they sum over, C, and the guess of the variance of phi."""

    signed: float
    square: float
    n: float
    cap: float
    variance: float


class Sample(Protocol):
    """Losses of one look and epoch, compared in some way: between two arms (`Arms`), or in pairs (`paired`)."""

    def terms(self, null: Null, centre: float, variance: float) -> Terms | None:
        """Return what ln E takes, around guesses from the past; None where nothing is compared."""
        ...


@dataclass(frozen=True, slots=True)
class Arms:
    """The losses (0..1) of both arms in one epoch of one look: their number, their sum and the sum of their squares.

    `share` is the canary's share of the units: the designed one under random routing, else the observed one.
    """

    share: float
    canary_n: float
    canary_total: float
    canary_squares: float
    stable_n: float
    stable_total: float
    stable_squares: float

    @classmethod
    def of_events(cls, share: float, canary_n: int, canary_events: int, stable_n: int, stable_events: int) -> "Arms":
        """Return the arms of losses that are 0 or 1, `events` of them 1."""
        x, y = float(canary_events), float(stable_events)
        return cls(share, canary_n, x, x, stable_n, y, y)

    def terms(self, null: Null, centre: float, variance: float) -> Terms | None:
        """Return what ln E takes; None with a share of 0 or 1. `variance` is that of a single loss."""
        w, v = self.share, 1.0 - self.share
        if not 0.0 < w < 1.0:
            return None
        signed = (self.canary_total - centre * self.canary_n) / w
        signed -= (self.stable_total - centre * self.stable_n) / v
        square = squares_around(centre, self.canary_n, self.canary_total, self.canary_squares) / w**2
        square += squares_around(centre, self.stable_n, self.stable_total, self.stable_squares) / v**2
        lower, upper = max(centre / w, (1.0 - centre) / v), max((1.0 - centre) / w, centre / v)
        cap = lower if null is Null.NOT_WORSE else upper
        return Terms(signed, square, self.canary_n + self.stable_n, cap, variance * (1.0 / w + 1.0 / v))


def squares_around(centre: float, n: float, total: float, squares: float) -> float:
    """Return the sum of (x - centre)^2 over losses; with losses in 0..1 too little cancels to matter."""
    return max(squares - 2.0 * centre * total + n * centre * centre, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Bernstein:
    """The state of the tests of one null at several bounds: a value, made anew by every look.

    `effects` are the distances between the truth hoped for and the bound, one a bound. `restarts` has a row
    for each bound and a column for each multiple of the best bet.
    """

    null: Null
    bounds: tuple[float, ...]
    effects: tuple[float, ...]
    restarts: Restarts

    @classmethod
    def start(
        cls, null: Null, bounds: tuple[float, ...], effects: tuple[float, ...], late_looks: int = 0
    ) -> "Bernstein":
        """Return the tests before any look.

        `late_looks` is the number of looks over which later starts are spread, for a rollback that must find late
        regressions; 0: one start alone, for a promotion, which has to rest on the whole attempt.
        """
        return cls(null, bounds, effects, Restarts.start((len(bounds), len(MULTIPLES)), late_looks))

    def update(self, samples: Iterable[Sample], centre: float, variance: float) -> "Bernstein":
        """Return the tests after one more look.

        `centre` (of two arms 0..1) and `variance` (above 0, of a single loss; of events centre (1 - centre)) are
        guesses that must come from earlier looks. Epochs whose share is 0 or 1 compare nothing and are skipped.
        """
        gain = np.zeros((len(self.bounds), len(MULTIPLES)))
        for sample in samples:
            terms = sample.terms(self.null, centre, variance)
            if terms is not None:
                gain += self._gain(terms)
        return Bernstein(self.null, self.bounds, self.effects, self.restarts.update(gain))

    def _gain(self, terms: Terms) -> Floats:
        signed, square, n, cap, variance = terms
        bounds = np.array(self.bounds)[:, None]
        gain = signed - bounds * n if self.null is Null.NOT_WORSE else bounds * n - signed
        best = cap * np.array(self.effects)[:, None] / variance
        bets = np.minimum(np.maximum(best * MULTIPLES, BET_LOWEST), BET_HIGHEST)
        return np.asarray(bets / cap * gain - (-np.log1p(-bets) - bets) * square / cap**2)

    def value(self, bound: float) -> float:
        """Return ln E now for one of the bounds.

        >>> test = Bernstein.start(Null.WORSE, (0.005,), (0.005,))
        >>> without_an_error = Arms.of_events(0.1, canary_n=1000, canary_events=0, stable_n=9000, stable_events=0)
        >>> round(test.update([without_an_error], centre=1e-4, variance=1e-4).value(0.005), 1)
        3.0
        """
        return self.restarts.part(self.bounds.index(bound)).value(LOG_PRIOR)

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON; floats keep every bit."""
        return {
            "null": self.null.value,
            "bounds": list(self.bounds),
            "effects": list(self.effects),
            **self.restarts.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Bernstein":
        """Return the state that `to_json` wrote."""
        return cls(Null(value["null"]), tuple(value["bounds"]), tuple(value["effects"]), Restarts.from_json(value))
