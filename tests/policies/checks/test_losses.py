"""Losses of single rows against scikit-learn, their ranges, and what they refuse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from coalmine.policies.checks.losses import (
    CALIBRATION_RANGE,
    LOSSES,
    RowLosses,
    mean_losses,
    row_losses,
    too_high,
    too_low,
)
from coalmine.policies.plan.plan import Direction, Metric

RNG = np.random.default_rng(1)
P = np.round(RNG.uniform(0.01, 0.99, 500), 3)
Y = (RNG.uniform(size=500) < P * 0.7).astype(float)
NUMBERS, TARGETS = RNG.normal(3.0, 2.0, 500), RNG.normal(3.0, 2.0, 500)

CLASSIFIED = [metric for metric in LOSSES if metric not in (Metric.ABSOLUTE_ERROR, Metric.SQUARED_ERROR)]


def mean(metric: Metric, cap: float = 1.0) -> float:
    return float(row_losses(metric, P, Y, cap).losses.mean())


def test_accuracy_is_that_of_scikit_learn() -> None:
    assert 1 - mean(Metric.ACCURACY) == pytest.approx(metrics.accuracy_score(Y, P > 0.5), abs=1e-12)


def test_the_miss_rate_is_one_minus_recall() -> None:
    assert 1 - mean(Metric.MISS_RATE) == pytest.approx(metrics.recall_score(Y, P > 0.5), abs=1e-12)


def test_the_false_alarm_rate_is_one_minus_the_recall_of_class_nought() -> None:
    assert 1 - mean(Metric.FALSE_ALARM_RATE) == pytest.approx(metrics.recall_score(Y, P > 0.5, pos_label=0), abs=1e-12)


def test_the_brier_score_is_that_of_scikit_learn() -> None:
    assert mean(Metric.BRIER) == pytest.approx(metrics.brier_score_loss(Y, P), abs=1e-12)


def test_the_log_loss_below_its_cap_is_that_of_scikit_learn() -> None:
    assert 10 * mean(Metric.LOG_LOSS, cap=10.0) == pytest.approx(metrics.log_loss(Y, P), abs=1e-12)


def test_errors_below_their_cap_are_those_of_scikit_learn() -> None:
    absolute = row_losses(Metric.ABSOLUTE_ERROR, NUMBERS, TARGETS, 50.0).losses
    squared = row_losses(Metric.SQUARED_ERROR, NUMBERS, TARGETS, 500.0).losses

    assert 50 * absolute.mean() == pytest.approx(metrics.mean_absolute_error(TARGETS, NUMBERS), abs=1e-12)
    assert 500 * squared.mean() == pytest.approx(metrics.mean_squared_error(TARGETS, NUMBERS), abs=1e-12)


def test_calibration_losses_show_how_far_the_probabilities_lie_above_the_labels() -> None:
    bias = float(P.mean() - Y.mean())

    assert CALIBRATION_RANGE * too_high(P, Y).mean() - 1 == pytest.approx(bias, abs=1e-12)
    assert CALIBRATION_RANGE * too_low(P, Y).mean() - 1 == pytest.approx(-bias, abs=1e-12)


def test_only_rows_with_the_label_have_a_miss_or_a_false_alarm() -> None:
    missed, alarmed = row_losses(Metric.MISS_RATE, P, Y), row_losses(Metric.FALSE_ALARM_RATE, P, Y)

    assert (Y[missed.rows] == 1).all()
    assert (Y[alarmed.rows] == 0).all()
    assert len(missed.rows) + len(alarmed.rows) == len(Y) == len(row_losses(Metric.ACCURACY, P, Y).rows)


@pytest.mark.parametrize("metric", list(LOSSES))
@given(rows=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), max_size=20), cap=st.floats(1e-3, 1e3))
def test_every_loss_lies_in_its_range(metric: Metric, rows: list[tuple[float, int]], cap: float) -> None:
    losses = row_losses(metric, [p for p, _ in rows], [y for _, y in rows], cap).losses

    assert ((losses >= 0.0) & (losses <= 1.0)).all()


@pytest.mark.parametrize("metric", list(LOSSES))
def test_rows_in_parts_give_the_same_losses(metric: Metric) -> None:
    parts: list[RowLosses] = [row_losses(metric, P[part], Y[part], 2.0) for part in (slice(0, 99), slice(99, 500))]

    whole = row_losses(metric, P, Y, 2.0)

    assert np.concatenate([part.losses for part in parts]) == pytest.approx(whole.losses, abs=0)
    assert np.concatenate([parts[0].rows, parts[1].rows + 99]).tolist() == whole.rows.tolist()


@pytest.mark.parametrize("metric", list(LOSSES))
def test_worse_predictions_cost_more(metric: Metric) -> None:
    label = 0.0 if metric is Metric.FALSE_ALARM_RATE else 1.0

    good = row_losses(metric, [abs(label - 0.1)], [label], 2.0).losses
    bad = row_losses(metric, [abs(label - 0.9)], [label], 2.0).losses

    assert good < bad


def test_a_certain_error_costs_the_cap_of_the_log_loss_and_no_more() -> None:
    assert row_losses(Metric.LOG_LOSS, [0.0, 1.0, 1.0], [1, 0, 1], 5.0).losses.tolist() == [1.0, 1.0, 0.0]


def test_one_outlier_costs_no_more_than_the_cap() -> None:
    assert row_losses(Metric.SQUARED_ERROR, [1e200], [0.0], 9.0).losses.tolist() == [1.0]
    assert mean_losses([1e308, -1e308], 5.0, Direction.INCREASE).tolist() == [1.0, 0.0]


def test_an_offset_of_a_thousand_million_cancels_nothing() -> None:
    near = row_losses(Metric.ABSOLUTE_ERROR, 1e9 + NUMBERS, 1e9 + TARGETS, 50.0).losses
    plain = row_losses(Metric.ABSOLUTE_ERROR, NUMBERS, TARGETS, 50.0).losses

    assert near.var() == pytest.approx(plain.var(), rel=1e-6)


def test_a_mean_that_must_not_fall_is_its_distance_from_the_cap() -> None:
    rising = mean_losses([0.0, 20.0, 80.0], 80.0, Direction.INCREASE)
    falling = mean_losses([0.0, 20.0, 80.0], 80.0, Direction.DECREASE)

    assert rising.tolist() == [0.0, 0.25, 1.0]
    assert (rising + falling).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("metric", CLASSIFIED)
@pytest.mark.parametrize(("p", "y"), [(math.nan, 1.0), (1.1, 1.0), (0.5, 2.0), (0.5, math.nan)])
def test_what_is_no_probability_or_class_is_refused_with_its_row(metric: Metric, p: float, y: float) -> None:
    with pytest.raises(ValueError, match="of row 1 is not"):
        row_losses(metric, [0.5, p], [1.0, y], 2.0)


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="prediction inf of row 0"):
        row_losses(Metric.ABSOLUTE_ERROR, [math.inf], [1.0], 2.0)
    with pytest.raises(ValueError, match="value nan of row 1"):
        mean_losses([1.0, math.nan], 2.0, Direction.INCREASE)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one a row each"):
        row_losses(Metric.BRIER, [0.5, 0.5], [1.0])


def test_a_metric_of_serving_has_no_loss_of_labels() -> None:
    with pytest.raises(ValueError, match="slow_rate is not a loss"):
        row_losses(Metric.SLOW_RATE, [0.5], [1.0])
