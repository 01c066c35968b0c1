"""Tests that start anew at every look: a late regression is found although the canary was good for hours.

An e-process that began at look 0 has lost its capital by the time a good canary turns bad, and must earn it back
first. So the prior keeps a share of itself back (`LATE_SHARE`) and spends it evenly on the looks to come: one more
start at each. A start that has not come holds 1, so the whole is a mixture of e-processes with weights fixed
beforehand, and an e-process itself (convexity): the threshold stays 1/alpha.

Starts share their alternatives, so their sum needs one number an alternative: with g the likelihood ratio of a look and
c what the prior spends at it, v <- g (v + c). Knows nothing of what the likelihood ratios are.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .mixture import Floats, log_sum_exp

__all__ = ["LATE_SHARE", "Restarts"]

LATE_SHARE = 0.2
"""Prior weight of the later starts: a 1 % rate that doubles is found in 45 instead of 82 looks, whenever it does, for
5 % more exposure where a canary is bad from the start."""


@dataclass(frozen=True, slots=True, eq=False)
class Restarts:
    """The e-values of one test, summed over its starts: a value, made anew by every look.

    `late_looks` is the number of looks after the first over which the later starts are spread, 0: there is no later
    one and the first has all the weight. `looks` counts the looks taken. `log_e` has the alternatives on its last axis,
    each without its prior weight.
    """

    late_looks: int
    looks: int
    log_e: Floats

    @classmethod
    def start(cls, shape: tuple[int, ...], late_looks: int) -> "Restarts":
        """Return the e-values before any look; `shape` is that of the gains of a look."""
        return cls(late_looks, 0, np.full(shape, math.log1p(-LATE_SHARE) if late_looks else 0.0))

    def update(self, gain: Floats) -> "Restarts":
        """Return the e-values after one more look, whose likelihood ratios have the logarithms `gain`."""
        log_e = self.log_e
        if 0 < self.looks <= self.late_looks:
            log_e = np.logaddexp(log_e, math.log(LATE_SHARE / self.late_looks))
        return Restarts(self.late_looks, self.looks + 1, log_e + gain)

    def part(self, index: int) -> "Restarts":
        """Return the e-values of one of several tests that are made side by side (first axis)."""
        return Restarts(self.late_looks, self.looks, self.log_e[index])

    def value(self, log_prior: Floats) -> float:
        """Return ln of the mixture over starts and alternatives; `log_prior` has a weight for each alternative.

        >>> good, bad = np.array([-9.0]), np.array([6.0])
        >>> once, anew = Restarts.start((1,), late_looks=0), Restarts.start((1,), late_looks=2)
        >>> for gain in (good, good, bad):
        ...     once, anew = once.update(gain), anew.update(gain)
        >>> round(once.value(np.zeros(1)), 1), round(anew.value(np.zeros(1)), 1)
        (-12.0, 3.7)
        """
        return log_sum_exp(self.log_e + log_prior, self.log_waiting)

    @property
    def log_waiting(self) -> float:
        """ln of the weight of all starts still to come."""
        to_come = self.late_looks - max(self.looks - 1, 0)
        return math.log(LATE_SHARE * to_come / self.late_looks) if to_come > 0 else -math.inf

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON; floats keep every bit."""
        return {"late_looks": self.late_looks, "looks": self.looks, "log_e": self.log_e.tolist()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Restarts":
        """Return the state that `to_json` wrote; other names are left alone."""
        return cls(value["late_looks"], value["looks"], np.array(value["log_e"], dtype=np.float64))
