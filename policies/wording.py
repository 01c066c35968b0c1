"""Numbers in the sentences that people read."""

import math

__all__ = ["amount", "e_value", "percent", "points", "span"]

LARGEST_E = 1e6
"""Beyond this an e-value says nothing more to a reader."""


def percent(rate: float) -> str:
    """Return a rate 0..1 as a percentage with about two digits that matter.

    >>> percent(0.031), percent(0.0042), percent(0.5), percent(0.0)
    ('3.1 %', '0.42 %', '50 %', '0 %')
    """
    return f"{digits(100 * rate)} %" if math.isfinite(rate) else "unknown"


def points(difference: float) -> str:
    """Return a difference of rates in percentage points.

    >>> points(0.005)
    '0.5 pp'
    """
    return f"{100 * difference:.3g} pp"


def amount(value: float) -> str:
    """Return a number in the unit of its metric.

    >>> amount(0.07684), amount(12.345), amount(0.0)
    ('0.0768', '12.3', '0')
    """
    return f"{value:.3g}" if math.isfinite(value) else "unknown"


def digits(value: float) -> str:
    """Return a number for a table: no more digits than it deserves."""
    if value == 0 or abs(value) >= 10:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"


def e_value(log_e: float) -> str:
    """Return an e-value given as a logarithm.

    >>> e_value(math.log(5200)), e_value(-1.0), e_value(50.0)
    ('5,200', '0.37', 'over 1,000,000')
    """
    if log_e > math.log(LARGEST_E):
        return f"over {LARGEST_E:,.0f}"
    value = math.exp(log_e)
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def span(ms: int) -> str:
    """Return a time in the largest unit that shows it well.

    >>> span(90_000), span(4_000), span(7_200_000), span(3_600_000_000)
    ('1.5 min', '4 s', '2 h', '1,000 h')
    """
    if ms >= 360_000_000:
        return f"{ms / 3_600_000:,.0f} h"
    if ms >= 3_600_000:
        return f"{ms / 3_600_000:.3g} h"
    return f"{ms / 60_000:.3g} min" if ms >= 60_000 else f"{ms / 1_000:.3g} s"
