"""One loss of a check at one look: what the tests and the counts of the attempt say of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .comparison import Comparison
from .epochs import EpochSums
from .metrics import Measure, Unit
from .plan import Analysis, By, Check, Plan, Variant
from .stats.keys import bucket_difference, effective_keys
from .stats.score import Difference, log_e_below, pooled, tuning
from .wording import percent

__all__ = ["Reading", "effective_keys_of", "read"]

BUCKET_EVENTS = 20
"""Events a variant must have in an epoch before the variance between its buckets says anything."""

VARIANT_KEYS = 100
"""Effective keys each variant must have for a promotion that no variance between buckets has confirmed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one loss of a check shows so far, over all epochs of the attempt with a canary.

    E-values are natural logarithms. Only rows of keyed traffic have `log_e_keys`, `log_e_bucket` (None: too few events)
    and `keys`, the effective numbers of keys of canary and stable.
    """

    measure: Measure
    canary: tuple[int, int]
    stable: tuple[int, int]
    difference: Difference
    log_e_rollback: float
    log_e_promotion: float
    log_e_keys: float | None = None
    log_e_bucket: float | None = None
    keys: tuple[float, float] | None = None

    @property
    def enough_keys(self) -> bool:
        """Whether a promotion may rest on so many keys, when no variance between buckets has confirmed it."""
        return self.keys is None or self.log_e_bucket is not None or min(self.keys) >= VARIANT_KEYS

    @property
    def has_data(self) -> bool:
        """Whether both variants have been seen."""
        return self.canary[0] > 0 and self.stable[0] > 0

    def values(self) -> dict[str, float]:
        """Return the numbers by the names that `checks` explains."""
        unit = self.measure.unit.value
        values: dict[str, float | None] = {
            f"{unit}.canary": self.canary[0],
            f"{unit}.canary_events": self.canary[1],
            f"{unit}.stable": self.stable[0],
            f"{unit}.stable_events": self.stable[1],
            f"{unit}.log_e_rollback": self.log_e_rollback,
            f"{unit}.log_e_promotion": self.log_e_promotion,
            f"{unit}.log_e_keys": self.log_e_keys,
            f"{unit}.log_e_bucket": self.log_e_bucket,
            f"{unit}.canary_keys": self.keys and self.keys[0],
            f"{unit}.stable_keys": self.keys and self.keys[1],
        }
        return {name: value for name, value in values.items() if value is not None}

    def sentence(self) -> str:
        """Return the counts in words."""
        (n, events), (stable_n, stable_events) = self.canary, self.stable
        unit = self.measure.unit.value
        mine = f"canary {percent(events / n) if n else 'none'} of {n:,} {unit} {self.measure.event}"
        return f"{mine}, stable {percent(stable_events / stable_n) if stable_n else 'none'} of {stable_n:,}"


def read(
    check: Check, measure: Measure, tests: Comparison, epochs: Sequence[EpochSums], plan: Plan, margin: float
) -> Reading:
    """Return what the tests and the counts of the attempt say of one loss, against `margin`."""
    compared = [epoch for epoch in epochs if epoch.share > 0]
    canary = [measure.count(epoch.canary) for epoch in compared]
    stable = [measure.count(epoch.stable) for epoch in compared]
    reading = Reading(
        measure=measure,
        canary=added(canary),
        stable=added(stable),
        difference=pooled(binomial(*pair) for pair in zip(canary, stable, strict=True)),
        log_e_rollback=tests.ratio.value() if tests.worse is None else tests.worse.value(check.tolerance),
        log_e_promotion=tests.margins.value(margin),
    )
    if measure.unit is Unit.CALLS or plan.routing.by is By.RANDOM:
        return reading
    return by_keys(reading, check, plan.analysis, tests.ratio.value(), compared, margin)


def by_keys(
    rows: Reading, check: Check, analysis: Analysis, log_e_keys: float, epochs: Sequence[EpochSums], margin: float
) -> Reading:
    """Return the reading of rows where each key has its variant for good, so that rows are no independent draws.

    The least of two e-values is valid when one of them is: rows treated as independent, and the variance between
    buckets of keys. Too few events for buckets: rollback rests on the keys that erred, promotion needs many keys.
    """
    buckets = pooled(bucket_differences(epochs))
    confirmed = buckets.information > 0.0
    rollback, promotion, bucket_promotion = rows.log_e_rollback, rows.log_e_promotion, None
    if confirmed:
        rho = tuning(margin, analysis.alpha)
        bucket_promotion = log_e_below(buckets, margin, rho)
        promotion = min(promotion, bucket_promotion)
    if check.tolerance:
        mirrored = Difference(-buckets.estimate, buckets.information)
        rho = tuning(check.margin, analysis.alpha)
        rollback = min(rollback, log_e_below(mirrored, -check.tolerance, rho) if confirmed else log_e_keys)
    else:
        rollback = log_e_keys
    return Reading(
        measure=rows.measure,
        canary=rows.canary,
        stable=rows.stable,
        difference=buckets if confirmed else Difference(rows.difference.estimate, 0.0),
        log_e_rollback=rollback,
        log_e_promotion=promotion,
        log_e_keys=log_e_keys,
        log_e_bucket=bucket_promotion,
        keys=(effective_keys_of(epochs, Variant.CANARY), effective_keys_of(epochs, Variant.STABLE)),
    )


def bucket_differences(epochs: Sequence[EpochSums]) -> list[Difference]:
    """Return the differences of those epochs in which a variant has enough events to show how keys cluster."""
    return [
        bucket_difference(
            epoch.canary.bucket_rows, epoch.canary.bucket_faults, epoch.stable.bucket_rows, epoch.stable.bucket_faults
        )
        for epoch in epochs
        if max(epoch.canary.row_fault_count, epoch.stable.row_fault_count) >= BUCKET_EVENTS
    ]


def binomial(canary: tuple[int, int], stable: tuple[int, int]) -> Difference:
    """Return the difference of two rates of independent units, from (units, events); nan without units."""
    (n, x), (m, y) = canary, stable
    if not n or not m:
        return Difference(math.nan, 0.0)
    rate = (x + y + 1) / (n + m + 2)
    return Difference(x / n - y / m, 1.0 / (rate * (1.0 - rate) * (1.0 / n + 1.0 / m)))


def added(counts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the totals of (units, events)."""
    return sum(n for n, _ in counts), sum(events for _, events in counts)


def effective_keys_of(epochs: Sequence[EpochSums], variant: Variant | None = None) -> float:
    """Return the effective number of keys of a variant, None: of both, in epochs with a canary."""
    arms = [epoch.canary for epoch in epochs if epoch.share > 0 and variant is not Variant.STABLE]
    arms += [epoch.stable for epoch in epochs if epoch.share > 0 and variant is not Variant.CANARY]
    return effective_keys(np.sum([sums.bucket_rows for sums in arms], axis=0)) if arms else 0.0
