"""What the requests of a batch bring, by feature and bin of the canary's references: a function of values."""

from collections.abc import Sequence

from coalmine.policies import Reference

from ..wire.requests import Requests
from .pipeline import Routed

__all__ = ["input_counts"]

MOST_ROWS = 200
"""Rows of a batch that are counted, spread over it: a shift of a tenth shows in a thousand rows of many batches."""


def input_counts(batch: Requests, routed: Routed, references: Sequence[Reference]) -> dict[str, list[int]] | None:
    """Return rows by feature and bin, of at most `MOST_ROWS` randomised rows; None where there are none to tell of.

    A batch that is no evidence tells nothing, and no batch of a feature that neither model has.
    """
    if not references or routed.blocked is not None:
        return None
    rows = [row for row, cohort in enumerate(routed.cohort) if cohort is None]
    rows = rows[:: -(-len(rows) // MOST_ROWS) or 1]
    if not rows:
        return None
    known = [reference for reference in references if reference.name in batch.attributes]
    return {reference.name: reference.count(batch.cells(reference.name, rows)) for reference in known} or None
