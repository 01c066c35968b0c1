from collections.abc import Iterable
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.policies import Breaker


def fed(rows: Iterable[bool]) -> Breaker:
    breaker = Breaker()
    for row in rows:
        breaker = breaker.after([row])
    return breaker


def rows_to_trip(rng: np.random.Generator, rate: float) -> int:
    """Return how many rows a canary answers that fails at `rate`."""
    breaker, rows = Breaker(), 0
    while not breaker.tripped:
        breaker, rows = breaker.after([bool(rng.random() < rate)]), rows + 1
    return rows


def plain_scores(failed: Iterable[bool]) -> list[float]:
    """Return the scores of the textbook: g <- max(0, g) + log-likelihood ratio of the row."""
    score, scores = 0.0, []
    for row in failed:
        score = max(0.0, score) + (log(0.5 / 0.05) if row else log(0.5 / 0.95))
        scores.append(score)
    return scores


batches = st.lists(st.lists(st.booleans(), max_size=12), max_size=12)


@given(batches)
def test_the_score_is_that_of_the_plain_formula_whatever_the_batches(parts: list[list[bool]]) -> None:
    breaker = Breaker()
    for part in parts:
        breaker = breaker.after(part)

    rows = [row for part in parts for row in part]
    scores = plain_scores(rows)
    assert breaker.tripped == any(score >= log(1e6) - 1e-9 for score in scores)
    assert breaker.tripped or breaker.score == pytest.approx(scores[-1] if scores else 0.0)
    assert breaker.tripped or breaker.failures == sum(rows)


def test_the_sixth_failure_in_a_row_trips() -> None:
    assert not fed([True] * 5).tripped
    assert fed([True] * 6).tripped
    assert fed([False] * 100_000 + [True] * 6).tripped
    assert Breaker().after([True] * 6).tripped


def test_a_batch_that_ends_well_trips_if_it_was_bad_enough_on_the_way() -> None:
    assert Breaker().after([True] * 6 + [False] * 900).tripped


def test_half_of_the_rows_failing_trips_after_about_17_rows() -> None:
    rng = np.random.default_rng(1)

    lengths = [rows_to_trip(rng, 0.5) for _ in range(2_000)]

    assert np.mean(lengths) == pytest.approx(17, abs=1)


def test_three_tenths_of_the_rows_failing_trips_after_about_51_rows() -> None:
    rng = np.random.default_rng(2)

    lengths = [rows_to_trip(rng, 0.3) for _ in range(1_000)]

    assert np.mean(lengths) == pytest.approx(51, abs=6)


def test_five_percent_failing_trips_less_than_once_in_a_million_rows() -> None:
    rng = np.random.default_rng(3)
    trips = 0
    breaker = Breaker()

    for batch in rng.random((10_000, 1_000)) < 0.05:
        breaker = breaker.after(batch.tolist())
        trips, breaker = trips + breaker.tripped, Breaker() if breaker.tripped else breaker

    assert trips <= 10


def test_two_time_outs_close_together_trip() -> None:
    late = Breaker().after([True], timeouts=1)

    assert not late.tripped
    assert late.after([True], timeouts=1).tripped
    assert late.after([False] * 900).after([True], timeouts=1).tripped
    assert Breaker().after([True, True], timeouts=2).tripped


def test_time_outs_far_apart_do_not_trip() -> None:
    late = Breaker().after([True], timeouts=1)

    assert not late.after([False] * 1_000).after([True], timeouts=1).tripped


def test_a_tripped_breaker_stays_as_it_is() -> None:
    tripped = fed([True] * 6)

    assert tripped.after([False] * 10_000) == tripped
    assert tripped.failures == 6
