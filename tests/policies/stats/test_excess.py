"""The test of an absolute limit against numerical integration and its own mean."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from coalmine.policies.stats.excess import log_e_above


@pytest.mark.parametrize(("n", "events"), [(10, 3), (200, 14), (50, 0)])
def test_the_value_is_the_integral_over_the_rates_above_the_limit(n: int, events: int) -> None:
    limit = 0.05

    def ratio(rate: float) -> float:
        return float(stats.binom.pmf(events, n, rate) / stats.binom.pmf(events, n, limit))

    mean, _ = integrate.quad(ratio, limit, 1.0, points=[max(limit, events / n)])

    assert log_e_above(limit, n, events) == pytest.approx(math.log(mean / (1 - limit)), abs=1e-6)


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.5])
def test_the_mean_at_the_limit_is_exactly_one(limit: float) -> None:
    n = 80
    values = [math.exp(log_e_above(limit, n, x)) for x in range(n + 1)]

    assert float(np.dot(stats.binom.pmf(np.arange(n + 1), n, limit), values)) == pytest.approx(1.0, abs=1e-9)


def test_no_units_say_nothing() -> None:
    assert log_e_above(0.05, 0, 0) == 0.0


def test_a_rate_far_below_the_limit_cannot_overflow() -> None:
    assert log_e_above(0.5, 1_000_000, 10) < 0.0
    assert log_e_above(0.05, 1_000_000, 1_000_000) < math.inf
