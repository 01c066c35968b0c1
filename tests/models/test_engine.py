"""One call for a batch, and exactly the guilty rows when it fails."""

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coalmine.models import Answers, Manifest, Misfit, Row, answer
from coalmine.models.engine import PROBES

from .packages import packed

Predict = Callable[[Sequence[Row]], NDArray[np.float64]]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return packed(tmp_path_factory.mktemp("toy")).manifest


class Fake:
    """A model of probabilities that does what `predict` does and counts its calls."""

    digest = ""

    def __init__(self, manifest: Manifest, predict: Predict) -> None:
        self.manifest = manifest
        self.calls = 0
        self._predict = predict

    def predict(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        self.calls += 1
        return self._predict(rows)


def echo(rows: Sequence[Row]) -> NDArray[np.float64]:
    return np.array([row[0] for row in rows], dtype=np.float64)


def raising_on(guilty: set[int], error: BaseException | None = None) -> Predict:
    def predict(rows: Sequence[Row]) -> NDArray[np.float64]:
        if any(row[1] in guilty for row in rows):
            raise error or ValueError("row with a secret")
        return echo(rows)

    return predict


def rows(n: int) -> list[Row]:
    return [(index / 10_000, float(index)) for index in range(n)]


def ticking() -> Callable[[], float]:
    """Return a clock that is 1 ms further at every reading."""
    ticks = count()
    return lambda: next(ticks) / 1e3


def ask(manifest: Manifest, predict: Predict, n: int, budget_ms: float | None = None) -> Answers:
    return answer(Fake(manifest, predict), rows(n), ticking(), budget_ms)


def test_a_batch_is_one_call_with_its_time(manifest: Manifest) -> None:
    model = Fake(manifest, echo)

    answers = answer(model, rows(50), ticking())

    assert model.calls == 1
    assert answers.values.tolist() == [row[0] for row in rows(50)]
    assert (answers.faults, answers.by_call, answers.error) == ({}, frozenset(), "")
    assert [(c.first_row, c.rows, c.ms, c.fault) for c in answers.calls] == [(0, 50, 1.0, None)]


def test_no_rows_are_no_call(manifest: Manifest) -> None:
    answers = ask(manifest, raising_on({0}), 0)

    assert (len(answers.values), answers.calls) == (0, ())


@given(data=st.data(), n=st.integers(2, 40))
def test_exactly_the_guilty_rows_fail_and_the_others_keep_their_answers(
    manifest: Manifest, data: st.DataObject, n: int
) -> None:
    guilty = data.draw(st.sets(st.integers(0, n - 1)))
    probed = range(n) if n <= PROBES else [probe * n // PROBES for probe in range(PROBES)]
    assume(not guilty.issuperset(probed))

    answers = ask(manifest, raising_on(guilty), n)

    assert answers.faults == dict.fromkeys(guilty, "model_error")
    assert set(np.flatnonzero(np.isnan(answers.values))) == guilty
    assert all(answers.values[row] == row / 10_000 for row in set(range(n)) - guilty)
    assert answers.by_call == frozenset()
    assert [(call.rows, call.fault) for call in answers.calls] == [(n, None)]


@pytest.mark.parametrize("n", [2, PROBES, 200])
def test_a_call_that_fails_for_every_row_is_one_fault_of_the_call(manifest: Manifest, n: int) -> None:
    answers = ask(manifest, raising_on(set(range(n))), n)

    assert answers.faults == dict.fromkeys(range(n), "model_error")
    assert answers.by_call == frozenset(range(n))
    assert [call.fault for call in answers.calls] == ["model_error"]
    assert answers.error == "ValueError"


def test_a_single_row_that_fails_is_a_fault_of_the_row(manifest: Manifest) -> None:
    answers = ask(manifest, raising_on({0}), 1)

    assert answers.faults == {0: "model_error"}
    assert answers.by_call == frozenset()
    assert answers.calls[0].fault is None


def test_a_dead_model_is_given_up_after_a_few_probes(manifest: Manifest) -> None:
    model = Fake(manifest, raising_on(set(range(500))))

    answer(model, rows(500), ticking())

    assert model.calls == 1 + PROBES


def test_one_guilty_row_is_found_in_few_calls(manifest: Manifest) -> None:
    model = Fake(manifest, raising_on({300}))

    answers = answer(model, rows(1024), ticking())

    assert answers.faults == {300: "model_error"}
    assert model.calls <= 2 + 2 * 10


def test_when_the_time_is_over_the_unsettled_rows_fail_with_their_call(manifest: Manifest) -> None:
    guilty = set(range(0, 64, 4)) - {0}
    answers = ask(manifest, raising_on(guilty), 64, budget_ms=12)

    found = set(answers.faults) - answers.by_call
    assert found <= guilty
    assert answers.by_call
    assert guilty <= set(answers.faults)
    assert answers.calls[0].fault == "model_error"
    assert len(answers.faults) < 64


def test_a_failure_that_does_not_come_again_costs_nobody_an_answer(manifest: Manifest) -> None:
    calls = count()

    def moody(part: Sequence[Row]) -> NDArray[np.float64]:
        if next(calls) == 0:
            raise OSError
        return echo(part)

    answers = ask(manifest, moody, 4)

    assert (answers.faults, answers.error) == ({}, "OSError")
    assert answers.values.tolist() == [0.0, 0.0001, 0.0002, 0.0003]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.1, 1.1])
