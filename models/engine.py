"""One call of one model for the rows of a batch, and what to make of a model that fails.

Whatever the model does (raise, leave, answer nan or in another shape) becomes a value here. A call that raises is
bisected, within its time, to find the guilty rows; the others keep their answers. When every row of a call of two
or more fails, the rows share one fate and the fault is the call's: statistics count it once, not row by row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .cell import Row
from .features import Misfit
from .manifest import OutputKind
from .model import Model

__all__ = ["Answers", "Call", "FaultCode", "answer"]

FaultCode: TypeAlias = Literal["model_error", "bad_output"]
"""What a model did wrong, as the wire names it. A timeout is the business of whoever waits for the call."""

PROBES = 8
"""Single rows tried before a long bisection: when all of them fail, so does the model, and the search is given up.

A model that fails on half of its rows is taken for dead in 0.4 % of its calls; one that fails on 14 %, never.
"""

PROBABILITY_SLACK = 1e-9
"""How far a probability may leave 0..1: averages of many trees end at 1.0000000000000002."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model: rows `first_row` .. `first_row + rows - 1`, `ms` with the search for guilty rows.

    `fault` is set when the call failed as a whole, or ran out of time before all guilty rows were found.
    """

    first_row: int
    rows: int
    ms: float
    fault: FaultCode | None


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model made of the rows of a batch.

    `values` is float64 (n,), nan where the row has a fault. `faults` names these rows; those in `by_call` failed
    with their call and are accounted for by `Call.fault`, the others by themselves. `error` is the type of the
    first exception ("" without one), never its text, which may hold values of a request.
    """

    values: NDArray[np.float64]
    faults: dict[int, FaultCode]
    by_call: frozenset[int]
    calls: tuple[Call, ...]
    error: str


def answer(model: Model, rows: Sequence[Row], timer: Callable[[], float], budget_ms: float | None = None) -> Answers:
    """Return the answers of `model` to `rows`; never raises for anything the model does.

    `timer` is a monotonic clock in seconds (`time.perf_counter`). Once `budget_ms` is spent no further call is made
    to find guilty rows and the unsettled ones count as failed; a call that runs is not interrupted. KeyboardInterrupt
    passes through; SystemExit is a fault, since a model has no say in when its worker ends.
    """
    if not rows:
        return Answers(np.empty(0), {}, frozenset(), (), "")
    started = timer()
    attempt = _Attempt(model, rows, timer, None if budget_ms is None else started + budget_ms / 1e3)
    values = attempt.call(rows)
    if values is None:
        attempt.settle(attempt.failure, range(len(rows)))
        values = attempt.values
    ms = (timer() - started) * 1e3
    sound = _sound(values, model.manifest.output)
    if sound.all():
        return Answers(values, {}, frozenset(), (Call(0, len(rows), ms, None),), attempt.error)
    return _with_faults(attempt, values, sound, ms)


def _sound(values: NDArray[np.float64], kind: OutputKind) -> NDArray[np.bool_]:
    """Return which values may be published; nan never is."""
    if kind is OutputKind.NUMBER:
        return np.isfinite(values)
    return (values >= -PROBABILITY_SLACK) & (values <= 1 + PROBABILITY_SLACK)


def _with_faults(attempt: "_Attempt", values: NDArray[np.float64], sound: NDArray[np.bool_], ms: float) -> Answers:
    count = len(values)
    unsound = [int(row) for row in np.flatnonzero(~sound)]
    faults: dict[int, FaultCode] = {row: attempt.faults.get(row, "bad_output") for row in unsound}
    by_call = frozenset(attempt.unsettled)
    if count > 1 and len(faults) == count:
        by_call = frozenset(faults)
    fault = faults[min(by_call)] if by_call else None
    clean = np.where(sound, values, np.nan)
    return Answers(clean, faults, by_call, (Call(0, count, ms, fault),), attempt.error)


class _WrongShape(Exception):
    """Raised when a model does not answer with one number a row."""


@dataclass(slots=True)
class _Attempt:
    """The state of one batch: values found so far, faults found so far, rows nobody had time to settle."""

    model: Model
    rows: Sequence[Row]
    timer: Callable[[], float]
    deadline: float | None
    failure: BaseException | None = None
    error: str = ""
    values: NDArray[np.float64] = field(init=False)
    faults: dict[int, FaultCode] = field(default_factory=dict)
    unsettled: set[int] = field(default_factory=set)

    def call(self, rows: Sequence[Row]) -> NDArray[np.float64] | None:
        """Return the answers to `rows`, shape (len(rows),), or None with `failure` set."""
        try:
            values = np.asarray(self.model.predict(rows))
            if values.shape != (len(rows),) or values.dtype.kind not in "fiub":
                raise _WrongShape
            return values.astype(np.float64, copy=False)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the model is foreign code; its failure is data
            self.failure = error
            self.error = self.error or type(error).__name__.lstrip("_")
            return None

    def settle(self, failure: BaseException | None, indices: Sequence[int]) -> None:
        """Find the guilty among `indices`, whose common call ended with `failure`."""
        self.values = np.full(len(self.rows), np.nan)
        if len(indices) > PROBES and not isinstance(failure, Misfit | _WrongShape) and self._is_dead(indices):
            self._give_up(indices, "model_error")
        else:
            self._split(failure, indices)

    def _is_dead(self, indices: Sequence[int]) -> bool:
        spaced = [indices[probe * len(indices) // PROBES] for probe in range(PROBES)]
        return not any(self._is_late() or self.call([self.rows[index]]) is not None for index in spaced)

    def _split(self, failure: BaseException | None, indices: Sequence[int]) -> None:
        if isinstance(failure, _WrongShape):
            self._give_up(indices, "bad_output")
        elif isinstance(failure, Misfit) and failure.rows:
            misfits = {indices[row] for row in failure.rows}
            self.faults |= dict.fromkeys(misfits, "model_error")
            self._try([index for index in indices if index not in misfits])
        elif len(indices) == 1:
            self.faults[indices[0]] = "model_error"
        else:
            middle = len(indices) // 2
            self._try(indices[:middle])
            self._try(indices[middle:])

    def _try(self, indices: Sequence[int]) -> None:
        if not indices:
            return
        if self._is_late():
            self._give_up(indices, "model_error")
            return
        values = self.call([self.rows[index] for index in indices])
        if values is None:
            self._split(self.failure, indices)
        else:
            self.values[list(indices)] = values

    def _give_up(self, indices: Sequence[int], code: FaultCode) -> None:
        self.faults |= dict.fromkeys(indices, code)
        self.unsettled.update(indices)

    def _is_late(self) -> bool:
        return self.deadline is not None and self.timer() >= self.deadline
