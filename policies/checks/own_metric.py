"""Own metrics: a loss that the author of a rollout wrote, and what its answers must look like to be trusted.

    class Cost:
        name, lowest, highest = "cost", 0.0, 500.0

        def loss(self, predictions, labels):
            return np.where(predictions > 0.5, 20.0, np.where(labels == 1, 500.0, 0.0))

Where the class comes from is the concern of others.
"""

import math
from typing import Protocol, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coalmine.errors import ConfigError

__all__ = ["OwnMetric", "check_own_metric", "own_losses"]


class OwnMetric(Protocol):
    """A loss of labelled predictions. Bigger is worse; the same rows always give the same losses."""

    @property
    def name(self) -> str:
        """What it is called on screens and in messages."""
        ...

    @property
    def lowest(self) -> float:
        """The least a row can cost."""
        ...

    @property
    def highest(self) -> float:
        """The most a row can cost, above `lowest`: the narrower the range, the sooner a decision."""
        ...

    def loss(self, predictions: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return one number from `lowest` to `highest` for each row; both arrays have one number a row."""
        ...


def check_own_metric(metric: object) -> None:
    """Raise ConfigError, naming what is missing, for what cannot be an own metric."""
    label = getattr(metric, "name", None)
    if not isinstance(label, str) or not label:
        raise ConfigError(f"own metric {type(metric).__name__} has no name: give it one, a string")
    lowest, highest = (getattr(metric, bound, None) for bound in ("lowest", "highest"))
    if not (is_finite(lowest) and is_finite(highest) and lowest < highest):
        raise ConfigError(f"own metric {label}: lowest {lowest} and highest {highest} are no finite range of losses")
    if not callable(getattr(metric, "loss", None)):
        raise ConfigError(f"own metric {label} has no method loss(predictions, labels)")


def is_finite(bound: object) -> TypeGuard[float]:
    """Tell whether the bound is a finite number."""
    return isinstance(bound, int | float) and math.isfinite(bound)


def own_losses(metric: OwnMetric, predictions: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Return the losses of rows, one each, brought into 0..1 by the range of the metric.

    Raises ConfigError when the answer is not one finite number a row inside the range, or when the metric itself
    raises.
    """
    p, y = np.array(predictions, dtype=np.float64), np.array(labels, dtype=np.float64)
    try:
        answer = np.asarray(metric.loss(p, y), dtype=np.float64)
    except Exception as error:  # foreign code may raise anything
        raise ConfigError(
            f"own metric {metric.name} failed on {len(y)} rows: {type(error).__name__}: {error}"
        ) from error
    if answer.shape != y.shape:
        raise ConfigError(f"own metric {metric.name} answered {answer.shape} for rows {y.shape}: one number a row")
    outside = ~((answer >= metric.lowest) & (answer <= metric.highest))
    if outside.any():
        row = int(outside.argmax())
        found, allowed = f"{answer[row]:g} for row {row}", f"{metric.lowest:g}..{metric.highest:g}"
        raise ConfigError(f"own metric {metric.name} answered {found}, outside of its range {allowed}")
    return np.asarray((answer - metric.lowest) / (metric.highest - metric.lowest))
