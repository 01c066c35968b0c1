"""Evidence by epoch: what the sums of the revisions mean for an attempt whose weight rises.

Rows routed under different weights must never be pooled (Simpson's paradox: pooling over a ramp with a drifting
error rate rolled back 100 % of identical models); so every comparison is made inside an epoch and added up.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..plan.plan import Variant
from ..rollout.state import Epoch
from ..stats.rate_ratio import Split
from ..stats.split import log_e_split
from ..wording import percent
from .sums import Sums

__all__ = ["EpochSums", "Ledger", "broken_split", "by_epoch", "first_errors", "increments", "known"]

Ledger = Mapping[int, Mapping[str, Sums]]
"""Sums by revision and variant."""

NOTHING = Sums()

BROKEN_SPLIT = math.log(1_000)
"""ln of the e-value at which the split counts as broken: once in a thousand sound attempts at most."""

COMPARED = frozenset({Variant.CANARY.value, Variant.STABLE.value})


@dataclass(frozen=True, slots=True)
class EpochSums:
    """The sums of both variants in one epoch; `share` is the canary's designed share of keys or rows, 0..1."""

    share: float
    step: int
    canary: Sums
    stable: Sums


def known(sums: Ledger, epochs: Sequence[Epoch]) -> dict[int, dict[str, Sums]]:
    """Return the sums of the two variants that are compared, of revisions that belong to an epoch already.

    The other revisions wait for the state. A shadow watches stable's rows with the canary's model, so its errors
    must not mark stable's keys as known.
    """
    return {
        revision: {name: value for name, value in variants.items() if name in COMPARED}
        for revision, variants in sums.items()
        if any(holds(epoch, revision) for epoch in epochs)
    }


def increments(last: Ledger, sums: Ledger) -> dict[int, dict[str, Sums]]:
    """Return what changed since `last`, by revision and variant; decided on evidence only.

    Whatever happens, happens to a row, a call or a loss that is counted: with all counts as before nothing else has
    changed.
    """
    changed: dict[int, dict[str, Sums]] = {}
    for revision, variants in sums.items():
        for variant, value in variants.items():
            before = last.get(revision, {}).get(variant, NOTHING)
            if counts(value) != counts(before):
                changed.setdefault(revision, {})[variant] = value.evidence() - before
    return changed


def counts(sums: Sums) -> tuple[int, ...]:
    """Return how many rows, calls and losses there are."""
    return sums.rows, sums.calls, *(losses.n for losses in sums.losses.values())


def by_epoch(sums: Ledger, epochs: Sequence[Epoch]) -> tuple[EpochSums, ...]:
    """Return the sums of each epoch in which something happened, oldest first; before step 1 the share is 0."""
    found = []
    for epoch in epochs:
        inside = [variants for revision, variants in sums.items() if holds(epoch, revision)]
        if inside:
            canary, stable = (total(inside, variant) for variant in (Variant.CANARY, Variant.STABLE))
            found.append(EpochSums(epoch.weight / 100, epoch.step, canary, stable))
    return tuple(found)


def first_errors(changes: Iterable[EpochSums], last: Ledger, sums: Ledger) -> tuple[Split, ...]:
    """Return, by epoch, how many keys erred for the first time in the attempt, each counted once.

    Keys are counted below the lowest bound under which every set is complete. Scanned in rising order of their
    hashes, that bound is a stopping time, so leaving out the others favours no variant.
    """
    changes = tuple(changes)
    if not any(change.canary.fault_keys or change.stable.fault_keys for change in changes):
        return ()
    bound = min(value.key_bound for variants in sums.values() for value in variants.values())
    seen = {key for variants in last.values() for value in variants.values() for key in value.fault_keys}
    splits = []
    for change in changes:
        canary = {key for key in change.canary.fault_keys if key < bound} - seen
        stable = {key for key in change.stable.fault_keys if key < bound} - seen
        seen |= canary | stable
        splits.append(Split(change.share, len(canary), len(stable)))
    return tuple(splits)


def broken_split(epochs: Iterable[EpochSums]) -> str | None:
    """Return how the split of independently routed rows differs from the designed one, None if it holds.

    Whatever broke it (a router, a producer that repeats ids, outcomes that were lost) broke the comparison too.
    """
    worst = [epoch for epoch in epochs if 0.0 < epoch.share < 1.0 and epoch.canary.rows + epoch.stable.rows]
    if log_e_split([(epoch.share, epoch.canary.rows, epoch.stable.rows) for epoch in worst]) < BROKEN_SPLIT:
        return None
    epoch = max(worst, key=lambda each: log_e_split([(each.share, each.canary.rows, each.stable.rows)]))
    rows = epoch.canary.rows + epoch.stable.rows
    return (
        f"the split is broken: the canary got {percent(epoch.canary.rows / rows)} of {rows:,} rows instead of "
        f"{percent(epoch.share)}, so nothing can be compared; roll back, and look for lost or repeated outcomes"
    )


def holds(epoch: Epoch, revision: int) -> bool:
    """Tell whether the revision belongs to the epoch."""
    return epoch.first <= revision and (epoch.last is None or revision <= epoch.last)


def total(variants: Sequence[Mapping[str, Sums]], variant: Variant) -> Sums:
    """Return the sum over revisions for one variant."""
    present = [sums[variant.value] for sums in variants if variant.value in sums]
    return sum(present[1:], start=present[0]) if present else NOTHING
