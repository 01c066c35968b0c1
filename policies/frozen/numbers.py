"""What stable did before the attempt: numbers that are frozen before step 1 and never change in it. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..plan.step import LONGEST_MS
from .bins import PredictionBins
from .reference import Reference, fitting

__all__ = ["FrozenNumbers", "LossHistory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossHistory:
    """Rows of stable before the attempt, the mean (0..1) and the variance of their losses, in the range of the loss."""

    rows: int
    mean: float
    variance: float

    def __post_init__(self) -> None:
        if self.rows < 0 or not 0 <= self.mean <= 1 or not 0 <= self.variance <= 0.25 + 1e-9:
            raise ValueError("a history of losses has a mean from 0 to 1 and a variance of at most a quarter")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenNumbers:
    """Numbers the judge takes from stable's own history before step 1 and never changes in the attempt.

    `rows` and `calls` say how much history they rest on; `error_rate` (0..1) is the share of stable's rows that
    failed by themselves, `call_error_rate` that of its calls that failed whole; `slow_ms` maps the name of each
    slow-rate check to its threshold in ms, `slow_rates` to the share of stable's calls above it; `losses` maps the
    names of the other checks to what stable lost before. `segments` maps the names of checks by segment to the values
    that are compared, by falling traffic; all others are counted together as `other`. `predictions` maps the names of
    checks on predictions to their bins, `code_rates` those of checks on a code to the shares of stable's rows and calls
    that failed by it. `references` are how the features of the canary were distributed when it was trained.
    """

    rows: int
    calls: int
    error_rate: float
    slow_ms: Mapping[str, float] = field(default_factory=dict)
    call_error_rate: float = 0.0
    slow_rates: Mapping[str, float] = field(default_factory=dict)
    losses: Mapping[str, LossHistory] = field(default_factory=dict)
    segments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    predictions: Mapping[str, PredictionBins] = field(default_factory=dict)
    code_rates: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "FrozenNumbers":
        """Return the numbers that were written by `asdict`."""
        losses = {name: LossHistory(**history) for name, history in value.get("losses", {}).items()}
        segments = {name: tuple(values) for name, values in value.get("segments", {}).items()}
        predictions = {name: PredictionBins.from_json(bins) for name, bins in value.get("predictions", {}).items()}
        codes = {name: (rows, calls) for name, (rows, calls) in value.get("code_rates", {}).items()}
        references = tuple(map(Reference.from_json, value.get("references", ())))
        parsed = {"losses": losses, "segments": segments, "predictions": predictions, "code_rates": codes}
        return cls(**{**value, **parsed, "references": references})

    def __post_init__(self) -> None:
        by_code = [rate for rates in self.code_rates.values() for rate in rates]
        rates = (self.error_rate, self.call_error_rate, *self.slow_rates.values(), *by_code)
        if self.rows < 0 or self.calls < 0 or not all(0 <= rate <= 1 for rate in rates):
            raise ValueError("frozen numbers are counts from 0 and rates from 0 to 1")
        if fitting(self.references) != self.references:
            raise ValueError("frozen references are of different features and few enough to be counted")
        if not all(0 < ms <= LONGEST_MS for ms in self.slow_ms.values()):
            raise ValueError("frozen thresholds are durations above 0 ms")
