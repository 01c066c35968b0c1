"""Laws of every sketch, found by looking for whatever adds: sums know no order, no partition and no batch size."""

import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coalmine.policies import Losses, Moments, PredictionCounts, Sums, stats
from coalmine.policies.stats.classifier import Confusion
from coalmine.policies.stats.losses import KEY_BUCKETS, LOSS_UNIT


def sketches() -> set[type[Any]]:
    """Every class of the statistics, and the scorecard, that can be added."""
    modules = [
        importlib.import_module(f"{stats.__name__}.{found.name}") for found in pkgutil.iter_modules(stats.__path__)
    ]
    found = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return {kind for kind in found | {Sums} if "__add__" in vars(kind)}


ROWS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, KEY_BUCKETS - 1)), max_size=30)

MAKERS: dict[type[Any], Callable[[list[tuple[float, int]]], Any]] = {
    Losses: lambda rows: Losses.of([loss for loss, _ in rows], [bucket for _, bucket in rows]),
    Confusion: lambda rows: Confusion.of([loss > 0.5 for loss, _ in rows], [bucket % 2 for _, bucket in rows]),
    Moments: lambda rows: moments(np.array([loss for loss, _ in rows])),
    PredictionCounts: lambda rows: PredictionCounts(
        dict(Counter(str(bucket) for loss, bucket in rows if loss < 0.3)),
        dict(Counter(bucket for loss, bucket in rows if loss > 0.6)),
        sum(0.3 <= loss <= 0.6 for loss, _ in rows),
    ),
    Sums: lambda rows: Sums(
        rows=len(rows),
        call_ms={bucket: 1 for _, bucket in rows},
        losses={"brier": MAKERS[Losses](rows)} if rows else {},
        predicted=MAKERS[PredictionCounts](rows),
        features={"age": (len(rows), sum(bucket for _, bucket in rows))} if rows else {},
        predictions=MAKERS[Moments](rows),
    ),
}
"""How each sketch sums up rows of (a number in 0..1, a bucket)."""


def moments(values: Any) -> Moments:
    return (
        Moments(len(values), float(values.mean()), float(np.square(values - values.mean()).sum()))
        if len(values)
        else Moments()
    )


def test_every_sketch_is_known_here() -> None:
    assert sketches() == set(MAKERS)


def near(one: Any, other: Any) -> bool:
    """Equal but for the last bits of what is floating point."""
    if isinstance(one, Moments):
        return one.n == other.n and np.allclose([one.mean, one.m2], [other.mean, other.m2], atol=1e-9)
    if isinstance(one, Sums):
        return near(one.predictions, other.predictions) and one.evidence() == other.evidence()
    return bool(one == other)


@pytest.mark.parametrize("kind", MAKERS, ids=lambda kind: kind.__name__)
@settings(max_examples=30)
@given(first=ROWS, second=ROWS, third=ROWS)
def test_sums_know_no_order_and_no_partition(kind: Any, first: Any, second: Any, third: Any) -> None:
    a, b, c = (MAKERS[kind](rows) for rows in (first, second, third))

    assert a + kind() == a == kind() + a
    assert near(a + b, b + a)
    assert near((a + b) + c, a + (b + c))
    if kind not in (Sums, Confusion):
        assert near((a + b) - a, b)
    if kind is not Sums:
        assert near(MAKERS[kind]([*first, *second, *third]), a + b + c)


def test_a_loss_keeps_its_digits_whatever_came_before() -> None:
    much = Losses.of_events(10**9, 10**8)
    little = Losses.of([0.25, 0.75], [0, 1])

    assert (much + little) - much == little
    assert (little.loss, little.square) == (1.0, 0.625)


def test_events_are_losses_without_rounding() -> None:
    assert Losses.of_events(4, 1) == Losses(4, LOSS_UNIT, LOSS_UNIT**2)
    assert Losses.of_events(4, 1).mean == 0.25


@pytest.mark.parametrize("loss", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_loss_outside_of_its_range_is_refused(loss: float) -> None:
    with pytest.raises(ValueError, match=r"outside of its range 0\.\.1"):
        Losses.of([0.5, loss], [0, 0])
