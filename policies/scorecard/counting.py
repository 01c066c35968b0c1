"""What is counted of outcomes beside the sums that every rollout has, because a check asks for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..plan.plan import Analysis, Metric

__all__ = ["NOTHING_MORE", "Counting", "counting_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """Without a check that asks, nothing is counted and nothing is paid.

    `cuts` are the fields of `segment` by which errors are counted, by the name of the check. `predictions`: whether
    rows are counted by what was predicted, `features`: by what was asked. `codes` are the faults whose rows are
    counted by key bucket, `fallbacks` the names of checks on rows of the canary that stable answered.
    """

    cuts: Mapping[str, str] = field(default_factory=dict)
    predictions: bool = False
    features: bool = False
    codes: Mapping[str, str] = field(default_factory=dict)
    fallbacks: tuple[str, ...] = ()


NOTHING_MORE = Counting()


def counting_of(analysis: Analysis) -> Counting:
    """Return what the checks of an analysis ask for."""
    checks = analysis.checks
    errors = (check for check in checks if check.metric is Metric.ERROR_RATE)
    return Counting(
        cuts={check.name: check.segment_by for check in errors if check.segment_by is not None},
        codes={check.name: check.code for check in checks if check.code is not None},
        fallbacks=tuple(check.name for check in checks if check.metric is Metric.FALLBACK_RATE),
        predictions=any(check.metric is Metric.PREDICTION_DRIFT for check in checks),
        features=any(check.metric is Metric.FEATURE_DRIFT for check in checks),
    )
