"""Rows and calls of one simulated attempt, summed up look by look as a scorecard would.

What is kept of reality, because tests that ignore it fail: rows come in calls and some faults strike whole calls,
bursts and drift strike both variants at once, keys have very unequal traffic and are routed for good by the router of
production, some keys always fail. Rows are drawn one by one; only under random routing is the hash of a request's id
replaced by a random number, which is what it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from coalmine.policies import (
    KEY_BUCKETS,
    By,
    Check,
    Losses,
    LossHistory,
    Metric,
    Plan,
    Router,
    State,
    Sums,
    Variant,
    key_hash,
)
from coalmine.policies.stats.predictions import NO_PREDICTIONS, PredictionCounts, cells_of

from .world import SEGMENTS, World

__all__ = ["Batch", "Traffic"]

FAST_MS_BUCKET = 450
"""Duration bucket of a call that is not slow: 7 ms."""

SLOW_MS_BUCKET = 1_000
"""Duration bucket of a slow call: over six minutes, so slow for every threshold."""

WAVE_MS = 2_000_000
"""Period of the slow wave on all rates."""

HASH_UNITS = 1_000_000

SHARES = np.array(list(SEGMENTS.values())) / sum(SEGMENTS.values())

Rows = NDArray[np.bool_]
Source = tuple[Metric, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one look adds: the sums by variant, and those of the labels, which may come later."""

    rows: int
    served: Mapping[str, Sums]
    labelled: Mapping[str, Sums]


@lru_cache(maxsize=4)
def names_of_keys(count: int) -> tuple[tuple[bytes, ...], NDArray[np.uint64]]:
    """Return keys and their hashes."""
    keys = tuple(b"key-%d" % number for number in range(count))
    return keys, np.array([int(key_hash(key), 16) for key in keys], dtype=np.uint64)


class Traffic:
    """The rows of one attempt.

    Parameters
    ----------
    world
        What happens.
    plan
        Whose checks say which losses are summed up.
    rng
        The only source of chance; equal generators give equal traffic.
    secret
        What the router of this attempt mixes into its salt.
    """

    def __init__(self, world: World, plan: Plan, rng: np.random.Generator, secret: bytes) -> None:
        self.world, self.plan, self.rng, self.secret = world, plan, rng, secret
        self.keys, self.hashes = names_of_keys(world.keys)
        self.ladder = np.cumsum(world.popularity)
        self.stubborn = rng.random(world.keys)
        self.phase = rng.random()
        self.labels = [c for c in plan.analysis.checks if not c.metric.is_served or c.segment_by or c.code]
        self.by_segment = bool(world.harm.segment) or any(check.segment_by for check in self.labels)
        self.counts_predictions = any(check.metric is Metric.PREDICTION_DRIFT for check in plan.analysis.checks)
        self.revision = -1
        self.threshold = 0
        self.is_canary: Rows = np.zeros(world.keys, dtype=np.bool_)
        self.bucket: NDArray[np.uint8] = np.zeros(world.keys, dtype=np.uint8)

    def follow(self, state: State) -> None:
        """Route by `state` from now on."""
        if state.revision == self.revision:
            return
        router = Router.of(state, self.secret)
        drawn = router.assign(self.keys, self.keys, no_column)
        self.revision, self.threshold = state.revision, router.threshold
        self.is_canary, self.bucket = drawn.canary, drawn.bucket

    def look(self, seconds: float, since_ms: int) -> Batch:
        """Return what the rows of some time bring; `since_ms` is the time since step 1, below 0 before it."""
        world = self.world
        over = world.is_over_ms is not None and since_ms >= world.is_over_ms
        count = 0 if over else int(self.rng.poisson(world.rows_per_second * seconds))
        if not count:
            return Batch(0, {}, {})
        key = np.searchsorted(self.ladder, self.rng.random(count)).clip(max=world.keys - 1)
        if self.plan.routing.by is By.KEY:
            canary = self.is_canary[key]
        else:
            canary = self.rng.random(count) * HASH_UNITS < self.threshold
        rows = Drawn(self, key, canary, self.common(since_ms), 0 <= world.harm.since_ms <= since_ms)
        return Batch(count, rows.served(), rows.labelled())

    def common(self, since_ms: int) -> float:
        """Return the factor on all rates that both variants share."""
        world = self.world
        wave = world.wave * np.sin(2 * np.pi * (since_ms / WAVE_MS + self.phase))
        burst = self.rng.normal(0.0, world.burst) if world.burst else 0.0
        return float(np.exp(wave + burst)) * self.grown(since_ms)

    def grown(self, since_ms: int) -> float:
        """Return the part of the factor that grows: with time, or with the weight up to that of the last step."""
        world = self.world
        if world.growth_ms:
            part = max(since_ms, 0) / world.growth_ms
        else:
            part = self.threshold / HASH_UNITS * 100 / self.plan.stages[-1].weight
        return float(world.growth ** min(part, 1.0))


