"""How often a single check errs, and how soon it finds what is bad: `python -m bench.decisions [--runs N]`.

Every run asks after each of 500 looks. The tests, their bets and the rules under keyed traffic are those of
`policies.judging.judge`, `policies.scorecard.epochs` and `policies.checks.reading`, with the shipped defaults.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from coalmine.policies import By, Metric, Sums
from coalmine.policies.checks.comparison import Comparison
from coalmine.policies.checks.metrics import bounds_of, measures
from coalmine.policies.checks.reading import read
from coalmine.policies.judging.judge import taught
from coalmine.policies.scorecard.epochs import EpochSums, first_errors

from .evidence import Report
from .null_rates import upper_limit
from .worlds import RAMP, World, at_margin, epochs, frozen_of, plan_of, worse

__all__ = ["MARGINS", "NULLS", "Outcome", "fixed_size", "main", "run"]

BAR = -math.log(0.05)
"""ln of 1/alpha, the e-value that decides."""

ABOUT = """
Single checks on losses made up by `bench/worlds.py`: 1,000 rows a look, asked after each of 500 looks, alpha 0.05,
tolerance 0 unless it says otherwise, nothing tuned to a scenario: every number is what a rollout file gets by default.
False rollback: identical models, rolled back at any look. False promotion: a canary worse by exactly the margin, passed
at any look. Upper limits are one-sided 99 % (Clopper & Pearson, 1934). Detection: mean canary rows until rollback,
by the canary rows of the one-sided fixed-size test at 5 % with power 80 % that knows the effect.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run: the look and the canary rows at the first rollback, and the look of the first pass; None: never."""

    rolled_back: int | None
    rows: int
    passed: int | None


def run(world: World, until_rollback: bool, seed: int) -> Outcome:
    """Return what one run of a world came to; `until_rollback`: it ends there."""
    rolled_back = passed = None
    rows = rows_then = 0
    for look, (log_e_rollback, passes, canary) in enumerate(readings(world, seed), start=1):
        rows += canary
        if rolled_back is None and log_e_rollback >= BAR:
            rolled_back, rows_then = look, rows
        if passed is None and passes:
            passed = look
        if until_rollback and rolled_back:
            break
    return Outcome(rolled_back, rows_then, passed)


def readings(world: World, seed: int) -> Iterator[tuple[float, bool, int]]:
    """Yield ln of the rollback e-value, whether the loss passes, and the canary's units, of every look."""
    plan, frozen = plan_of(world), frozen_of(world)
    [check] = plan.analysis.checks
    [measure] = [measure for measure in measures(check, frozen) if measure.unit is world.unit]
    bounds = bounds_of(check, frozen)
    tests = Comparison.start(check, measure, bounds, plan)
    steps: dict[int, EpochSums] = {}
    seen: dict[int, dict[str, Sums]] = {}
    for epoch in epochs(world, seed):
        if world.by is By.RANDOM:  # `read` would return these very values, and what it adds is only shown
            tests = taught(tests, measure, (epoch,), (), plan)
            passes = tests.margins.value(bounds.margin) >= BAR
            yield tests.log_e_worse(bounds.tolerance), passes, measure.take(epoch.canary).n
            continue
        before = steps.get(epoch.step, replace(epoch, canary=Sums(), stable=Sums()))
        total = replace(epoch, canary=before.canary + epoch.canary, stable=before.stable + epoch.stable)
        steps[epoch.step] = total
        now = {**seen, epoch.step: {"canary": total.canary, "stable": total.stable}}
        erring = first_errors([epoch], seen, now) if tests.keys is not None else ()
        seen = now
        tests = taught(tests, measure, (epoch,), erring, plan)
        reading = read(check, measure, bounds, tests, tuple(steps.values()), plan, bounds.margin)
        passes = reading.log_e_promotion >= BAR and reading.enough_keys
        yield reading.log_e_rollback, passes, measure.take(epoch.canary).n


def fixed_size(world: World, effect: float) -> float:
    """Return the canary rows of the one-sided test of fixed size at 5 % with power 80 % that knows the effect."""
    w, worse_rate = world.share / 100, world.base + effect
    variance = worse_rate * (1.0 - worse_rate) + world.base * (1.0 - world.base) * w / (1.0 - w)
    return (1.6449 + 0.8416) ** 2 * variance / effect**2


Floats = NDArray[np.float64]


def score(rng: np.random.Generator, n: int) -> Floats:
    """Return losses of a bounded score: mean 0.3, standard deviation 0.205."""
    return rng.beta(1.2, 2.8, n)


def heavy(rng: np.random.Generator, n: int) -> Floats:
    """Return log-normal losses, capped at their 99.5th percentile."""
    return np.minimum(rng.lognormal(0.0, 2.0, n) / 172.0, 1.0)


def revenue(rng: np.random.Generator, n: int) -> Floats:
    """Return what is missed of the highest revenue: one row in twenty brings any, log-normal and capped."""
    return 1.0 - np.minimum((rng.random(n) < 0.05) * rng.lognormal(3.0, 1.5, n) / 200.0, 1.0)


ERRORS = World(base=0.01, margin=0.005, share=5.0)
ACCURACY = World(base=0.10, margin=0.02)
RARE = World(base=0.0005, margin=0.0005, share=2.0)
SCORE = World(base=0.3, margin=0.02, draw=score)
HEAVY = World(base=0.03, margin=0.005, draw=heavy)
REVENUE = World(base=0.99, margin=0.002, draw=revenue)
DRIFTING = World(base=0.005, margin=0.005, ramp=RAMP, drift=6.0)
KEYED = World(base=0.01, margin=0.005, by=By.KEY, metric=Metric.ERROR_RATE)
SLOW_CALLS = World(base=0.05, margin=0.02, rows_per_call=50, metric=Metric.SLOW_RATE)

