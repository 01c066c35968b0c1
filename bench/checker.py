"""The verifier of a run: did every request get exactly one right answer, and was the split what it claims to be?

Pure: it is fed the records of a run and the revisions of the control log, and returns a verdict that lists what is
wrong by place. It shares no code with what it checks.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from .columns import ERROR, Answer, Column, Request, Requests, Rows, Table, Told, place, place_of, src_of
from .laws import Cohort, answered_and_refused, contradictions, fickle, misrouted, shares_off, unmatched

__all__ = ["Checker", "Verdict"]

MODEL_FAULTS = frozenset({"model_error", "model_timeout", "bad_output"})
"""Error codes where a model ran: the request was in order and has an outcome although it has no prediction."""

NO_LETTER = frozenset({"deadline_exceeded"})
"""Error codes without a dead letter: answered or not, there is nothing to send again."""

REPEATS = frozenset({"repeated", "doubled_outcomes"})
"""The problems that a crash may leave behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found. Lists name requests as `partition@offset`.

    `extra`, `extra_outcomes`: answers and live outcomes beyond the first of a request. `lost`: no answer. `repeated`:
    more than one record. `contradicted`: records that differ, of one revision, or a prediction and an error record.
    `strays`: records of no request. `doubled_outcomes`, `missing_outcomes`: more or fewer than one live outcome.
    `other_outcomes`: no outcome equals an answer of the same revision. `wrong_variant`: the variant does not follow
    from `u` and the weight. `not_sticky`: the key has two hashes in one attempt. `not_finite`: a published number that
    is none. `letters_wrong`: a request with an error record but not exactly one dead letter, or a dead letter of one
    with an answer. `shares_off`: revisions whose share of canary keys is not the weight, in words.
    """

    requests: int
    answered: int
    extra: int
    extra_outcomes: int
    errors: Mapping[str, int]
    lost: list[str]
    repeated: list[str]
    contradicted: list[str]
    strays: list[str]
    doubled_outcomes: list[str]
    missing_outcomes: list[str]
    other_outcomes: list[str]
    wrong_variant: list[str]
    not_sticky: list[str]
    not_finite: list[str]
    letters_wrong: list[str]
    shares_off: list[str]

    @property
    def problems(self) -> dict[str, list[str]]:
        """Everything that is not as it must be in a run without crashes, by kind."""
        lists = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: found for name, found in lists.items() if isinstance(found, list) and found}

    @property
    def is_exact(self) -> bool:
        """Whether every request has exactly one right answer: the promise of a run without crashes."""
        return not self.problems

    @property
    def is_valid(self) -> bool:
        """Whether nothing is wrong but repeats: the promise of at-least-once after a crash."""
        return not self.mistakes

    @property
    def mistakes(self) -> dict[str, int]:
        """How many of each kind of problem that no crash excuses."""
        return {name: len(found) for name, found in self.problems.items() if name not in REPEATS}

    def summary(self) -> str:
        """Return one line: the counts, and the first offenders of each kind."""
        found = [f"{name} {len(rows)} (first: {', '.join(rows[:3])})" for name, rows in self.problems.items()]
        head = f"{self.requests} requests, {self.answered} answered, {sum(self.errors.values())} by error records"
        return "; ".join([head, *(found or ["nothing lost, doubled or wrong"])])


class Checker:
    """Collects the records of a run; `verdict()` judges them.

    Parameters
    ----------
    revisions
        The fold of the control log: what each revision that may appear in a record says of routing.
    by_key
        Whether the key is the unit of routing; else the request id is.
    """

    def __init__(self, revisions: Mapping[int, Cohort], by_key: bool = True) -> None:
        self._revisions, self._by_key = dict(revisions), by_key
        self._requests, self._answers, self._outcomes = Requests(), Rows(), Rows()
        self._letters = Column(np.int64)
        self._errors: dict[int, str] = {}

    def asked(self, topic: str, partition: int, offset: int, batch: Iterable[Request]) -> None:
        """Take consecutive requests of a partition, the first at `offset`."""
        self._requests.append(topic, partition, offset, batch)

    def answered(self, batch: Iterable[Answer]) -> None:
        """Take records of the predictions topic."""
        rows = list(batch)
        self._answers.answers(rows)
        self._errors.update({place_of(r.src): r.error_code for r in rows if r.error_code is not None})

    def told(self, batch: Iterable[Told]) -> None:
        """Take records of the outcomes topic; shadow outcomes are nobody's answer and are left out."""
        self._outcomes.outcomes([row for row in batch if row.mode == "live"])

    def buried(self, places: Iterable[tuple[int, int]]) -> None:
        """Take dead letters: partition and offset of the request each came from."""
        self._letters.append([place(partition, offset) for partition, offset in places])

    def verdict(self) -> Verdict:
        """Judge what was taken so far."""
        places, ids, keys = self._requests.sorted()
        answers, astray = self._answers.locate(places, ids)
        outcomes, also_astray = self._outcomes.locate(places, ids)
        units = keys if self._by_key else ids
        answer_counts = np.bincount(answers.pos, minlength=len(places))
        outcome_counts = np.bincount(outcomes.pos, minlength=len(places))
        due = (answer_counts > 0) & ~np.isin(places, self._refused())

        def names(positions: NDArray[np.int64]) -> list[str]:
            return [src_of(int(number)) for number in places[np.unique(positions)]]

        return Verdict(
            requests=len(places),
            answered=int(np.count_nonzero(answer_counts)),
            extra=len(answers.pos) - int(np.count_nonzero(answer_counts)),
            extra_outcomes=len(outcomes.pos) - int(np.count_nonzero(outcome_counts)),
            errors=Counter(self._errors.values()),
            lost=names(np.flatnonzero(answer_counts == 0)),
            repeated=names(np.flatnonzero(answer_counts > 1)),
            contradicted=names(
                np.concatenate([contradictions(answers), contradictions(outcomes), answered_and_refused(answers)])
            ),
            strays=astray + also_astray,
            doubled_outcomes=names(np.flatnonzero(outcome_counts > 1)),
            missing_outcomes=names(np.flatnonzero(due & (outcome_counts == 0))),
            other_outcomes=names(unmatched(answers, outcomes)),
            wrong_variant=names(misrouted(outcomes, self._revisions)),
            not_sticky=names(fickle(outcomes, units, self._revisions)),
            not_finite=names(not_finite(answers)),
            letters_wrong=self._letters_wrong(),
            shares_off=shares_off(outcomes, units, self._revisions),
        )

    def _refused(self) -> NDArray[np.int64]:
        """Return the places of requests that no model has seen."""
        return np.array([number for number, code in self._errors.items() if code not in MODEL_FAULTS], np.int64)

    def _letters_wrong(self) -> list[str]:
        found = Counter(self._letters.whole().tolist())
        due = {number for number, code in self._errors.items() if code not in NO_LETTER}
        return [src_of(number) for number in sorted(due | found.keys()) if found[number] != (number in due)]


def not_finite(answers: Table) -> NDArray[np.int64]:
    """Return requests with a prediction that is no finite number."""
    return answers.at((answers.variant != ERROR) & ~np.isfinite(answers.value))
