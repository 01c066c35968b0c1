"""The circuit breaker of a worker: cuts a canary that plainly fails, in tens of rows and without asking anybody.

It is a CUSUM of the log-likelihood ratio of two failure rates (Page 1954): `score` rises by ln(p1/p0) with a failure,
falls by ln((1-p0)/(1-p1)) with a success, never counts from below 0, and trips at `TRIP_SCORE`. While at most p0 of
the rows fail, the mean number of rows to a false trip is at least exp(TRIP_SCORE) = 10**6 (Lorden 1971).

There is no way back: a tripped breaker stays open for its attempt, for a probe would be made on users. Finer
differences than p0 against p1 are for the checks of the judge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

__all__ = ["Breaker"]

TOLERATED_RATE = 0.05
"""p0: a canary that fails this share of its rows is a matter for the checks, not for the breaker."""

PLAIN_RATE = 0.5
"""p1: the failure rate the breaker finds fastest."""

TRIP_SCORE = 6 * log(PLAIN_RATE / TOLERATED_RATE)
"""Six failures in a row; equal to ln(10**6), and written so that the sixth reaches it in floating point, too."""

RISE = log(PLAIN_RATE / TOLERATED_RATE)
FALL = log((1 - TOLERATED_RATE) / (1 - PLAIN_RATE))

ROUNDING = 1e-9
"""Slack for sums of floats, far below the smallest step of the score."""

TIMEOUT_SPAN_ROWS = 1_000
"""Two time-outs within so many rows of the canary trip: each of them holds up a batch for the whole time-out. A
healthy canary that is late once in 10**5 calls has two so close together about once in 10**7 rows."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """What a worker has seen of the canary in one attempt.

    `failures` counts all failures; `rows_since_timeout` is infinite before the first time-out; `tripped` latches.
    """

    score: float = 0.0
    failures: int = 0
    rows_since_timeout: float = inf
    tripped: bool = False

    def after(self, failed: Sequence[bool], timeouts: int = 0) -> "Breaker":
        """Return the breaker after a batch: one entry a row the canary was asked for, in order, True where it failed.

        Rows that failed together because their whole call did (time-out, death of the process) are one entry: they are
        one failure. `timeouts` counts the calls of the batch that ran out of time. A tripped breaker stays as it is.
        """
        if self.tripped:
            return self
        score, highest = followed(self.score, failed)
        close = self.rows_since_timeout + len(failed) <= TIMEOUT_SPAN_ROWS
        return Breaker(
            score=score,
            failures=self.failures + sum(failed),
            rows_since_timeout=0 if timeouts else self.rows_since_timeout + len(failed),
            tripped=highest >= TRIP_SCORE - ROUNDING or timeouts + close * bool(timeouts) >= 2,
        )


def followed(score: float, failed: Sequence[bool]) -> tuple[float, float]:
    """Return the score after the rows and the highest value on the way; costs time per failure, not per row."""
    highest, done = score, 0
    for index in [row for row, has_failed in enumerate(failed) if has_failed]:
        score = max(0.0, fallen(score, index - done)) + RISE
        highest, done = max(highest, score), index + 1
    return fallen(score, len(failed) - done), highest


def fallen(score: float, successes: int) -> float:
    """Return the score after some successes in a row; one from 0 or below lands at -FALL, however many came before."""
    return score if successes == 0 else max(max(0.0, score) - successes * FALL, -FALL)
