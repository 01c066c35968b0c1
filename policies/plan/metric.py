"""What a check compares, by its name in a rollout file, and what each of these names implies."""

from enum import Enum

__all__ = ["Metric"]


class Metric(Enum):
    """The loss a check compares between the variants."""

    ERROR_RATE = "error_rate"
    SLOW_RATE = "slow_rate"
    MEAN = "mean"
    ACCURACY = "accuracy"
    MISS_RATE = "miss_rate"
    FALSE_ALARM_RATE = "false_alarm_rate"
    BRIER = "brier"
    LOG_LOSS = "log_loss"
    ABSOLUTE_ERROR = "absolute_error"
    SQUARED_ERROR = "squared_error"
    OWN = "own"
    PREDICTION_DRIFT = "prediction_drift"
    ERROR_CODE = "error_code"
    FALLBACK_RATE = "fallback_rate"
    FEATURE_DRIFT = "feature_drift"

    @property
    def is_served(self) -> bool:
        """Whether serving itself brings the evidence; the others wait for labels."""
        return self in (
            Metric.ERROR_RATE,
            Metric.ERROR_CODE,
            Metric.SLOW_RATE,
            Metric.PREDICTION_DRIFT,
            Metric.FALLBACK_RATE,
            Metric.FEATURE_DRIFT,
        )

    @property
    def is_event(self) -> bool:
        """Whether each unit has a loss of 0 or 1; the others have losses between."""
        return self in (
            Metric.ERROR_RATE,
            Metric.ERROR_CODE,
            Metric.SLOW_RATE,
            Metric.FALLBACK_RATE,
            Metric.ACCURACY,
            Metric.MISS_RATE,
            Metric.FALSE_ALARM_RATE,
        )

    @property
    def has_only_a_limit(self) -> bool:
        """Whether canary and stable are not compared, so that there is a limit and no margin."""
        return self in (Metric.FALLBACK_RATE, Metric.FEATURE_DRIFT)

    @property
    def is_over_all_rows(self) -> bool:
        """Whether it is taken of all rows together, so that it cannot be counted by segment."""
        return self in (
            Metric.PREDICTION_DRIFT,
            Metric.ERROR_CODE,
            Metric.FALLBACK_RATE,
            Metric.FEATURE_DRIFT,
        )

    @property
    def has_cap(self) -> bool:
        """Whether losses have no bound of their own, so that a cap must bound them."""
        return self in (Metric.MEAN, Metric.LOG_LOSS, Metric.ABSOLUTE_ERROR, Metric.SQUARED_ERROR)
