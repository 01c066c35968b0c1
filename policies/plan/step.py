"""The steps of a plan: how much of the traffic the canary gets, for how long, on how much evidence."""

import math
from dataclasses import dataclass

__all__ = ["LONGEST_MS", "MOST_SAMPLES", "WEIGHT_UNITS", "Bake", "Step", "check_ms", "is_routable"]

WEIGHT_UNITS = 10_000
"""Units of the routing hash per percent: a weight has at most 4 decimals, so 0.0001 % is one unit of 10**6."""

LONGEST_MS = 366 * 86_400_000
"""No time of a plan is longer than a year; a longer one is a slip, or meant to do harm."""

MOST_SAMPLES = 1_000_000_000
"""Rows a step may ask for: more are never reached."""


def check_ms(what: str, ms: int, least: int, most: int = LONGEST_MS) -> None:
    """Raise ValueError for a time that makes no sense as `what`."""
    if not least <= ms <= most:
        raise ValueError(f"{what} must lie between {least} and {most} ms")


def is_routable(weight: float) -> bool:
    """Tell whether the router can realise `weight` (percent) exactly: at most 4 decimals.

    The bound stands first: scaled, a huge weight becomes infinite, and an infinite one cannot be rounded.
    """
    return abs(weight) <= 100 and abs(weight * WEIGHT_UNITS - round(weight * WEIGHT_UNITS)) < 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the ramp: stay at `weight` for `hold_ms` and until `samples` canary rows are evidence."""

    weight: float
    hold_ms: int = 600_000
    samples: int = 100
    margin_factor: float = 1.0
    approval: bool = False

    def __post_init__(self) -> None:
        if self.weight < 1 / WEIGHT_UNITS or not is_routable(self.weight):
            raise ValueError(f"weight {self.weight} is not a percentage above 0, at most 100, with at most 4 decimals")
        check_ms("hold", self.hold_ms, 0)
        if not 1 <= self.samples <= MOST_SAMPLES:
            raise ValueError(f"samples must lie between 1 and {MOST_SAMPLES}")
        if not 1 <= self.margin_factor < math.inf:
            raise ValueError(f"margin_factor {self.margin_factor} would tighten the margin; it is at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bake:
    """The last stage before the promotion: the canary gets all but `holdback` percent for `hold_ms`.

    Before, because after a promotion there is no other model left to compare with. A day shows every hour of traffic.
    """

    hold_ms: int = 86_400_000
    holdback: float = 5.0

    def __post_init__(self) -> None:
        check_ms("the hold of the bake", self.hold_ms, 0)
        if not 0 < self.holdback < 100 or not is_routable(self.holdback):
            raise ValueError(f"holdback {self.holdback} is not a percentage above 0, below 100, at most 4 decimals")

    @property
    def weight(self) -> float:
        """What the canary gets, percent."""
        return round(100.0 - self.holdback, 4)
