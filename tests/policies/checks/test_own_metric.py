"""Own metrics: a right one is brought into 0..1, and each way to be wrong has an error that says so."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from coalmine.errors import ConfigError
from coalmine.policies.checks.own_metric import check_own_metric, own_losses


@dataclass
class Cost:
    """A missed case costs 500, a check 20."""

    name: str = "cost"
    lowest: float = 0.0
    highest: float = 500.0

    def loss(self, predictions: Any, labels: Any) -> Any:
        return np.where(predictions > 0.5, 20.0, np.where(labels == 1, 500.0, 0.0))


@dataclass
class Answering(Cost):
    """Answers what it is told to."""

    answer: Any = None

    def loss(self, predictions: Any, labels: Any) -> Any:
        return self.answer


class Raising(Cost):
    def loss(self, predictions: Any, labels: Any) -> Any:
        raise KeyError("price")


class Greedy(Cost):
    """Writes into what it was given."""

    def loss(self, predictions: Any, labels: Any) -> Any:
        labels[:] = 0.0
        return labels


def test_losses_are_brought_into_the_range_of_the_tests() -> None:
    assert own_losses(Cost(lowest=-500.0), [0.9, 0.1, 0.9], [1, 1, 0]).tolist() == [0.52, 1.0, 0.52]


def test_no_rows_have_no_losses() -> None:
    assert own_losses(Cost(), [], []).tolist() == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([1.0], r"answered \(1,\) for rows \(2,\): one number a row"),
        (3.0, r"answered \(\) for rows \(2,\)"),
        ([1.0, 501.0], r"answered 501 for row 1, outside of its range 0..500"),
        ([np.nan, 1.0], r"answered nan for row 0, outside"),
        ([1.0, np.inf], r"answered inf for row 1, outside"),
        ([-0.1, 1.0], r"answered -0.1 for row 0, outside"),
    ],
)
def test_an_answer_that_is_no_loss_of_each_row_is_refused(answer: Any, message: str) -> None:
    with pytest.raises(ConfigError, match="own metric cost " + message):
        own_losses(Answering(answer=answer), [0.9, 0.1], [1, 0])


def test_a_metric_that_raises_is_named() -> None:
    with pytest.raises(ConfigError, match="own metric cost failed on 1 rows: KeyError: 'price'"):
        own_losses(Raising(), [0.5], [1])


def test_a_metric_that_writes_into_its_arguments_harms_nobody() -> None:
    labels = np.array([1.0, 0.0])

    own_losses(Greedy(), [0.5, 0.5], labels)

    assert labels.tolist() == [1.0, 0.0]


def test_a_right_metric_is_accepted() -> None:
    check_own_metric(Cost())


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (Cost(name=""), "has no name"),
        (Cost(lowest=1.0, highest=1.0), "no finite range"),
        (Cost(highest=np.inf), "no finite range"),
        (object(), "own metric object has no name"),
    ],
)
def test_what_cannot_be_a_metric_is_refused(metric: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_own_metric(metric)


def test_a_metric_without_a_loss_is_refused() -> None:
    class Empty:
        name, lowest, highest = "empty", 0.0, 1.0

    with pytest.raises(ConfigError, match="own metric empty has no method loss"):
        check_own_metric(Empty())
