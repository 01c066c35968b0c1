"""What a labelled prediction, or a number in an outcome, costs: one loss a row, bigger is worse, in its range 0..1.

A prediction is the probability of class 1 for a label of 0 or 1, or a number for a label that is a number. Each loss
is divided by its range, row by row, so what is summed later has neither offset nor outliers:

| loss             | of a row                                            | range  |
|------------------|-----------------------------------------------------|--------|
| accuracy         | 1 if the class (probability above 1/2) is wrong     | 1      |
| miss rate        | the same, of rows with label 1 only                 | 1      |
| false alarm rate | the same, of rows with label 0 only                 | 1      |
| Brier            | (p - label)^2                                       | 1      |
| log loss         | -ln(probability of the label), at most the cap      | cap    |
| absolute error   | abs(prediction - label), at most the cap            | cap    |
| squared error    | (prediction - label)^2, at most the cap             | cap    |
| too high         | p - label + 1                                       | 2      |
| too low          | label - p + 1                                       | 2      |
| mean             | the number between 0 and the cap; minus it, plus the cap, if a decrease is bad | cap |

Too high and too low are calibration in the large: their means differ from 1 by how far the mean probability lies above
(below) the share of label 1, so a difference of the arms is one of their biases. A canary is calibrated no worse than
stable if it passes both. Knows nothing of topics, joins or tests.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..plan.plan import Direction, Metric

__all__ = ["CALIBRATION_RANGE", "RowLosses", "mean_losses", "row_losses", "too_high", "too_low"]

Floats = NDArray[np.float64]

DECISION = 0.5
"""Probability above which a row is put into class 1."""

CALIBRATION_RANGE = 2.0
"""Range of the calibration losses: a margin of 1 point of bias is half a point of them."""


@dataclass(frozen=True, slots=True, eq=False)
class RowLosses:
    """The losses (0..1) of those rows that have one: `rows` are their places among all rows."""

    rows: NDArray[np.intp]
    losses: Floats


def row_losses(metric: Metric, predictions: ArrayLike, labels: ArrayLike, cap: float = 1.0) -> RowLosses:
    """Return the losses of labelled predictions, arrays of one number a row.

    `cap` is used by the losses that need one (`Metric.has_cap`). Raises ValueError for a metric that is not taken of
    predictions and labels, for arrays of different shapes, and for what is no prediction or label of the metric.

    >>> row_losses(Metric.MISS_RATE, [0.9, 0.2, 0.4], [1, 1, 0]).losses
    array([0., 1.])
    """
    if metric not in LOSSES:
        raise ValueError(f"{metric.value} is not a loss of a prediction and its label")
    p, y = np.asarray(predictions, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if p.ndim != 1 or p.shape != y.shape:
        raise ValueError(f"{metric.value}: predictions {p.shape} and labels {y.shape} are not one a row each")
    check_rows(metric, p, y)
    rows = np.flatnonzero(y == OF_LABEL[metric]) if metric in OF_LABEL else np.arange(len(y))
    return RowLosses(rows, LOSSES[metric](p[rows], y[rows], cap))


def check_rows(metric: Metric, p: Floats, y: Floats) -> None:
    """Raise ValueError, naming the first of them, for predictions or labels that the metric cannot use."""
    if metric in (Metric.ABSOLUTE_ERROR, Metric.SQUARED_ERROR):
        refuse(metric, "prediction", p, ~np.isfinite(p), "a finite number")
        refuse(metric, "label", y, ~np.isfinite(y), "a finite number")
        return
    refuse(metric, "prediction", p, ~((p >= 0.0) & (p <= 1.0)), "a probability")
    refuse(metric, "label", y, ~((y == 0.0) | (y == 1.0)), "0 or 1")


def refuse(metric: Metric, what: str, values: Floats, bad: NDArray[np.bool_], wanted: str) -> None:
    """Raise ValueError if any of the values is bad."""
    if bad.any():
        raise ValueError(f"{metric.value}: {what} {values[bad][0]:g} of row {int(bad.argmax())} is not {wanted}")


def mean_losses(values: ArrayLike, cap: float, direction: Direction) -> Floats:
    """Return the losses of numbers that should not rise (or not fall); below 0 and above `cap` they are cut off.

    Raises ValueError for a number that is not finite.

    >>> mean_losses([25.0, 700.0], cap=100.0, direction=Direction.DECREASE)
    array([0.75, 0.  ])
    """
    numbers = np.asarray(values, dtype=np.float64)
    refuse(Metric.MEAN, "value", numbers, ~np.isfinite(numbers), "a finite number")
    shares = np.clip(numbers / cap, 0.0, 1.0)
    return np.asarray(1.0 - shares if direction is Direction.DECREASE else shares)


def wrong(p: Floats, y: Floats, _: float) -> Floats:
    """Return 1 where the class is not the label."""
    return np.asarray((p > DECISION) != (y == 1.0), dtype=np.float64)


def brier(p: Floats, y: Floats, _: float) -> Floats:
    """Return the squared distance of the probability from the label."""
    return np.asarray(np.square(p - y))


def log_loss(p: Floats, y: Floats, cap: float) -> Floats:
    """Return the surprise at the label in nats over the cap; a certain error costs the cap."""
    with np.errstate(divide="ignore"):
        surprise = -np.log(np.where(y == 1.0, p, 1.0 - p))
    return np.asarray(np.minimum(surprise, cap) / cap)


def absolute_error(p: Floats, y: Floats, cap: float) -> Floats:
    """Return the distance from the label over the cap."""
    with np.errstate(over="ignore"):
        return np.asarray(np.minimum(np.abs(p - y), cap) / cap)


def squared_error(p: Floats, y: Floats, cap: float) -> Floats:
    """Return the squared distance from the label over the cap."""
    with np.errstate(over="ignore"):
        return np.asarray(np.minimum(np.square(p - y), cap) / cap)


def too_high(predictions: ArrayLike, labels: ArrayLike) -> Floats:
    """Return the losses of probabilities that lie above their labels on the whole.

    Raises ValueError for what is no probability, or a label neither 0 nor 1.

    >>> float(too_high([0.25, 0.25], [0, 1]).mean() * CALIBRATION_RANGE - 1.0)
    -0.25
    """
    p, y = np.asarray(predictions, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    check_rows(Metric.BRIER, p, y)
    return np.asarray((p - y + 1.0) / CALIBRATION_RANGE)


def too_low(predictions: ArrayLike, labels: ArrayLike) -> Floats:
    """Return the losses of probabilities that lie below their labels on the whole; raises as `too_high` does."""
    return np.asarray(1.0 - too_high(predictions, labels))


LOSSES: Mapping[Metric, Callable[[Floats, Floats, float], Floats]] = {
    Metric.ACCURACY: wrong,
    Metric.MISS_RATE: wrong,
    Metric.FALSE_ALARM_RATE: wrong,
    Metric.BRIER: brier,
    Metric.LOG_LOSS: log_loss,
    Metric.ABSOLUTE_ERROR: absolute_error,
    Metric.SQUARED_ERROR: squared_error,
}
"""The losses of a prediction and its label."""

OF_LABEL: Mapping[Metric, float] = {Metric.MISS_RATE: 1.0, Metric.FALSE_ALARM_RATE: 0.0}
"""The label of the rows that have the loss, where not all have it."""
