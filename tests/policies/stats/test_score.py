"""The score process against numerical integration and the defining equation of its interval."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from coalmine.policies.stats.score import MULTIPLES, Difference, log_e_above, log_e_below, pooled, tuning


def by_integration(score: float, information: float, rho: float) -> float:
    """ln of the mean likelihood ratio over a half-normal drift with precision rho."""
    scale = 1 / math.sqrt(rho)

    def integrand(drift: float) -> float:
        return float(2 * stats.norm.pdf(drift, 0, scale)) * math.exp(drift * score - drift * drift * information / 2)

    value, _ = integrate.quad(integrand, 0, 12 * scale, epsabs=0, limit=200)
    return math.log(value)


@pytest.mark.parametrize(("estimate", "information"), [(0.0, 400.0), (0.03, 900.0), (-0.04, 100.0)])
def test_the_value_is_the_integral_over_the_drift(estimate: float, information: float) -> None:
    bound, rho = 0.02, 150.0

    value = log_e_below(Difference(estimate, information), bound, rho)

    assert value == pytest.approx(by_integration((bound - estimate) * information, information, rho), abs=1e-6)


def test_the_interval_ends_where_the_two_sided_mixture_reaches_its_threshold() -> None:
    difference, rho, alpha = Difference(0.01, 5_000.0), 300.0, 0.05

    low, high = difference.interval(rho, alpha)

    score, spread = (high - difference.estimate) * 5_000.0, 5_000.0 + rho
    log_e = 0.5 * math.log(rho / spread) + score**2 / (2 * spread)
    assert log_e == pytest.approx(math.log(1 / alpha), abs=1e-9)
    assert difference.estimate - low == pytest.approx(high - difference.estimate)


def test_the_tuning_makes_the_boundary_nearly_lowest_at_its_information() -> None:
    effect, alpha = 0.01, 0.05
    information = ((stats.norm.ppf(0.95) + stats.norm.ppf(0.8)) / effect) ** 2

    def estimate_needed(rho: float) -> float:
        grid = np.linspace(0, 0.1, 4_001)
        return float(next(d for d in grid if log_e_below(Difference(-d, information), 0.0, rho) >= math.log(1 / alpha)))

    best = min(estimate_needed(information / divisor) for divisor in np.geomspace(0.5, 50, 40))
    assert estimate_needed(tuning(effect, alpha)) <= 1.03 * best


def test_no_information_says_nothing() -> None:
    nothing = Difference(math.nan, 0.0)

    assert log_e_below(nothing, 0.01, 100.0) == 0.0
    assert nothing.interval(100.0, 0.05) == (-math.inf, math.inf)


def test_epochs_are_weighted_by_their_information() -> None:
    both = pooled([Difference(0.0, 100.0), Difference(0.04, 300.0), Difference(math.nan, 0.0)])

    assert both == Difference(0.03, 400.0)


def test_a_difference_above_is_found_like_its_mirror_image_below_by_either_tuning() -> None:
    difference = Difference(0.03, 4e4)
    mirrored = Difference(-0.03, 4e4)

    values = [log_e_below(mirrored, -0.01, tuning(multiple * 0.01, 0.05)) for multiple in MULTIPLES]

    assert log_e_above(difference, 0.01, 0.01, 0.05) == pytest.approx(
        math.log(sum(map(math.exp, values)) / 2), abs=1e-12
    )
    assert log_e_above(Difference(math.nan, 0.0), 0.01, 0.01, 0.05) == 0.0


def test_a_large_difference_is_found_with_less_information_than_by_the_margin_alone() -> None:
    difference = Difference(0.1, 1_300.0)

    assert (
        log_e_above(difference, 0.0, 0.02, 0.05)
        > math.log(20)
        > log_e_below(Difference(-0.1, 1_300.0), 0.0, tuning(0.02, 0.05))
    )