def no_column(name: str) -> Sequence[str | None]:
    """Refuse to give a field: what is simulated is inside the scope, and no rule fits."""
    raise AssertionError(f"simulated traffic has no field {name}")


def source_of(check: Check) -> Source:
    """Return what a check takes its losses from: checks with one source see the same losses."""
    return check.metric, check.field, check.own


class Drawn:
    """The rows of one look, drawn; knows which of them are the canary's and what went wrong with them."""

    def __init__(self, traffic: Traffic, key: NDArray[np.int64], canary: Rows, common: float, harmed: bool) -> None:
        world, rng = traffic.world, traffic.rng
        self.traffic, self.key, self.canary, self.common = traffic, key, canary, common
        self.harmed = canary if harmed else np.zeros(len(key), dtype=np.bool_)
        self.bucket = traffic.bucket[key]
        self.segment = rng.choice(len(SEGMENTS), len(key), p=SHARES) if traffic.by_segment else None
        self.call = np.arange(len(key)) // world.rows_per_call
        self.inside = self.harmed_rows()
        self.fails = self.events(world.base.error_rate) | (rng.random(len(key)) < self.inside * world.harm.errors)

    def harmed_rows(self) -> Rows:
        """Return the rows on which the canary is worse: all of its own, or those of one segment."""
        segment = self.traffic.world.harm.segment
        if segment is None or self.segment is None:
            return self.harmed
        return np.asarray(self.harmed & (self.segment == list(SEGMENTS).index(segment)))

    def events(self, rate: float) -> Rows:
        """Tell on which rows either model fails by itself; the sticky share of them on keys where it always does."""
        world = self.traffic.world
        always = rate * world.sticky
        others = (rate - always) / (1.0 - always) if always < 1.0 else 0.0
        fails = self.traffic.rng.random(len(self.key)) < others * self.common
        return fails | (self.traffic.stubborn[self.key] < always) if always else fails

    def served(self) -> dict[str, Sums]:
        """Return what serving itself tells."""
        harmed = bool(self.harmed.any())
        return {
            Variant.CANARY.value: self.served_by(self.canary, harmed),
            Variant.STABLE.value: self.served_by(~self.canary, False),
        }

    def served_by(self, mine: Rows, harmed: bool) -> Sums:
        """Return rows, calls and faults of one variant."""
        world, rng = self.traffic.world, self.traffic.rng
        base, harm = world.base, world.harm
        if not mine.any():
            return Sums()
        sizes = np.bincount(self.call[mine], minlength=int(self.call[-1]) + 1)
        called = sizes > 0
        calls = int(called.sum())
        lost = called & (rng.random(len(sizes)) < base.call_error_rate * self.common + harmed * harm.call_errors)
        slow_rate = max(base.slow_rates.values(), default=0.0) * self.common + harmed * harm.slow
        slow = int(rng.binomial(calls, min(slow_rate, 1.0)))
        failing = mine & self.fails & ~lost[self.call]
        faults, lost_calls = int(failing.sum()), int(lost.sum())
        own = Sums()
        if faults:
            own = Sums(
                row_faults={"model_error": faults},
                bucket_faults=tuple(np.bincount(self.bucket[failing], minlength=KEY_BUCKETS).tolist()),
                fault_keys=frozenset(self.traffic.hashes[self.key[failing]].tolist()),
            )
        return replace(
            own,
            rows=int(mine.sum()),
            call_fault_rows=int(sizes[lost].sum()),
            calls=calls,
            call_faults={"model_timeout": lost_calls} if lost_calls else {},
            call_ms={bucket: n for bucket, n in ((FAST_MS_BUCKET, calls - slow), (SLOW_MS_BUCKET, slow)) if n},
            bucket_rows=tuple(np.bincount(self.bucket[mine], minlength=KEY_BUCKETS).tolist()),
            predicted=self.predicted(mine, harmed),
        )

    def predicted(self, mine: Rows, harmed: bool) -> PredictionCounts:
        """Return what one variant predicted, where a check asks for it: scores, and a class that only harm brings."""
        if not self.traffic.counts_predictions:
            return NO_PREDICTIONS
        rng, rows = self.traffic.rng, int(mine.sum())
        moved = int(rng.binomial(rows, harmed * self.traffic.world.harm.moved))
        cells, counts = np.unique(cells_of(rng.beta(2.0, 5.0, rows - moved)), return_counts=True)
        return PredictionCounts(
            classes={"moved": moved} if moved else {},
            cells=dict(zip(cells.tolist(), counts.tolist(), strict=True)),
        )

    def labelled(self) -> dict[str, Sums]:
        """Return the losses that labels, fields and segments tell."""
        drawn: dict[Source, NDArray[np.float64]] = {}
        found: dict[str, dict[str, Losses]] = {Variant.CANARY.value: {}, Variant.STABLE.value: {}}
        for check in self.traffic.labels:
            source = source_of(check)
            if source not in drawn:
                drawn[source] = self.losses(check)
            for name, rows in self.parts(check):
                for variant, mine in ((Variant.CANARY, self.canary), (Variant.STABLE, ~self.canary)):
                    chosen = mine & rows
                    if chosen.any():
                        found[variant.value][name] = Losses.of(drawn[source][chosen], self.bucket[chosen])
        return {variant: Sums(losses=losses) for variant, losses in found.items() if losses}

    def parts(self, check: Check) -> Sequence[tuple[str, Rows]]:
        """Return the rows that a check sums up by the name of the sums: all, or those of each segment."""
        if check.segment_by is None:
            return ((check.name, np.ones(len(self.key), dtype=np.bool_)),)
        assert self.segment is not None, "traffic of checks by segment has segments"
        return tuple((f"{check.name}/{value}", self.segment == index) for index, value in enumerate(SEGMENTS))

    def losses(self, check: Check) -> NDArray[np.float64]:
        """Return the loss of each row in a check, 0..1."""
        if check.metric in (Metric.ERROR_RATE, Metric.ERROR_CODE):
            # Whichever code a check asks for, it is the one that rows fail with here.
            return self.fails.astype(np.float64)
        base = self.traffic.world.base.losses[check.name]
        extra = self.extra(check)
        draw = self.wrong if check.metric.is_event else self.spread
        return draw(base, extra)

    def extra(self, check: Check) -> NDArray[np.float64]:
        """Return what the canary adds to the mean loss of each row; equal metrics have equal losses."""
        harm = self.traffic.world.harm
        same = [other.name for other in self.traffic.labels if source_of(other) == source_of(check)]
        added = max((harm.losses.get(name, 0.0) for name in same), key=abs)
        elsewhere = harm.elsewhere if added else 0.0
        return np.where(self.inside, added, np.where(self.harmed, elsewhere, 0.0))

    def wrong(self, base: LossHistory, extra: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return losses of 0 or 1; one that is taken away is taken from rows that had it."""
        rng = self.traffic.rng
        has = self.events(base.mean)
        spared = rng.random(len(has)) < -extra / max(base.mean, 1e-9)
        struck = rng.random(len(has)) < extra / max(1.0 - base.mean, 1e-9)
        return np.where(has, ~spared, struck).astype(np.float64)

    def spread(self, base: LossHistory, extra: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return losses between 0 and 1: Beta with the mean wanted and the concentration of the base."""
        size = base.mean * (1.0 - base.mean) / base.variance - 1.0
        mean = np.clip(base.mean * self.common + extra, 1e-3, 1.0 - 1e-3)
        return np.asarray(self.traffic.rng.beta(mean * size, (1.0 - mean) * size), dtype=np.float64)
