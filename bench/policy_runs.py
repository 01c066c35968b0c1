"""Whole rollouts, many times: `python -m bench.policy_runs [--runs N] [--minutes N --resume]`.

Every run is an attempt played by `coalmine.simulate` from its start to its end: routing, sums, judge and state machine
are those of production. What is done is kept in `build/policy-runs`, so that `--resume` goes on where a study was
stopped; it trusts that nothing was changed in between.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np

from coalmine.policies import Analysis, By, Check, Metric, ModelRef, Plan, Routing, Step, Topics
from coalmine.policies.planning.course import End
from coalmine.policies.planning.estimate import estimate
from coalmine.rollout_file import load
from coalmine.simulate import Harm, Run, World, base_of, play, rows_per_call

from .evidence import Report

__all__ = ["CASES", "Case", "main"]

ABOUT = """
Whole rollouts played by `coalmine simulate`'s engine: made-up traffic, and the router, the sums, the judge and the
state machine of production. Each run is an attempt from its start until it is promoted, rolled back or past its
deadline. 10,000 keys of Pareto 2 popularity; stable fails on 0.1 % of rows, 1 % of its calls are slow, 90 % of its
predictions are right, where a line does not say otherwise. "Default file" is `examples/smallest.yaml`: five steps of
10 minutes, looks every 10 s, checks errors and slow, a deadline of 24 hours, routing by key. "Estimate" is what
`coalmine estimate` says of that file at that rate.
"""

KEPT = Path(__file__).parent.parent / "build" / "policy-runs"

FINE_RATE = 10.0
"""Requests a second where rows until a rollback are counted: a look then brings 10 rows of a 10 % canary, and no run
counts more than 10 rows too many."""

CHUNK = 20
"""Runs that are kept at once."""

DEFAULT, _ = load(Path(__file__).parent.parent / "examples" / "smallest.yaml")


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the study: plan, world, and what is read from its runs: a value, a bar, whether it is met."""

    name: str
    plan: Plan
    world: World
    read: Callable[[Sequence[Run]], tuple[str, str, bool]]
    share: float = 1.0
    """Part of `--runs` that this line takes: some need fewer."""


def three_guardrails(by: By) -> Plan:
    """Return a plan that stays at 10 % with three guardrails that tolerate nothing."""
    checks = (
        Check(name="errors", metric=Metric.ERROR_RATE, margin=0.005),
        Check(name="slow", metric=Metric.SLOW_RATE, margin=0.02, slower_than_ms=50.0),
        Check(name="wrong", metric=Metric.ACCURACY, margin=0.02),
    )
    return Plan(
        name="study",
        topics=Topics.of("study"),
        stable=ModelRef(uri="study/1"),
        routing=Routing(by=by),
        steps=(Step(weight=10.0, hold_ms=86_400_000),),
        analysis=Analysis(checks=checks, every_ms=10_000, deadline_ms=86_400_000),
    )


def tolerant(plan: Plan) -> Plan:
    """Return the plan whose checks all tolerate half of their margin."""
    checks = tuple(replace(check, tolerance=check.margin / 2) for check in plan.analysis.checks)
    return replace(plan, analysis=replace(plan.analysis, checks=checks))


def small_stable(plan: Plan) -> Plan:
    """Return the plan with two steps in which stable is the small arm."""
    steps = (Step(weight=75.0, margin_factor=2.0), Step(weight=90.0))
    return replace(plan, steps=steps)


def world(plan: Plan, rate: float, harm: Harm | None = None, errors: float = 0.001) -> World:
    """Return a world of the study."""
    return World(base=base_of(plan, errors=errors), rows_per_second=rate, rows_per_call=rows_per_call(rate),
                 harm=harm or Harm())  # fmt: skip


def shares(runs: Sequence[Run]) -> str:
    """Return how runs ended, in numbers."""
    return ", ".join(f"{sum(run.ended is end for run in runs)} {end.value.replace('_', ' ')}" for end in End)


