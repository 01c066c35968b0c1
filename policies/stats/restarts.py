"""Tests that start anew: a late regression is found although the canary was good for hours.

An e-process that began at look 0 has lost its capital by the time a good canary turns bad, and must earn it back
first. So the prior keeps a share of itself back (`LATE_SHARE`) and spends it on 15 later starts, evenly spaced. A start
that has not come holds 1, so the whole is a mixture of e-processes with weights fixed beforehand, and an e-process
itself (convexity): the threshold stays 1/alpha. Knows nothing of what the gains of a look are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .mixture import Floats, log_sum_exp

__all__ = ["LATE_SHARE", "LATE_STARTS", "Restarts"]

LATE_SHARE = 0.15
"""Prior weight of the later starts: doubling at look 250 is found in 42 instead of 82 looks, for 3 % more exposure."""

LATE_STARTS = 15
"""Later starts that share `LATE_SHARE`."""

LOG_STARTS = np.log([1.0 - LATE_SHARE, *[LATE_SHARE / LATE_STARTS] * LATE_STARTS])
"""ln of the weight of each start."""

with np.errstate(divide="ignore"):
    LOG_WAITING = np.log([1.0, *(LATE_SHARE * np.arange(LATE_STARTS, -1, -1) / LATE_STARTS)])
    """ln of the weight of all starts still to come after n of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Restarts:
    """The e-values of one test from each of its starts: a value, made anew by every look.

    `spacing` is the number of looks between two starts, None: there is no later one and the first has all the weight.
    `looks` counts the looks taken. `log_e` has the starts so far on its first axis and the alternatives on its last.
    """

    spacing: int | None
    looks: int
    log_e: Floats

    @classmethod
    def start(cls, shape: tuple[int, ...], spacing: int | None) -> "Restarts":
        """Return the e-values before any look; `shape` is that of the gains of a look."""
        return cls(spacing, 0, np.zeros((1, *shape)))

    def update(self, gain: Floats) -> "Restarts":
        """Return the e-values after one more look, whose likelihood ratios have the logarithms `gain`."""
        log_e = self.log_e
        if self.spacing and self.looks and self.looks % self.spacing == 0 and len(log_e) <= LATE_STARTS:
            log_e = np.concatenate([log_e, np.zeros_like(log_e[:1])])
        return Restarts(self.spacing, self.looks + 1, log_e + gain)

    def part(self, index: int) -> "Restarts":
        """Return the e-values of one of several tests that are made side by side (second axis)."""
        return Restarts(self.spacing, self.looks, self.log_e[:, index])

    def value(self, log_prior: Floats) -> float:
        """Return ln of the mixture over starts and alternatives; `log_prior` has a weight for each alternative.

        >>> good, bad = np.array([-9.0]), np.array([6.0])
        >>> once, anew = Restarts.start((1,), spacing=None), Restarts.start((1,), spacing=2)
        >>> for gain in (good, good, bad):
        ...     once, anew = once.update(gain), anew.update(gain)
        >>> round(once.value(np.zeros(1)), 1), round(anew.value(np.zeros(1)), 1)
        (-12.0, 1.4)
        """
        if self.spacing is None:
            return log_sum_exp(self.log_e[0] + log_prior)
        started = len(self.log_e)
        weights = LOG_STARTS[:started, None] + log_prior
        return log_sum_exp(self.log_e + weights, float(LOG_WAITING[started]))

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON; floats keep every bit."""
        return {"spacing": self.spacing, "looks": self.looks, "log_e": self.log_e.tolist()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Restarts":
        """Return the state that `to_json` wrote; other names are left alone."""
        return cls(value["spacing"], value["looks"], np.array(value["log_e"], dtype=np.float64))