def test_an_answer_that_is_no_probability_is_a_bad_output_of_its_row(manifest: Manifest, bad: float) -> None:
    answers = ask(manifest, lambda part: np.array([0.5, bad, 0.5]), 3)

    assert answers.faults == {1: "bad_output"}
    assert np.isnan(answers.values[1])
    assert answers.by_call == frozenset()


def test_rounding_beyond_one_is_still_a_probability(manifest: Manifest) -> None:
    assert ask(manifest, lambda part: np.array([1 + 2e-16, -1e-17]), 2).faults == {}


@pytest.mark.parametrize(
    "shape", [np.full(2, 0.5), np.full((3, 1), 0.5), np.float64(0.5), np.array(["a", "b", "c"]), None]
)
def test_answers_of_another_shape_are_a_fault_of_the_call(manifest: Manifest, shape: NDArray[np.float64]) -> None:
    model = Fake(manifest, lambda part: shape)

    answers = answer(model, rows(3), ticking())

    assert answers.faults == dict.fromkeys(range(3), "bad_output")
    assert answers.by_call == {0, 1, 2}
    assert (answers.calls[0].fault, model.calls) == ("bad_output", 1)


def test_rows_that_do_not_fit_the_manifest_fail_alone(manifest: Manifest) -> None:
    def picky(part: Sequence[Row]) -> NDArray[np.float64]:
        misfits = [index for index, row in enumerate(part) if row[1] in (3, 5)]
        if misfits:
            raise Misfit(frozenset(misfits))
        return echo(part)

    model = Fake(manifest, picky)
    answers = answer(model, rows(20), ticking())

    assert answers.faults == {3: "model_error", 5: "model_error"}
    assert (answers.by_call, model.calls) == (frozenset(), 2)


def test_a_misfit_beside_a_guilty_row_is_told_from_it(manifest: Manifest) -> None:
    def picky(part: Sequence[Row]) -> NDArray[np.float64]:
        if part[0][1] == 0:
            raise Misfit(frozenset({0}))
        return raising_on({2})(part)

    answers = ask(manifest, picky, 4)

    assert answers.faults == {0: "model_error", 2: "model_error"}
    assert answers.values[[1, 3]].tolist() == [0.0001, 0.0003]


@pytest.mark.parametrize("error", [SystemExit(3), MemoryError(), RecursionError(), StopIteration()])
def test_whatever_a_model_raises_is_its_fault(manifest: Manifest, error: BaseException) -> None:
    answers = ask(manifest, raising_on({1}, error), 3)

    assert answers.faults == {1: "model_error"}
    assert answers.error == type(error).__name__


def test_an_operator_can_still_interrupt(manifest: Manifest) -> None:
    with pytest.raises(KeyboardInterrupt):
        ask(manifest, raising_on({1}, KeyboardInterrupt()), 3)


def test_a_loaded_package_names_the_rows_it_cannot_take(tmp_path: Path) -> None:
    answers = answer(packed(tmp_path), [(1.0, "red"), (1.0, "green"), ("1", "red")], ticking())

    assert answers.faults == {1: "model_error", 2: "model_error"}
    assert answers.values[0] == pytest.approx(1 / (1 + np.exp(-3.5)))
