"""How often identical models are taken back, and how fast bad ones are: `python -m bench.null_rates [--runs N]`.

Each run is an attempt of 500 looks judged by `policies.look`, the function production calls. Nothing is skipped: a
rollback is counted at whatever look it would have come.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import betaincinv

from coalmine.policies import By, Judgement, Plan
from coalmine.policies.checks.reading import VARIANT_KEYS

from .evidence import Report
from .simulated import RAMP, World, attempt, plan_for

__all__ = ["Alarm", "alarms", "detection", "main", "upper_limit"]

ABOUT = """
Attempts whose two models are identical, made up by `bench/simulated.py`: 1,000 rows a look in batches of 50, each
batch one call a variant; calls fail whole (0.5 %) and are slow (5 %) with bursts and a slow wave that both variants
share; under keyed traffic 3,000 keys of Pareto 1.5 popularity, 1 % of which always fail. Every attempt is asked after
each of 500 looks. "The plan" is the decision over both checks at alpha 0.05; "errors" and "slow" count how often
either check alone would have decided. Upper limits are one-sided 99 % (Clopper & Pearson, 1934).
"""

CONSTANT = ((10.0, 500),)
"""A ramp that stays at 10 %."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One attempt: the first look at which the plan, and each check alone, would have rolled back; None: never.

    `promoted` is the first look at which all checks, or the rows of the error rate alone, had passed.
    """

    plan: int | None
    errors: int | None
    slow: int | None
    passed: int | None
    rows_passed: int | None


def alarms(world: World, ramp: tuple[tuple[float, int], ...], seed: int) -> Alarm:
    """Return when one attempt would have ended."""
    plan = plan_for(world, ramp)
    looks = list(attempt(world, plan, seed, ramp))
    bar = -math.log(plan.analysis.alpha)
    return Alarm(
        plan=first(looks, lambda look: look.log_e_rollback >= bar),
        errors=first(looks, lambda look: (look.findings[0].log_e_rollback or 0.0) >= bar),
        slow=first(looks, lambda look: (look.findings[1].log_e_rollback or 0.0) >= bar),
        passed=first(looks, lambda look: all((f.log_e_promotion or 0.0) >= bar for f in look.findings)),
        rows_passed=first(looks, lambda look: rows_pass(look.findings[0].values, bar)),
    )


def rows_pass(values: Mapping[str, float], bar: float) -> bool:
    """Tell whether the rows of the error rate allow a promotion, by the rules of keyed traffic where it is keyed."""
    enough_keys = "rows.log_e_bucket" in values or values.get("rows.canary_keys", math.inf) >= VARIANT_KEYS
    return values["rows.log_e_promotion"] >= bar and enough_keys


def first(looks: Sequence[Judgement], holds: Callable[[Judgement], bool]) -> int | None:
    """Return the number of the first look for which `holds`, from 1."""
    return next((number for number, look in enumerate(looks, start=1) if holds(look)), None)


def detection(world: World, seed: int) -> int:
    """Return how many canary rows had been answered when the plan took the canary back at 10 %; -1: never."""
    plan: Plan = plan_for(world, CONSTANT)
    bar = -math.log(plan.analysis.alpha)
    for look in attempt(world, plan, seed, CONSTANT):
        if look.log_e_rollback >= bar:
            return look.samples
    return -1


def upper_limit(hits: int, runs: int, confidence: float = 0.99) -> float:
    """Return the one-sided upper limit of a rate (Clopper & Pearson, 1934)."""
    return 1.0 if hits == runs else float(betaincinv(hits + 1, runs - hits, confidence))


NULLS = {
    "random, ramp 1 to 50 %": (World(by=By.RANDOM), RAMP),
    "keyed, ramp 1 to 50 %": (World(by=By.KEY), RAMP),
    "keyed, 10 % all the time": (World(by=By.KEY), CONSTANT),
}

MARGINS = {
    "random, errors worse by the margin": (World(by=By.RANDOM, extra_row_fault=0.005), CONSTANT),
    "keyed, errors worse by the margin": (World(by=By.KEY, extra_row_fault=0.005), CONSTANT),
}

REGRESSIONS = {
    "random, row errors 1 % to 6 %": World(by=By.RANDOM, rows=200, extra_row_fault=0.05),
    "keyed, row errors 1 % to 6 %": World(by=By.KEY, rows=200, extra_row_fault=0.05),
    "random, calls that fail 0.5 % to 10 %": World(by=By.RANDOM, rows=200, batch=10, extra_call_fault=0.095),
    "random, slow calls 5 % to 25 %": World(by=By.RANDOM, rows=200, batch=10, extra_slow=0.2),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study, print and write it; 1 when a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000, help="attempts of identical models a scenario")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    report = Report("null-rates", ABOUT)
    with ProcessPoolExecutor(options.processes) as pool:
        seeds = range(options.seed * 1_000_000, options.seed * 1_000_000 + options.runs)
        for name, (world, ramp) in NULLS.items():
            found = list(pool.map(partial(alarms, world, ramp), seeds, chunksize=8))
            for what in ("plan", "errors", "slow"):
                rate(report, f"{name}: false rollback, {what}", [getattr(alarm, what) for alarm in found])
        for name, (world, ramp) in MARGINS.items():
            found = list(pool.map(partial(alarms, world, ramp), seeds[: options.runs // 4], chunksize=8))
            rate(report, f"{name}: false promotion, rows", [alarm.rows_passed for alarm in found])
        for name, world in REGRESSIONS.items():
            rows = list(pool.map(partial(detection, world), seeds[: options.runs // 10], chunksize=4))
            caught(report, name, rows)
    return 0 if report.publish() else 1


def rate(report: Report, name: str, first_looks: Sequence[int | None]) -> None:
    """Report how often something happened at all, against 5 %."""
    hits, runs = sum(look is not None for look in first_looks), len(first_looks)
    limit = upper_limit(hits, runs)
    report.bar(name, f"{hits} of {runs} = {100 * hits / runs:.2f} %, upper limit {100 * limit:.2f} %", "<= 5 %",
               hits <= 0.05 * runs)  # fmt: skip
    print(*report.figures[-1], sep=" | ", file=sys.stderr, flush=True)


def caught(report: Report, name: str, rows: Sequence[int]) -> None:
    """Report after how many canary rows a regression was found."""
    found = np.array([float(n) for n in rows if n >= 0] or [math.nan])
    missed = sum(n < 0 for n in rows)
    value = (
        f"median {np.median(found):.0f}, p90 {np.quantile(found, 0.9):.0f} canary rows, missed {missed} of {len(rows)}"
    )
    report.bar(
        f"{name}: rollback after", value, "p90 <= 1,000 rows", bool(np.quantile(found, 0.9) <= 1_000) and not missed
    )


if __name__ == "__main__":
    raise SystemExit(main())
