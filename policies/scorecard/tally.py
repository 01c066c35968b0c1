"""The tally: outcomes in, sums out. The hot side of the scorecard: whole batches, columns, no objects per row.

The sums are booked blindly by the revision and the variant an outcome names; what a revision means is the judge's
business. Dropping repeated outcomes is the caller's.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..plan.plan import Variant
from ..stats.durations import DURATION_EDGES, duration_bucket
from ..stats.losses import KEY_BUCKETS, NO_BUCKETS, Losses
from ..stats.moments import Moments
from ..stats.predictions import CELLS, NO_PREDICTIONS, PredictionCounts, Vocabulary, cells_of
from .counting import NOTHING_MORE, Counting
from .sums import OTHER, Sums, binned, segment_name, smallest_keys

__all__ = ["CallRow", "OutcomeRow", "Tally"]

Floats = NDArray[np.float64]

MOST_VALUES = 32
"""Values of a segment that are counted by themselves in one set of sums; a field of ids must not fill the memory."""

EXCLUDED = "excluded"
"""The reason under which rows of a batch that does not count (`evidence: false`) are booked."""

LARGEST_PREDICTION = 1e100
"""Larger predictions enter no moments, which are only shown: their squares would be infinite, which JSON cannot say."""


class CallRow(Protocol):
    """One model call: its duration in ms, and its fault if it failed whole."""

    @property
    def ms(self) -> float:
        """Duration of the call in ms."""
        ...

    @property
    def fault(self) -> str | None:
        """The code if the whole call failed."""
        ...


class OutcomeRow(Protocol):
    """What the tally reads of an outcome (`streams.messages.Outcome`)."""

    @property
    def revision(self) -> int:
        """The revision that routed the row."""
        ...

    @property
    def variant(self) -> str:
        """The variant the row was assigned to."""
        ...

    @property
    def mode(self) -> str:
        """`live`, or `shadow`: booked under the variant `shadow` whatever model it was."""
        ...

    @property
    def cohort(self) -> str | None:
        """None where the row was randomised."""
        ...

    @property
    def evidence(self) -> bool:
        """False where the whole batch is left out."""
        ...

    @property
    def ok(self) -> bool:
        """Whether the assigned variant answered."""
        ...

    @property
    def error_code(self) -> str | None:
        """Why it did not."""
        ...

    @property
    def by_call(self) -> bool:
        """Whether the row failed with its whole call, which counts the fault."""
        ...

    @property
    def call(self) -> CallRow | None:
        """The call, on the first of its rows that are evidence."""
        ...

    @property
    def bucket(self) -> int:
        """Key bucket 0..63."""
        ...

    @property
    def key_hash(self) -> str | None:
        """16 hex digits, on rows with a fault."""
        ...

    @property
    def segment(self) -> Mapping[str, str] | None:
        """The fields by which evidence can be cut."""
        ...

    @property
    def prediction(self) -> Any:
        """What the user got; only numbers are summed."""
        ...

    @property
    def features(self) -> Mapping[str, Sequence[int]] | None:
        """Rows of its batch by feature and bin, on the first row of the batch that is evidence."""
        ...

    @property
    def latency_ms(self) -> float:
        """From consume to produce."""
        ...


GROUP = attrgetter("revision", "variant", "mode", "cohort", "evidence")
ROW = attrgetter("ok", "bucket", "latency_ms", "prediction", "call")


class Tally:
    """Running sums by (revision, variant).

    `fold` costs about 1 us a row in batches of 1000; `sums` and `Tally.of` are for once per look.
    """

    def __init__(self) -> None:
        self._running: dict[tuple[int, str], Running] = {}
        self._vocabulary = Vocabulary()

    @classmethod
    def of(cls, sums: Mapping[int, Mapping[str, Sums]]) -> "Tally":
        """Return a tally that goes on from `sums` ({revision: {variant: sums}})."""
        tally = cls()
        tally._vocabulary = Vocabulary(value.predicted for variants in sums.values() for value in variants.values())
        for revision, variants in sums.items():
            for variant, value in variants.items():
                tally._running[revision, variant] = Running(value, tally._vocabulary)
        return tally

    def fold(self, outcomes: Iterable[OutcomeRow], counting: Counting = NOTHING_MORE) -> None:
        """Add outcomes; each must be given once. The order makes no difference.

        With `counting.cuts` the errors of rows are counted by segment too: by value for the first `MOST_VALUES` of
        them, under `other` for those after and for rows without one.
        """
        groups: dict[tuple[int, str, str, str | None, bool], list[OutcomeRow]] = {}
        for row in outcomes:
            group = GROUP(row)
            if group in groups:
                groups[group].append(row)
            else:
                groups[group] = [row]
        for (revision, variant, mode, cohort, evidence), rows in groups.items():
            running = self._of(revision, Variant.SHADOW.value if mode == Variant.SHADOW.value else variant)
            if cohort is None and (variant, mode) == (Variant.CANARY.value, "live"):
                for check in counting.fallbacks:
                    running.count_fallbacks(check, rows)
            if cohort is None and evidence:
                running.add(rows, counting.predictions)
                if counting.features:
                    running.add_features(rows)
                for check, field in counting.cuts.items():
                    running.cut(check, field, rows)
                for check, code in counting.codes.items():
                    running.count_code(check, code, rows)
            else:
                running.other_rows[cohort or EXCLUDED] += len(rows)

    def sums(self) -> dict[int, dict[str, Sums]]:
        """Return the sums so far, {revision: {variant: sums}}."""
        result: dict[int, dict[str, Sums]] = {}
        for (revision, variant), running in self._running.items():
            result.setdefault(revision, {})[variant] = running.sums()
        return result

    def drop(self, revision: int) -> None:
        """Forget a revision, when its sums were kept elsewhere; unknown: nothing happens."""
        for key in [key for key in self._running if key[0] == revision]:
            del self._running[key]

    def _of(self, revision: int, variant: str) -> "Running":
        key = revision, variant
        if key not in self._running:
            self._running[key] = Running(Sums(), self._vocabulary)
        return self._running[key]


class Running:
    """The sums of one revision and variant while they grow."""

    def __init__(self, sums: Sums, vocabulary: Vocabulary) -> None:
        self.base = sums
        self.vocabulary = vocabulary
        self.rows = 0
        self.row_faults: Counter[str] = Counter()
        self.call_fault_rows = 0
        self.calls = 0
        self.call_faults: Counter[str] = Counter()
        self.call_ms = np.zeros(len(DURATION_EDGES) + 1, dtype=np.int64)
        self.row_ms = np.zeros(len(DURATION_EDGES) + 1, dtype=np.int64)
        self.bucket_rows = np.zeros(KEY_BUCKETS, dtype=np.int64)
        self.bucket_faults = np.zeros(KEY_BUCKETS, dtype=np.int64)
        self.fault_keys = sums.fault_keys
        self.key_bound = sums.key_bound
        self.losses: dict[str, Losses] = {}
        self.other_rows: Counter[str] = Counter()
        self.predictions = Moments()
        self.classes: Counter[str] = Counter()
        self.cells: NDArray[np.int64] | None = None
        self.other_predictions = 0
        self.features: dict[str, tuple[int, ...]] = {}

    def add(self, rows: Sequence[OutcomeRow], by_prediction: bool) -> None:
        """Add rows that are evidence; `by_prediction`: count them by what was predicted, too."""
        oks, buckets, latencies, predictions, calls = zip(*map(ROW, rows), strict=True)
        self.rows += len(rows)
        self.bucket_rows += np.bincount(np.array(buckets), minlength=KEY_BUCKETS)
        self.row_ms += histogram(latencies)
        values = numbers_of(predictions)
        self.predictions += moments(values)
        if by_prediction:
            self._count_predictions(predictions, values, 1)
        if not all(oks):
            failed = [row for row in rows if not row.ok]
            self._add_faults(failed)
            if by_prediction:
                self._discount_predictions(failed)
        self._add_calls([call for call in calls if call is not None])

    def add_features(self, rows: Sequence[OutcomeRow]) -> None:
        """Add what rows that are evidence tell of the features of their batches."""
        for row in rows:
            if row.features:
                told = {name: tuple(bins) for name, bins in row.features.items()}
                self.features = binned(self.features, told, 1)

    def cut(self, check: str, field: str, rows: Sequence[OutcomeRow]) -> None:
        """Add the errors of rows that are evidence by the values of a field of their segment."""
        known = {name for name in (*self.base.losses, *self.losses) if name.startswith(segment_name(check, ""))}
        grouped: dict[str, list[OutcomeRow]] = {}
        for row in rows:
            name = segment_name(check, (row.segment or {}).get(field, OTHER))
            if name not in known:
                name = segment_name(check, OTHER) if len(known) >= MOST_VALUES else name
                known.add(name)
            grouped.setdefault(name, []).append(row)
        for name, group in grouped.items():
            self.losses[name] = self.losses.get(name, Losses()) + row_errors(group)

    def _count_predictions(self, predictions: Sequence[Any], values: Floats, sign: int) -> None:
        cells = sign * np.bincount(cells_of(values), minlength=CELLS)
        self.cells = cells if self.cells is None else self.cells + cells
        if len(values) == len(predictions):
            return
        texts = Counter([value for value in predictions if type(value) is str])
        known = {name: sign * count for name, count in texts.items() if self.vocabulary.admits(name)}
        self.classes.update(known)
        self.other_predictions += sign * (len(predictions) - len(values)) - sum(known.values())

    def _discount_predictions(self, failed: Sequence[OutcomeRow]) -> None:
        # What such a row got is stable's prediction. Few rows fail, so taking theirs away again is the cheap way.
        predictions = [row.prediction for row in failed]
        self._count_predictions(predictions, numbers_of(predictions), -1)
        self.other_predictions += len(failed)

    def count_code(self, check: str, code: str, rows: Sequence[OutcomeRow]) -> None:
        """Add the rows that failed by themselves with one code, of rows that are evidence."""
        self.losses[check] = self.losses.get(check, Losses()) + row_errors(rows, code)

    def count_fallbacks(self, check: str, rows: Sequence[OutcomeRow]) -> None:
        """Add the rows that their variant did not answer, of randomised rows, whether they are evidence or not."""
        failed = sum(not row.ok for row in rows)
        self.losses[check] = self.losses.get(check, Losses()) + Losses.of_events(len(rows), failed)

    def _add_faults(self, rows: Sequence[OutcomeRow]) -> None:
        own = [row for row in rows if not row.by_call]
        self.call_fault_rows += len(rows) - len(own)
        if not own:
            return
        self.row_faults.update(row.error_code or "" for row in own)
        self.bucket_faults += np.bincount([row.bucket for row in own], minlength=KEY_BUCKETS)
        keys = {int(row.key_hash, 16) for row in own if row.key_hash is not None}
        if not keys <= self.fault_keys:
            self.fault_keys, self.key_bound = smallest_keys(self.fault_keys | keys, self.key_bound)

    def _add_calls(self, calls: Sequence[CallRow]) -> None:
        if not calls:
            return
        self.calls += len(calls)
        self.call_ms += histogram([call.ms for call in calls])
        self.call_faults.update(call.fault for call in calls if call.fault is not None)

    def sums(self) -> Sums:
        """Return the value of the sums now."""
        grown = Sums(
            rows=self.rows,
            row_faults=dict(self.row_faults),
            call_fault_rows=self.call_fault_rows,
            calls=self.calls,
            call_faults=dict(self.call_faults),
            call_ms=sparse(self.call_ms),
            bucket_rows=tuple(self.bucket_rows.tolist()),
            bucket_faults=tuple(self.bucket_faults.tolist()),
            fault_keys=self.fault_keys,
            key_bound=self.key_bound,
            losses=self.losses,
            predicted=self._predicted(),
            features=self.features,
            other_rows=dict(self.other_rows),
            row_ms=sparse(self.row_ms),
            predictions=self.predictions,
        )
        return self.base + grown

    def _predicted(self) -> PredictionCounts:
        if self.cells is None:
            return NO_PREDICTIONS
        return self.vocabulary.counts(+self.classes, sparse(self.cells), self.other_predictions)


def row_errors(rows: Sequence[OutcomeRow], code: str | None = None) -> Losses:
    """Return the losses of rows of which some failed by themselves; the call counts those that failed with it.

    With a `code` only its faults are losses.
    """
    buckets = [row.bucket for row in rows]
    failed = [row.bucket for row in rows if not row.ok and not row.by_call and code in (None, row.error_code)]
    return Losses.of_events(
        len(rows),
        len(failed),
        np.bincount(buckets, minlength=KEY_BUCKETS).tolist(),
        np.bincount(failed, minlength=KEY_BUCKETS).tolist() if failed else NO_BUCKETS,
    )


def histogram(ms: Sequence[float]) -> NDArray[np.int64]:
    """Return the counts per duration bucket, dense."""
    return np.bincount(duration_bucket(np.array(ms, dtype=np.float64)), minlength=len(DURATION_EDGES) + 1)


def sparse(counts: NDArray[np.int64]) -> dict[int, int]:
    """Return the counts that are not zero, by bucket."""
    return {int(bucket): int(counts[bucket]) for bucket in np.flatnonzero(counts)}


def numbers_of(predictions: Sequence[Any]) -> Floats:
    """Return those predictions that are numbers."""
    return np.array([value for value in predictions if type(value) is float or type(value) is int], dtype=np.float64)


def moments(values: Floats) -> Moments:
    """Return the moments of numbers of a size whose square is one."""
    values = values[np.abs(values) < LARGEST_PREDICTION]
    if not len(values):
        return Moments()
    mean = float(values.mean())
    return Moments(len(values), mean, float(np.square(values - mean).sum()))