def at_most(end: End, most: float) -> Callable[[Sequence[Run]], tuple[str, str, bool]]:
    """Return the reading that an end comes in at most some share of the runs."""

    def read(runs: Sequence[Run]) -> tuple[str, str, bool]:
        met = sum(run.ended is end for run in runs) <= most * len(runs)
        return shares(runs), f"{end.value.replace('_', ' ')} <= {100 * most:.0f} %", met

    return read


def at_least(end: End, least: float) -> Callable[[Sequence[Run]], tuple[str, str, bool]]:
    """Return the reading that an end comes in at least some share of the runs."""

    def read(runs: Sequence[Run]) -> tuple[str, str, bool]:
        met = sum(run.ended is end for run in runs) >= least * len(runs)
        return shares(runs), f"{end.value.replace('_', ' ')} >= {100 * least:.0f} %", met

    return read


def back_within(most: int) -> Callable[[Sequence[Run]], tuple[str, str, bool]]:
    """Return the reading that nine of ten runs were rolled back before the canary had so many rows."""

    def read(runs: Sequence[Run]) -> tuple[str, str, bool]:
        rows = np.array([run.canary_rows if run.ended is End.ROLLED_BACK else np.inf for run in runs])
        p90 = float(np.quantile(rows, 0.9, method="higher"))
        value = (
            f"mean {rows[np.isfinite(rows)].mean():,.0f}, median {np.median(rows):,.0f}, p90 {p90:,.0f} canary rows; "
        )
        return value + shares(runs), f"p90 <= {most:,} canary rows", p90 <= most

    return read


def as_estimated(plan: Plan, of: World) -> Callable[[Sequence[Run]], tuple[str, str, bool]]:
    """Return the reading that runs end as `estimate` said, or that it named both ends."""

    def read(runs: Sequence[Run]) -> tuple[str, str, bool]:
        found = estimate(plan, of.base, of.supply)
        named = [end.value for end in found.ends]
        hits = sum(run.ended is found.ends[0] for run in runs)
        times = [run.ms / 3_600_000 for run in runs if run.ended is End.PROMOTED]
        took = f"; promoted after {np.mean(times):.1f} h, p90 {np.quantile(times, 0.9):.1f} h" if times else ""
        said = f"; estimate: {' or '.join(named)}, {found.middle.seconds / 3600:.1f} h"
        return (
            shares(runs) + took + said,
            "named first in >= 80 %, or both named",
            len(named) > 1 or hits >= 0.8 * len(runs),
        )

    return read


def never_up(runs: Sequence[Run]) -> tuple[str, str, bool]:
    """Read that nothing was promoted and that the reason says what is missing."""
    says = all(run.ended is End.INCONCLUSIVE and run.reason for run in runs)
    return f"{shares(runs)}: {runs[0].reason}", "never promoted, says what is missing", says


