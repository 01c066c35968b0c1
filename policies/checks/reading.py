"""One loss of a check at one look: what the tests and the sums of the attempt say of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..plan.plan import By, Check, Plan
from ..scorecard.epochs import EpochSums
from ..stats.keys import bucket_difference, effective_keys
from ..stats.losses import Losses
from ..stats.score import Difference, log_e_above, log_e_below, pooled, tuning
from .comparison import Comparison
from .metrics import Bounds, Measure, Unit, shown

__all__ = ["Reading", "effective_keys_of", "read"]

BUCKET_EVENTS = 20
"""Events, or as much loss, a variant must have in an epoch before the variance between its buckets says anything."""

VARIANT_KEYS = 100
"""Effective keys each variant must have for a promotion that no variance between buckets has confirmed."""

NOTHING = Losses()


@dataclass(frozen=True, slots=True)
class Reading:
    """What one loss of a check shows so far, over all epochs of the attempt with a canary.

    `difference` compares within epochs, of which there are `strata`; `canary` and `stable` are pooled over them and
    must not be compared over a ramp. E-values are natural logarithms. Only rows of keyed traffic have `log_e_keys`
    (None: it is not known which keys erred), `log_e_bucket` (None: too few events) and `keys`, the effective numbers
    of keys of canary and stable.
    """

    check: Check
    measure: Measure
    canary: Losses
    stable: Losses
    difference: Difference
    log_e_rollback: float
    log_e_promotion: float
    strata: int = 1
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
        return self.canary.n > 0 and self.stable.n > 0

    def values(self) -> dict[str, float]:
        """Return the numbers by the names that `checks` explains."""
        name = self.measure.name
        values: dict[str, float | None] = {
            f"{name}.canary": self.canary.n,
            f"{name}.canary_events": self.canary.loss,
            f"{name}.stable": self.stable.n,
            f"{name}.stable_events": self.stable.loss,
            f"{name}.log_e_rollback": self.log_e_rollback,
            f"{name}.log_e_promotion": self.log_e_promotion,
            f"{name}.log_e_keys": self.log_e_keys,
            f"{name}.log_e_bucket": self.log_e_bucket,
            f"{name}.canary_keys": self.keys and self.keys[0],
            f"{name}.stable_keys": self.keys and self.keys[1],
        }
        return {name: value for name, value in values.items() if value is not None}

    def sentence(self) -> str:
        """Return the sums in words."""
        canary, stable, unit = self.canary, self.stable, self.measure.unit.value
        mine, others = (shown(self.check, arm.mean) if arm.n else "none" for arm in (canary, stable))
        if not self.measure.words:
            mean = self.check.metric.value.replace("_", " ")
            said = f"canary's {mean} {mine} over {canary.n:,} {unit}, stable's {others} over {stable.n:,}"
        else:
            said = f"canary {mine} of {canary.n:,} {unit} {self.measure.words}, stable {others} of {stable.n:,}"
        if self.strata > 1 and self.measure.words and math.isfinite(self.difference.estimate):
            said += f" ({100 * self.difference.estimate:+.2f} pp at equal weights)"
        if self.measure.segment is None:
            return said
        return f"where {self.check.segment_by} is {self.measure.segment}, {said}"


def read(
    check: Check,
    measure: Measure,
    bounds: Bounds,
    tests: Comparison,
    epochs: Sequence[EpochSums],
    plan: Plan,
    margin: float,
) -> Reading:
    """Return what the tests and the sums of the attempt say of one loss, against `margin` (0..1)."""
    compared = [epoch for epoch in epochs if epoch.share > 0]
    canary = [measure.take(epoch.canary) for epoch in compared]
    stable = [measure.take(epoch.stable) for epoch in compared]
    reading = Reading(
        check=check,
        measure=measure,
        canary=sum(canary, start=NOTHING),
        stable=sum(stable, start=NOTHING),
        difference=pooled(independent(*pair) for pair in zip(canary, stable, strict=True)),
        log_e_rollback=tests.log_e_worse(bounds.tolerance),
        log_e_promotion=tests.margins.value(margin),
        strata=len(compared),
    )
    if measure.unit is Unit.CALLS or plan.routing.by is By.RANDOM:
        return reading
    log_e_keys = tests.keys.value() if tests.keys is not None else None
    differences = [bucket_difference(*pair) for pair in zip(canary, stable, strict=True) if are_known(*pair)]
    return by_keys(reading, bounds, plan.analysis.alpha, log_e_keys, pooled(differences), margin)


def are_known(canary: Losses, stable: Losses) -> bool:
    """Tell whether a variant has enough events in an epoch to show how keys cluster."""
    return max(canary.square, stable.square) >= BUCKET_EVENTS


def by_keys(
    rows: Reading, bounds: Bounds, alpha: float, log_e_keys: float | None, buckets: Difference, margin: float
) -> Reading:
    """Return the reading of rows where each key has its variant for good, so that rows are no independent draws.

    The least of two e-values is valid when one of them is: rows treated as independent, and the variance between
    buckets of keys. Too few events for buckets: a rollback rests on the keys that erred, where they are known, and a
    promotion needs many keys. Nothing tolerated: known keys decide a rollback alone, for their test is exact.
    """
    confirmed = buckets.information > 0.0
    bucket_promotion = log_e_below(buckets, margin, tuning(margin, alpha)) if confirmed else None
    promotion = min(rows.log_e_promotion, bucket_promotion) if bucket_promotion is not None else rows.log_e_promotion
    if log_e_keys is not None and not bounds.tolerance:
        rollback = log_e_keys
    elif confirmed:
        rollback = min(rows.log_e_rollback, log_e_above(buckets, bounds.tolerance, bounds.margin, alpha))
    else:
        rollback = min(rows.log_e_rollback, log_e_keys or 0.0)
    return replace(
        rows,
        difference=buckets if confirmed else Difference(rows.difference.estimate, 0.0),
        log_e_rollback=rollback,
        log_e_promotion=promotion,
        log_e_keys=log_e_keys,
        log_e_bucket=bucket_promotion,
        keys=(effective_keys(rows.canary.bucket_n), effective_keys(rows.stable.bucket_n)),
    )


def independent(canary: Losses, stable: Losses) -> Difference:
    """Return the difference of two means of independent units; nan without units.

    One event and one that did not happen are added to the variance, so that no rate of 0 has none.
    """
    if not canary.n or not stable.n:
        return Difference(math.nan, 0.0)
    n = canary.n + stable.n + 2
    variance = (canary.square + stable.square + 1) / n - ((canary.loss + stable.loss + 1) / n) ** 2
    return Difference(canary.mean - stable.mean, 1.0 / (variance * (1.0 / canary.n + 1.0 / stable.n)))


def effective_keys_of(epochs: Sequence[EpochSums]) -> float:
    """Return the effective number of keys of both variants, in epochs with a canary."""
    arms = [arm for epoch in epochs if epoch.share > 0 for arm in (epoch.canary, epoch.stable)]
    return effective_keys(np.sum([sums.bucket_rows for sums in arms], axis=0)) if arms else 0.0
