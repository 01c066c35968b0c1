"""Ten guardrails and ten segments at once: `python -m bench.many_checks [--runs N]`.

How often does any of them take back an identical model, does one bad segment stop a canary that is better in all, and
what does a look cost?
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from coalmine.policies import (
    Analysis,
    By,
    Check,
    Cut,
    Decision,
    FrozenNumbers,
    Judgement,
    Losses,
    LossHistory,
    Memory,
    Metric,
    ModelRef,
    Plan,
    Routing,
    State,
    Step,
    Sums,
    Topics,
    look,
)

from .evidence import Report
from .null_rates import upper_limit
from .simulated import climbed

__all__ = ["Ending", "World", "attempt", "main"]

RATES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3)
"""Rates of the events that ten guardrails watch."""

SEGMENTS = (0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.03, 0.02, 0.01)
"""Shares of the traffic that ten segments have."""

ROWS = 1_000
"""Rows of a look."""

RAMP = ((10.0, 150), (25.0, 150), (50.0, 200))
"""Weights in percent and looks of the runs with identical models: 500 in all, whatever is decided."""

BASE = 0.10
"""Rate of wrong answers."""

BY_SEGMENT = "by-segment"

ABOUT = """
Attempts on randomly routed rows, 1,000 a look, judged by `policies.look` with the shipped defaults. Ten guardrails
watch independent events of 0.1 to 30 %, an eleventh compares wrong answers (10 %) in ten segments of 1 to 30 % of the
traffic, margin 15 points, tolerance 5 points. "Subgroup": in one segment the canary is wrong 15 points more often, in
all others less often, so that it is better in total; guardrails are wrong answers in all and by segment; the attempt
climbs 10, 25 and 50 % as the judge decides, 100 rows a look. Upper limits are one-sided 99 %.
"""


@dataclass(frozen=True, slots=True)
class World:
    """`worse` is by how much the canary is wrong more often in each segment; `guardrails` are watched besides."""

    guardrails: tuple[float, ...] = RATES
    worse: tuple[float, ...] = (0.0,) * len(SEGMENTS)
    rows: int = ROWS
    total: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended: the decision, after how many looks, its reason; seconds a look took."""

    decision: Decision
    looks: int
    reason: str
    seconds_a_look: float


def subgroup(index: int) -> World:
    """Return the world in which one segment is 15 points worse and the rest so much better that the total is too."""
    share = SEGMENTS[index]
    better = -1.3 * 0.15 * share / (1.0 - share)
    worse = tuple(0.15 if place == index else better for place in range(len(SEGMENTS)))
    return World(guardrails=(), worse=worse, rows=100, total=True)


def plan_of(world: World) -> Plan:
    """Return the plan of a world."""
    checks = [Check(name=f"event-{n}", metric=Metric.ACCURACY, margin=max(rate / 2, 0.005))
              for n, rate in enumerate(world.guardrails)]  # fmt: skip
    if world.total:
        checks.append(Check(name="wrong", metric=Metric.ACCURACY, margin=0.02, tolerance=0.01))
    checks.append(Check(name=BY_SEGMENT, metric=Metric.ACCURACY, margin=0.15, tolerance=0.05, segment_by="segment"))
    factors = (3.0, 2.0, 1.0)
    return Plan(
        name="study", topics=Topics.of("study"), stable=ModelRef(uri="study/1"), routing=Routing(by=By.RANDOM),
        steps=tuple(Step(weight=weight, hold_ms=600_000, samples=200, margin_factor=factor)
                    for (weight, _), factor in zip(RAMP, factors, strict=True)),
        analysis=Analysis(checks=tuple(checks), deadline_ms=100 * 86_400_000),
    )  # fmt: skip


def frozen_of(plan: Plan, world: World) -> FrozenNumbers:
    """Return what stable's history would have frozen."""
    rates = {f"event-{n}": rate for n, rate in enumerate(world.guardrails)} | {BY_SEGMENT: BASE, "wrong": BASE}
    losses = {check.name: LossHistory(rows=20_000, mean=rates[check.name],
                                      variance=rates[check.name] * (1.0 - rates[check.name]))
              for check in plan.analysis.checks}  # fmt: skip
    names = tuple(f"s{n}" for n in range(len(SEGMENTS)))
    return FrozenNumbers(rows=20_000, calls=20_000, error_rate=0.0, losses=losses, segments={BY_SEGMENT: names})