def cases() -> list[Case]:
    """Return the lines of the study, the quick ones first."""
    found = []
    for by in (By.RANDOM, By.KEY):
        plan = three_guardrails(by)
        how = f"three guardrails, tolerance 0, 10 % canary, by {by.value}"
        harms = (("accuracy 90 % to 80 %", Harm(losses={"wrong": 0.10}), 350, 0.001),
                 ("accuracy 90 % to 87 %", Harm(losses={"wrong": 0.03}), 2_800, 0.001),
                 ("errors 1 % to 6 %", Harm(errors=0.05), 300, 0.01))  # fmt: skip
        for what, harm, bar, errors in harms:
            found.append(Case(f"{how}: {what}", plan, world(plan, FINE_RATE, harm, errors), back_within(bar)))
    tolerating = tolerant(DEFAULT)
    for factor, read, what in ((0.5, at_least(End.PROMOTED, 0.9), "half the margin"),
                               (2.0, at_most(End.PROMOTED, 0.05), "twice the margin")):  # fmt: skip
        for check, harm in (("errors", Harm(errors=0.005 * factor)), ("slow", Harm(slow=0.02 * factor))):
            name = f"100/s, default file with tolerance = margin / 2: {check} worse by {what}"
            found.append(Case(name, tolerating, world(tolerating, 100.0, harm), read))
    turned = small_stable(DEFAULT)
    found.append(Case("steps at 75 and 90 %, 100/s: identical models", turned, world(turned, 100.0),
                      at_most(End.ROLLED_BACK, 0.05)))  # fmt: skip
    found += [
        Case(f"steps at 75 and 90 %, 100/s: {check} on the margin", turned, world(turned, 100.0, harm),
             at_most(End.PROMOTED, 0.05))
        for check, harm in (("errors", Harm(errors=0.005)), ("slow", Harm(slow=0.02)))
    ]  # fmt: skip
    silent = world(DEFAULT, 0.0)
    found.append(Case("default file, no traffic at all", DEFAULT, silent, never_up, share=0.01))
    stopping = replace(world(DEFAULT, 100.0), is_over_ms=900_000)
    found.append(Case("default file, traffic ends in step 2", DEFAULT, stopping, never_up, share=0.01))
    for rate in (100.0, 10.0, 1.0):
        of = world(DEFAULT, rate)
        name = f"{rate:g}/s, default file: identical models"
        found.append(Case(name, DEFAULT, of, at_most(End.ROLLED_BACK, 0.05)))
    last = found[-1]
    return [*found, replace(last, name="1/s, default file: as estimated", read=as_estimated(last.plan, last.world))]


CASES = cases()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study, print and write it; 1 when a bar was missed, 3 when the minutes were over before it was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="attempts a line")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="go no further then; what is done is kept")
    parser.add_argument("--resume", action="store_true", help="count what earlier calls have kept")
    options = parser.parse_args(argv)
    if not options.resume:
        shutil.rmtree(KEPT, ignore_errors=True)
    ends = time.monotonic() + 60 * options.minutes
    report = Report("policy-runs", ABOUT)
    if options.resume:
        report.line("played in several pieces; the date is that of the last one")
    with ProcessPoolExecutor(options.processes) as pool:
        for case in CASES:
            found = runs_of(case, max(round(options.runs * case.share), 1), options.seed, pool, ends)
            if len(found) < CHUNK * case.share:
                continue
            value, bar, met = case.read(found)
            report.bar(f"{case.name} ({len(found)} runs)", value, bar, met)
            print(*report.figures[-1], sep=" | ", file=sys.stderr, flush=True)
    is_met = report.publish()
    if time.monotonic() > ends:
        print("time is over: run it again to go on", file=sys.stderr)
        return 3
    return 0 if is_met else 1


def runs_of(case: Case, runs: int, seed: int, pool: ProcessPoolExecutor, ends: float) -> list[Run]:
    """Return the runs of a line, those that are kept and then new ones; fewer when the time is over before."""
    kept = KEPT / f"{fingerprint(case, seed):08x}.json"
    found = [run_from(value) for value in json.loads(kept.read_text())] if kept.exists() else []
    while len(found) < runs and time.monotonic() < ends:
        numbers = range(len(found), min(len(found) + CHUNK, runs))
        found += pool.map(partial(one, case.plan, case.world, fingerprint(case, seed)), numbers)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps([{**asdict(run), "ended": run.ended.value} for run in found]))
    return found[:runs]


def fingerprint(case: Case, seed: int) -> int:
    """Return a number that names what is played: lines of equal plan and world share their runs."""
    return crc32(repr((case.plan, case.world, seed)).encode())


def one(plan: Plan, of: World, seed: int, number: int) -> Run:
    """Return one run."""
    return play(plan, of, (seed, number))


def run_from(value: dict[str, object]) -> Run:
    """Return a run that was kept."""
    return Run(**{**value, "ended": End(value["ended"])})  # type: ignore[arg-type]


if __name__ == "__main__":
    raise SystemExit(main())
