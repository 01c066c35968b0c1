"""A check on fallbacks at one look: rows assigned to the canary that stable had to answer, against an absolute limit.

They are faults of the canary, and rows of batches that are no evidence because the canary was not ready, too slow or
cut off. What they have in common is nobody's comparison: stable has no such rate, so there is a limit and no margin.
Rows of a batch fall back together, which makes the test bolder than it says; so it holds a ramp and does not roll back.

What the names in `Finding.values` mean: `rows.canary` rows of the step and `rows.canary_events` those that stable
answered; `limit`, and `log_e_limit`, ln of the e-value that the rate in this step is above it; `weight`: 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..plan.plan import Check, Plan
from ..scorecard.epochs import EpochSums
from ..stats.excess import log_e_above
from ..stats.losses import Losses
from ..wording import e_value, percent
from .finding import Finding, Status

__all__ = ["FallbackEvidence", "fallback_evidence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackEvidence:
    """How many rows of the step the canary left to stable; `log_e_limit` is ln E against "at most the limit"."""

    check: Check
    limit: float
    fallbacks: Losses
    log_e_limit: float

    @property
    def log_e_rollback(self) -> float:
        """The evidence against the canary."""
        return self.log_e_limit

    @property
    def is_over_limit(self) -> bool:
        """Whether the rate of this step is above the limit as it stands."""
        return self.fallbacks.mean > self.limit

    def passes(self, threshold: float) -> bool:
        """Tell whether nothing speaks against a move up."""
        return self.log_e_limit < threshold and not self.is_over_limit

    def status(self, failed: bool, threshold: float) -> tuple[Status, str]:
        """Return the status of the check and its reason in words."""
        limit = f"the limit of {percent(self.limit)}"
        if failed or self.log_e_limit >= threshold:
            needed = f"e-value {e_value(self.log_e_limit)}, {e_value(threshold)} needed"
            return Status.FAIL, f"above {limit}: {self.sentence()} ({needed})"
        if not self.fallbacks.n:
            return Status.NO_DATA, f"no row of the canary yet, {limit[4:]}"
        if self.is_over_limit:
            return Status.INCONCLUSIVE, f"above {limit} now: {self.sentence()}"
        return Status.PASS, f"below {limit}: {self.sentence()}"

    def sentence(self) -> str:
        """Return the rate in words."""
        rate = percent(self.fallbacks.mean) if self.fallbacks.n else "none"
        return f"stable answered {rate} of {self.fallbacks.n:,} rows assigned to the canary in this step"

    def limit_sentence(self) -> str:
        """Return the same: the limit is all there is."""
        return self.sentence()

    def finding(self, failed: bool, weight: float, plan: Plan) -> Finding:
        """Return the finding; `failed` says that the decision over all checks holds this one against the canary."""
        threshold = -math.log(plan.analysis.alpha)
        status, reason = self.status(failed, threshold)
        return Finding(
            check=self.check.name,
            role=self.check.role,
            status=status,
            reason=reason,
            n={"stable": 0, "canary": self.fallbacks.n},
            log_e_rollback=self.log_e_limit,
            threshold=threshold,
            event="answered by stable",
            values={
                "weight": weight,
                "limit": self.limit,
                "log_e_limit": self.log_e_limit,
                "rows.canary": float(self.fallbacks.n),
                "rows.canary_events": self.fallbacks.loss,
            },
        )


def fallback_evidence(check: Check, epochs: Sequence[EpochSums], step: int) -> FallbackEvidence:
    """Return the evidence of a check on fallbacks in `step`."""
    assert check.limit is not None, "a check on fallbacks has a limit"
    here = [epoch.canary for epoch in epochs if epoch.step == step and epoch.share > 0]
    fallbacks = sum((sums.losses[check.name] for sums in here if check.name in sums.losses), start=Losses())
    log_e = log_e_above(check.limit, fallbacks.n, round(fallbacks.loss))
    return FallbackEvidence(check=check, limit=check.limit, fallbacks=fallbacks, log_e_limit=log_e)
