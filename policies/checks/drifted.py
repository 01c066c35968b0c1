"""A check on the features of requests at one look: its evidence, and the finding that tells it.

The requests of the attempt count, whoever answers them, against the rows the canary was trained on. Nothing is said of
the canary itself, so such a check holds a ramp or is only shown.

What the names in `Finding.values` mean: `limit`, the total variation distance that is no drift yet; `variation.<name>`,
`psi.<name>`, `log_e.<name>` of the features furthest from their reference: total variation distance and population
stability index, both without what chance adds, and ln of the e-value that the feature is beyond the limit;
`allowance.<name>`: what is added to the limit because the reference is of few rows; `weight`: 0.

`estimate` is the largest of these distances, `n` how many requests were counted: of each batch a sample of those that
were randomised.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..frozen.reference import Reference
from ..plan.plan import Check, Plan
from ..scorecard.epochs import EpochSums
from ..wording import e_value, percent
from .drift import Drift, FeatureDrift
from .evidence import Unlimited
from .finding import Finding, Status

__all__ = ["DriftEvidence", "drift_evidence", "feature_counts"]

MEASURE = "features"
"""What the finding counts."""

LOOSE = 0.05
"""Allowance above which a sentence says so: it hides what the limit would show."""

MOST_NAMED = 5
"""Features that a sentence or a look tells of: more are more than anybody reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftEvidence(Unlimited):
    """How far the features are from their references; `features` by falling distance, `moved` those beyond the limit.

    `log_e_rollback` is ln of the e-value that decides on all of them together: `moved` names one exactly where it
    reaches the threshold. Nothing is rolled back by it.
    """

    check: Check
    features: tuple[FeatureDrift, ...]
    moved: tuple[str, ...]
    log_e_rollback: float

    def passes(self, threshold: float) -> bool:
        """Tell whether nothing speaks against a move up."""
        return self.log_e_rollback < threshold

    @property
    def rows(self) -> int:
        """Requests that were counted."""
        return max((feature.rows for feature in self.features), default=0)

    def status(self, failed: bool, threshold: float) -> tuple[Status, str]:
        """Return the status of the check and its reason in words."""
        assert self.check.limit is not None, "a check on features has a limit"
        within = f"{percent(self.check.limit)} of what the canary was trained on"
        if not self.features:
            return Status.NO_DATA, "the package of the canary has no histograms of its features: pack it with reference"
        if not self.rows:
            return Status.NO_DATA, "no request has been counted yet"
        if all(self.check.limit + feature.allowance >= 1.0 for feature in self.features):
            return Status.NO_DATA, "the histograms of the canary's package are of too few rows: pack it with more"
        if failed or not self.passes(threshold):
            return Status.FAIL, f"not within {within}: {self.sentence()}"
        return Status.PASS, f"no feature is shown to be beyond {within}: {self.sentence()}"

    def sentence(self) -> str:
        """Return in words which features are furthest from their references."""
        told = [feature for feature in self.features if feature.name in self.moved] or list(self.features[:1])
        distances = ", ".join(f"{feature.name} by {percent(feature.variation)}" for feature in told[:MOST_NAMED])
        more = f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
        verb = "moved" if self.moved else "furthest"
        allowed = max(feature.allowance for feature in told)
        loose = f", {percent(allowed)} more allowed for few rows of training" if allowed > LOOSE else ""
        counted = f"{self.rows:,} requests, e-value {e_value(self.log_e_rollback)}{loose}"
        return f"{verb}: {distances}{more} ({counted})"

    def finding(self, failed: bool, weight: float, plan: Plan) -> Finding:
        """Return the finding; `failed` says that the decision over all checks found features beyond the limit."""
        threshold = -math.log(plan.analysis.alpha)
        status, reason = self.status(failed, threshold)
        furthest = self.features[0].variation if self.features else math.nan
        return Finding(
            check=self.check.name,
            role=self.check.role,
            status=status,
            reason=reason,
            n={"requests": self.rows},
            estimate=furthest if math.isfinite(furthest) else None,
            log_e_rollback=self.log_e_rollback,
            threshold=threshold,
            measure=MEASURE,
            event="",
            values=self._values(weight),
        )

    def _values(self, weight: float) -> dict[str, float]:
        assert self.check.limit is not None, "a check on features has a limit"
        values = {"weight": weight, "limit": self.check.limit}
        for feature in self.features[:MOST_NAMED]:
            if math.isfinite(feature.variation):
                values[f"variation.{feature.name}"] = feature.variation
                values[f"psi.{feature.name}"] = feature.stability
                values[f"log_e.{feature.name}"] = feature.log_e
                values[f"allowance.{feature.name}"] = feature.allowance
        return values


def drift_evidence(check: Check, drift: Drift, plan: Plan) -> DriftEvidence:
    """Return the evidence of a check on features."""
    readings = drift.readings()
    features = sorted(readings, key=lambda feature: -math.inf if math.isnan(feature.variation) else feature.variation)
    return DriftEvidence(
        check=check,
        features=tuple(reversed(features)),
        moved=drift.moved(plan.analysis.alpha),
        log_e_rollback=drift.log_e(),
    )


def feature_counts(references: Sequence[Reference], epochs: Sequence[EpochSums]) -> list[NDArray[np.float64]]:
    """Return for each reference the requests by bin, of both variants; what has other bins is left out."""
    told = [arm.features for epoch in epochs for arm in (epoch.canary, epoch.stable)]
    return [total_of(reference.bins, [features.get(reference.name, ()) for features in told])
            for reference in references]  # fmt: skip


def total_of(bins: int, told: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Return the sum by bin of those with so many bins."""
    total = np.zeros(bins)
    for counts in told:
        if len(counts) == bins:
            total += counts
    return total