def attempt(world: World, seed: int, *, by_decision: bool) -> Iterator[tuple[Judgement, State]]:
    """Yield the judgement of every look; the ramp goes by the clock, or as the judge decides."""
    rng = np.random.default_rng((seed, 31))
    plan = plan_of(world)
    frozen = frozen_of(plan, world)
    memory = Memory.empty(plan, frozen)
    state = State(rollout=plan.name, plan=plan, frozen=frozen, attempt=0)
    sums: dict[int, dict[str, Sums]] = {}
    number, step, looks_left = 0, 0, 0
    while True:
        if looks_left == 0 and step < len(RAMP):
            step += 1
            looks_left = RAMP[step - 1][1]
            state = climbed(state, step, RAMP[step - 1][0])
            sums[step] = {"canary": Sums(), "stable": Sums()}
        number, looks_left = number + 1, looks_left - 1
        more = drawn(world, rng, state.weight / 100)
        sums[step] = {variant: sums[step][variant] + more[variant] for variant in more}
        judgement = look(memory, Cut(number=number, now_ms=number * 10_000, sums=dict(sums)), state)
        memory = judgement.memory
        yield judgement, state
        if by_decision:
            looks_left = 0 if judgement.decision is Decision.ADVANCE else 1
        elif looks_left == 0 and step == len(RAMP):
            return


def drawn(world: World, rng: np.random.Generator, share: float) -> dict[str, Sums]:
    """Return what one look brings to both variants."""
    rows = rng.multinomial(world.rows, SEGMENTS)
    mine = rng.binomial(rows, share)
    return {
        "canary": summed(world, rng, mine, np.array(world.worse)),
        "stable": summed(world, rng, rows - mine, np.zeros(len(SEGMENTS))),
    }


def summed(world: World, rng: np.random.Generator, rows: NDArray[np.int64], worse: NDArray[np.float64]) -> Sums:
    """Return the sums of rows that are wrong `worse` more often, by segment."""
    n = int(rows.sum())
    events = rng.binomial(rows, np.clip(BASE + worse, 0.0, 1.0))
    losses = {f"{BY_SEGMENT}/s{k}": Losses.of_events(int(rows[k]), int(events[k])) for k in range(len(rows)) if rows[k]}
    for number, rate in enumerate(world.guardrails):
        losses[f"event-{number}"] = Losses.of_events(n, int(rng.binomial(n, rate)))
    if world.total:
        losses["wrong"] = Losses.of_events(n, int(events.sum()))
    return Sums(rows=n, losses=losses)


def identical(world: World, seed: int) -> Ending:
    """Return whether identical models are taken back at any of 500 looks."""
    began, looks = time.perf_counter(), 0
    for judgement, _ in attempt(world, seed, by_decision=False):
        looks += 1
        if judgement.log_e_rollback >= -math.log(0.05):
            return Ending(Decision.ROLLBACK, looks, judgement.reason, 0.0)
    return Ending(Decision.HOLD, looks, "", (time.perf_counter() - began) / looks)


def climbing(world: World, seed: int) -> Ending:
    """Return how an attempt that follows the judge ends."""
    for looks, (judgement, _) in enumerate(attempt(world, seed, by_decision=True), start=1):
        if judgement.decision in (Decision.ROLLBACK, Decision.PROMOTE) or looks == 5_000:
            return Ending(judgement.decision, looks, judgement.reason, 0.0)
    raise AssertionError("an attempt that follows the judge has no last look")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study, print and write it; 1 when a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_500, help="attempts of identical models")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(argv)
    report = Report("many-checks", ABOUT)
    with ProcessPoolExecutor(options.processes) as pool:
        endings = list(pool.map(partial(identical, World()), range(options.runs), chunksize=4))
        hits = sum(ending.decision is Decision.ROLLBACK for ending in endings)
        limit = upper_limit(hits, len(endings))
        report.bar("10 guardrails, 10 segments, identical models: any rollback",
                   f"{hits} of {len(endings)} = {100 * hits / len(endings):.2f} %, upper limit {100 * limit:.2f} %",
                   "<= 5 %", hits <= 0.05 * len(endings))  # fmt: skip
        cost = float(np.median([ending.seconds_a_look for ending in endings if ending.seconds_a_look]))
        report.figure("a look at 11 checks and 10 segments, traffic drawn, median", f"{1e3 * cost:.2f} ms")
        for index in (4, 5, 6):
            bad = list(pool.map(partial(climbing, subgroup(index)), range(options.runs // 5), chunksize=2))
            stopped(report, index, bad)
    return 0 if report.publish() else 1


def stopped(report: Report, index: int, endings: Sequence[Ending]) -> None:
    """Report how often a canary that is bad in one segment was kept from promotion, and whether it was named."""
    promoted = sum(ending.decision is Decision.PROMOTE for ending in endings)
    back = [ending for ending in endings if ending.decision is Decision.ROLLBACK]
    named = sum(f"segment is s{index}" in ending.reason for ending in back)
    looks = np.median([ending.looks for ending in back]) if back else math.nan
    value = (f"promoted {promoted} of {len(endings)}, rolled back {len(back)} (median after {looks:.0f} looks), "
             f"segment named {named}")  # fmt: skip
    name = f"subgroup of {100 * SEGMENTS[index]:.0f} %, 15 points worse, total better: never promoted"
    report.bar(name, value, ">= 98 %, named", promoted <= 0.02 * len(endings) and named >= 0.98 * len(back))
    print(*report.figures[-1], sep=" | ", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
