"""Summaries of a classifier against scikit-learn on the same rows."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from coalmine.policies.stats.classifier import Confusion, area_of_counts, area_under_curve

ROWS = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 1)), min_size=4, max_size=60).filter(
    lambda rows: {y for _, y in rows} == {0, 1}
)


@given(ROWS)
def test_the_area_is_that_of_scikit_learn_with_and_without_ties(rows: list[tuple[int, int]]) -> None:
    scores, labels = np.array([score / 10 for score, _ in rows]), np.array([label for _, label in rows])
    distinct = scores + 1e-6 * np.arange(len(scores))

    assert area_under_curve(scores, labels) == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-9)
    assert area_under_curve(distinct, labels) == pytest.approx(metrics.roc_auc_score(labels, distinct), abs=1e-9)


@given(ROWS)
def test_precision_recall_and_f1_are_those_of_scikit_learn(rows: list[tuple[int, int]]) -> None:
    predicted, labels = [score > 5 for score, _ in rows], [label for _, label in rows]
    seen = Confusion.of(predicted, labels)

    expected = metrics.precision_score(labels, predicted, zero_division=np.nan)

    assert seen.precision == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert seen.recall == pytest.approx(metrics.recall_score(labels, predicted), abs=1e-9)
    assert seen.f1 == pytest.approx(metrics.f1_score(labels, predicted), abs=1e-9)


@given(ROWS, ROWS)
def test_counts_of_parts_add_up_to_the_whole(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    def counted(rows: list[tuple[int, int]]) -> Confusion:
        return Confusion.of([score > 5 for score, _ in rows], [label for _, label in rows])

    assert counted(first) + counted(second) == counted(first + second) == counted(second) + counted(first)
    assert counted(first) + Confusion() == counted(first)


def test_counts_by_bucket_give_the_area_of_their_ties() -> None:
    rng = np.random.default_rng(2)
    labels, buckets = rng.integers(0, 2, 300), rng.integers(0, 8, 300)
    positives = np.bincount(buckets[labels == 1], minlength=8)
    negatives = np.bincount(buckets[labels == 0], minlength=8)

    assert area_of_counts(positives, negatives) == pytest.approx(metrics.roc_auc_score(labels, buckets), abs=1e-12)


def test_what_no_row_defines_is_not_a_number() -> None:
    assert math.isnan(area_under_curve([0.1, 0.2], [1, 1]))
    assert math.isnan(area_under_curve([], []))
    assert math.isnan(Confusion().precision)
    assert math.isnan(Confusion(rejections=5).recall)
