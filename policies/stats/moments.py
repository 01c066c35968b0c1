"""Count, mean and squared deviations of any numbers: for the screen. A sketch in floating point.

Merged without sums of squares, so numbers with a large offset keep their variance (Chan, Golub & LeVeque, 1979, eq.
1.5).
"""

from dataclasses import dataclass

__all__ = ["Moments"]


@dataclass(frozen=True, slots=True)
class Moments:
    """`n` numbers, their mean, and the sum of squared deviations from it.

    `a + b` has `Moments()` as identity; `a - b`, for cumulative moments with b earlier than a, is what came between.
    """

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0

    def __add__(self, other: "Moments") -> "Moments":
        if not other.n or not self.n:
            return self if self.n else other
        n = self.n + other.n
        gap = other.mean - self.mean
        return Moments(n, self.mean + gap * other.n / n, self.m2 + other.m2 + gap * gap * self.n * other.n / n)

    def __sub__(self, other: "Moments") -> "Moments":
        n = self.n - other.n
        if n <= 0 or not other.n:
            return self if not other.n else Moments()
        mean = (self.n * self.mean - other.n * other.mean) / n
        gap = other.mean - mean
        return Moments(n, mean, max(0.0, self.m2 - other.m2 - gap * gap * n * other.n / self.n))
