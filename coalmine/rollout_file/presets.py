"""Ramps with a name, and the numbers a file need not write."""

from coalmine.policies import Check, Metric, Role, Step

from .differences import Difference

__all__ = [
    "CAPS",
    "DEFAULT_CHECKS",
    "FIELD",
    "LABELLED_SAMPLES",
    "MARGINS",
    "PRESETS",
    "SLOWER_THAN_MS",
    "default_margin",
    "default_role",
    "default_tolerance",
]

MARGINS = {
    Metric.ERROR_RATE: Difference(0.005),
    Metric.SLOW_RATE: Difference(0.02),
    Metric.ACCURACY: Difference(0.01),
    Metric.MISS_RATE: Difference(0.02),
    Metric.FALSE_ALARM_RATE: Difference(0.01),
    Metric.BRIER: Difference(0.01),
    Metric.LOG_LOSS: Difference(0.03),
    Metric.MEAN: Difference(0.02, relative=True),
    Metric.OWN: Difference(0.01),
    Metric.PREDICTION_DRIFT: Difference(0.1),
    Metric.ERROR_CODE: Difference(0.005),
}
"""What a canary must be shown not to be worse by, in the unit of the metric.

About 1,000 faultless canary requests prove the margin of errors. Misses are counted among the positive labels only,
of which there are few, so they get twice what accuracy has. A point of the Brier score is about three hundredths of
log loss. A new model should predict a little differently, so predictions may move by a tenth of all rows, and a
twentieth is not told of. Errors of a regression are in the unit of the label, for which nobody can guess a margin.
"""

CAPS = {Metric.LOG_LOSS: 5.0}
"""Losses above count as this much: a log loss of 5 means that the truth was given a chance of 0.7 %."""

FEATURE_LIMIT = 0.1
"""How far a feature may be from the rows the canary was trained on: a tenth of the requests in other bins."""

FIELD = "value"
"""The field of feedback whose mean is compared if none is named."""

LABELLED_SAMPLES = 200
"""Canary rows a step asks for if a check needs labels: not every row gets one."""

SLOWER_THAN_MS = 50.0
"""A call over this is slow: far above a healthy in-process model, so it compares models and not batch sizes."""


def default_tolerance(metric: Metric, margin: float) -> float:
    """Return what must be shown to be exceeded for a rollback: nothing is tolerated in errors, else half the margin."""
    return 0.0 if metric in (Metric.ERROR_RATE, Metric.ERROR_CODE) else margin / 2


def default_margin(metric: Metric, tolerance: Difference | None) -> Difference:
    """Return the margin of a check that has none; of a distance it is twice the tolerance."""
    if metric is Metric.PREDICTION_DRIFT and tolerance is not None:
        return Difference(max(MARGINS[metric].size, 2 * tolerance.size))
    return MARGINS[metric]


def default_role(metric: Metric) -> Role:
    """Return what a check may do that does not say it: a new model should predict differently, so drift only holds.

    Rows fall back in batches, so their rate is no exact test either. That requests are other ones than in training
    says nothing of the canary, and is so in most weeks: it is shown.
    """
    if metric is Metric.FEATURE_DRIFT:
        return Role.INFO
    return Role.SIGNAL if metric in (Metric.PREDICTION_DRIFT, Metric.FALLBACK_RATE) else Role.GUARDRAIL


DEFAULT_CHECKS = (
    Check(name="errors", metric=Metric.ERROR_RATE, margin=MARGINS[Metric.ERROR_RATE].size),
    Check(
        name="slow",
        metric=Metric.SLOW_RATE,
        margin=MARGINS[Metric.SLOW_RATE].size,
        tolerance=default_tolerance(Metric.SLOW_RATE, MARGINS[Metric.SLOW_RATE].size),
        slower_than_ms=SLOWER_THAN_MS,
    ),
)
"""The checks of a file that names none."""


def ramp(*stops: tuple[float, float]) -> tuple[Step, ...]:
    """Return steps of the default hold and samples from pairs of weight (percent) and margin factor."""
    return tuple(Step(weight=weight, margin_factor=factor) for weight, factor in stops)


PRESETS = {
    "default": ramp((1, 4), (5, 3), (10, 2), (25, 1.5), (50, 1)),
    "cautious": ramp((0.1, 4), (1, 4), (5, 3), (10, 2), (25, 1.5), (50, 1)),
    "fast": ramp((10, 2), (25, 1.5), (50, 1)),
    "quarter": ramp((10, 2), (25, 1.5), (75, 1)),
}
"""The named ramps. Margins loosen by the weight, 4 at 1 % to 1 at the end: only the last step claims the margin."""