NULLS = {
    "errors 1 %": ERRORS,
    "accuracy 90 %": ACCURACY,
    "errors 0.05 %": RARE,
    "bounded score": SCORE,
    "heavy tail, capped at its 99.5th percentile": HEAVY,
    "revenue, capped": REVENUE,
    "ramp 1 to 50 %, rate rising six-fold": DRIFTING,
    "accuracy 90 %, ramp 1 to 50 %, rate rising three-fold": replace(ACCURACY, ramp=RAMP, drift=3.0),
    "keyed, errors 1 %": KEYED,
    "keyed, errors 0.05 %": replace(KEYED, base=0.0005, margin=0.0005),
    "keyed, accuracy 90 %": replace(KEYED, base=0.10, margin=0.02, metric=Metric.ACCURACY),
    "slow calls 5 %": SLOW_CALLS,
    "calls that fail whole 1 %": replace(SLOW_CALLS, base=0.01, margin=0.005,
                                         metric=Metric.ERROR_RATE),
    "accuracy 90 %, weight 90 % (stable is the small arm)": replace(ACCURACY, share=90.0),
    "errors 1 %, tolerance half the margin": replace(ERRORS, tolerance=0.0025),
}  # fmt: skip
"""Worlds with identical models."""

MARGINS = {
    "errors 1 %": ERRORS,
    "accuracy 90 %": ACCURACY,
    "bounded score": SCORE,
    "keyed, accuracy 90 %": NULLS["keyed, accuracy 90 %"],
    "slow calls 5 %": SLOW_CALLS,
    "accuracy 90 %, weight 90 % (stable is the small arm)": replace(ACCURACY, share=90.0),
}
"""Worlds in which the canary will be worse by exactly the margin."""

DETECTION = {
    ("errors 1 %", 1.0): (ERRORS, 1.07),
    ("errors 1 %", 2.0): (ERRORS, 0.99),
    ("errors 1 %", 8.0): (ERRORS, 0.96),
    ("accuracy 90 %", 1.0): (ACCURACY, 1.40),
    ("accuracy 90 %", 2.0): (ACCURACY, 1.50),
}
"""Worlds, multiples of the margin by which the canary is worse, and the bar on the ratio to the fixed size."""

LATE_LOOK, LATE_BAR = 250, 45


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study, print and write it; 1 when a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4_000, help="runs of identical models a world")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    report = Report("decisions", ABOUT)
    with ProcessPoolExecutor(options.processes) as pool:

        def runs(world: World, count: int, until_rollback: bool) -> list[Outcome]:
            seeds = range(options.seed * 1_000_000, options.seed * 1_000_000 + count)
            return list(pool.map(partial(run, world, until_rollback), seeds, chunksize=8))

        for name, world in NULLS.items():
            false_rate(report, f"{name}: false rollback", [o.rolled_back for o in runs(world, options.runs, False)])
        for name, world in MARGINS.items():
            found = runs(at_margin(world), options.runs // 2, False)
            false_rate(report, f"{name}: false promotion", [o.passed for o in found])
        for (name, multiple), (world, bar) in DETECTION.items():
            detected(report, name, multiple, world, bar, partial(runs, count=options.runs // 2, until_rollback=True))
        late(report, runs(worse(ERRORS, ERRORS.base, LATE_LOOK), options.runs // 4, True))
    return 0 if report.publish() else 1


def false_rate(report: Report, name: str, looks: Sequence[int | None]) -> None:
    """Report how often something happened that should not."""
    hits, count = sum(look is not None for look in looks), len(looks)
    limit = upper_limit(hits, count)
    value = f"{hits} of {count} = {100 * hits / count:.2f} %, upper limit {100 * limit:.2f} %"
    report.bar(name, value, "<= 5 %, upper limit <= 5.5 %", hits <= 0.05 * count and limit <= 0.055)
    tell(report)


def detected(
    report: Report, name: str, multiple: float, world: World, bar: float, runs: Callable[[World], list[Outcome]]
) -> None:
    """Report after how many canary rows a canary that is worse by so many margins is found."""
    effect = multiple * world.margin
    outcomes = runs(worse(world, effect))
    rows = np.array([outcome.rows for outcome in outcomes if outcome.rolled_back is not None], dtype=np.float64)
    missed = len(outcomes) - len(rows)
    size = fixed_size(world, effect)
    ratio, error = rows.mean() / size, rows.std() / math.sqrt(len(rows)) / size
    value = f"{rows.mean():,.0f} of {size:,.0f} rows = {ratio:.3f} +- {error:.3f}, missed {missed} of {len(outcomes)}"
    report.bar(f"{name}, worse by {multiple:g} margins: rows until rollback by the fixed size", value, f"<= {bar:g}",
               bool(ratio <= bar) and not missed)  # fmt: skip
    tell(report)


def late(report: Report, outcomes: Sequence[Outcome]) -> None:
    """Report how many looks after its beginning a late regression is found, by runs not taken back before."""
    delays = [o.rolled_back - LATE_LOOK if o.rolled_back else math.inf for o in outcomes]
    after = np.array([delay for delay in delays if delay > 0])
    value = f"median {np.median(after):.0f}, p90 {np.quantile(after, 0.9):.0f} looks ({len(after)} runs)"
    report.bar(f"errors 1 %, doubled at look {LATE_LOOK}: delay", value, f"median <= {LATE_BAR}",
               bool(np.median(after) <= LATE_BAR))  # fmt: skip
    tell(report)


def tell(report: Report) -> None:
    """Say the last figure as soon as it is known: the study takes half an hour."""
    print(*report.figures[-1], sep=" | ", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
