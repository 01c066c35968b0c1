"""The single laws of a run, each over the columns of `bench.columns`; `bench.checker` puts them together.

A law takes tables and returns the positions of the requests that break it, repeated or not, in any order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import ERROR, VARIANTS, Table

__all__ = ["Cohort", "answered_and_refused", "contradictions", "fickle", "misrouted", "shares_off", "unmatched"]

CLOSE = 1e-9
"""Relative difference that two answers to one request may have: batch size moves the last bit of a BLAS row."""

SHARE_SD = 5.0
"""Standard deviations that the canary's share of keys may be off its weight."""

ENOUGH = 10.0
"""Variance of the number of canary keys below which the normal bound of `SHARE_SD` means nothing."""

WEIGHT_UNITS = 10_000
"""Units of the routing hash per percent of weight."""

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cohort:
    """What a revision says of routing: `weight` in percent; keys keep their hash within one `attempt`."""

    weight: float
    attempt: int = 0


def contradictions(rows: Table) -> Positions:
    """Return requests with two records of one revision that differ in variant or value."""
    rows = rows.only(np.lexsort((rows.revision, rows.pos)))
    same = (rows.pos[1:] == rows.pos[:-1]) & (rows.revision[1:] == rows.revision[:-1])
    equal = (rows.variant[1:] == rows.variant[:-1]) & close(rows.value[1:], rows.value[:-1])
    return rows.at(np.flatnonzero(same & ~equal) + 1)


def answered_and_refused(answers: Table) -> Positions:
    """Return requests with both a prediction and an error record."""
    refused = answers.variant == ERROR
    return np.intersect1d(answers.pos[refused], answers.pos[~refused])


def unmatched(answers: Table, outcomes: Table) -> Positions:
    """Return requests with a prediction and outcomes of which none tells the same, by revision, variant, value.

    Around a crash a prediction or an outcome may be written without the other and again under the next revision;
    so one matching pair is enough.
    """
    answers = answers.only(answers.variant != ERROR)
    if not len(answers.pos):
        return answers.pos
    span = 1 + max(answers.revision.max(), outcomes.revision.max(initial=0))
    answers = answers.only(np.argsort(answers.pos * span + answers.revision, kind="stable"))
    codes, wanted = answers.pos * span + answers.revision, outcomes.pos * span + outcomes.revision
    at = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
    equal = (codes[at] == wanted) & (answers.variant[at] == outcomes.variant) & close(answers.value[at], outcomes.value)
    return np.setdiff1d(np.intersect1d(outcomes.pos, answers.pos), outcomes.pos[equal])


def misrouted(outcomes: Table, revisions: Mapping[int, Cohort]) -> Positions:
    """Return requests whose variant does not follow from `u` and the weight of the revision, or without revision."""
    units = lookup(outcomes.revision, {rev: round(c.weight * WEIGHT_UNITS) for rev, c in revisions.items()})
    due = np.where(outcomes.u < units, VARIANTS["canary"], VARIANTS["stable"])
    return outcomes.at((units < 0) | (outcomes.randomised & (outcomes.variant != due)))


def fickle(outcomes: Table, keys: NDArray[np.int64], revisions: Mapping[int, Cohort]) -> Positions:
    """Return requests whose key has another hash in the same attempt."""
    outcomes = outcomes.only(outcomes.randomised)
    key = keys[outcomes.pos]
    attempt = lookup(outcomes.revision, {rev: c.attempt for rev, c in revisions.items()})
    order = np.lexsort((outcomes.u, attempt, key))
    key, attempt, u = key[order], attempt[order], outcomes.u[order]
    other = (key[1:] == key[:-1]) & (attempt[1:] == attempt[:-1]) & (u[1:] != u[:-1])
    return outcomes.at(order[1:][other])


def shares_off(outcomes: Table, keys: NDArray[np.int64], revisions: Mapping[int, Cohort]) -> list[str]:
    """Return, in words, the revisions whose share of canary keys is more than `SHARE_SD` off the weight.

    Each key counts once: rows of one key share their variant, so they are no further evidence of the split.
    """
    found = []
    for revision, cohort in sorted(revisions.items()):
        rows = outcomes.only(outcomes.randomised & (outcomes.revision == revision))
        _, first = np.unique(keys[rows.pos], return_index=True)
        share, n = cohort.weight / 100, len(first)
        variance = n * share * (1 - share)
        canary = int(np.count_nonzero(rows.variant[first] == VARIANTS["canary"]))
        if variance >= ENOUGH and abs(canary - n * share) > SHARE_SD * variance**0.5:
            found.append(f"revision {revision}: {canary} of {n} keys at weight {cohort.weight}")
    return found


def lookup(values: NDArray[np.int64], table: Mapping[int, int]) -> NDArray[np.int64]:
    """Return `table[value]` for each value, -1 where there is none."""
    unique, inverse = np.unique(values, return_inverse=True)
    return np.array([table.get(int(value), -1) for value in unique], np.int64)[inverse]


def close(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[Any]:
    """Tell where two numbers are the same answer; two that are absent are."""
    return np.isclose(one, other, rtol=CLOSE, atol=0.0, equal_nan=True)
