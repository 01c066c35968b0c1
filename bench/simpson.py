"""A real Simpson paradox, and a judge that is not fooled by it: `python -m bench.simpson [--salts N]`.

Real departures of 2013 from 21 March on, the same model in both variants, weekly steps of 1, 5, 10, 25 and 50 %. The
share of wrong answers rises for everybody while the canary's weight does.
"""

import argparse
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from statistics import mean, pstdev

import numpy as np
from numpy.typing import NDArray

from coalmine.cli.findings import finding_lines
from coalmine.demo.flights import STREAM_START, departures, load
from coalmine.demo.flights.train import PACKAGES
from coalmine.models import answer
from coalmine.models import load as load_model
from coalmine.policies import (
    Analysis,
    Check,
    Clock,
    Cut,
    FrozenNumbers,
    Judgement,
    Losses,
    Memory,
    Metric,
    ModelRef,
    Phase,
    Plan,
    Router,
    State,
    Step,
    Sums,
    Topics,
    frozen_numbers,
    look,
)
from coalmine.streams.analysis.looking import finding_record

from .evidence import Report
from .simulated import climbed

__all__ = ["Salted", "Stream", "attempt", "main", "stream"]

START = date(2013, 3, 21)
WEIGHTS = (1.0, 5.0, 10.0, 25.0, 50.0)
WEEK_MS = 7 * 86_400_000
HOUR_MS = 3_600_000

CHECK = "wrong"

ABOUT = """
Departures from New York, 21 March to 24 April 2013, each answered at departure ("more than 15 minutes late?") and told
apart at landing; flights that never landed have no label. Both variants are the demo's stable model. Keys are tail
numbers, routed by `policies.Router`; a new attempt, so a new cohort, in every run. Weekly steps of 1, 5, 10, 25 and
50 %, a look every hour of the data by `policies.look`, one check on accuracy with a margin of 2 points. History:
1 to 20 March.
"""


@dataclass(frozen=True, slots=True)
class Stream:
    """Flights that landed, in order of landing: tail numbers, departure and landing (epoch ms), wrong answers."""

    keys: list[bytes]
    departed: NDArray[np.int64]
    landed: NDArray[np.int64]
    wrong: NDArray[np.float64]

    def part(self, rows: NDArray[np.bool_]) -> "Stream":
        """Return the flights where `rows`."""
        keys = [key for key, taken in zip(self.keys, rows.tolist(), strict=True) if taken]
        return Stream(keys, self.departed[rows], self.landed[rows], self.wrong[rows])


@dataclass(frozen=True, slots=True)
class Salted:
    """One attempt: whether it was rolled back with each tolerance, and the pooled rates of wrong answers."""

    rolled_back: bool
    rolled_back_strict: bool
    canary: float
    stable: float
    told: tuple[str, ...]


@lru_cache(maxsize=1)
def stream() -> Stream:
    """Return the flights of March to May with what the model of the demo got wrong."""
    model = load_model("stable", root=PACKAGES)
    flights = load().between(STREAM_START)
    landed = flights.at(flights.landed)
    landed = landed.at(np.argsort(landed.arrived, kind="stable"))
    names = [feature.name for feature in model.manifest.features]
    rows = [tuple(departure.features[name] for name in names) for departure in departures(landed)]
    scores = np.array(answer(model, rows, lambda: 0.0).values, dtype=np.float64)
    wrong = ((scores >= 0.5) != landed.late).astype(np.float64)
    return Stream([key.encode() for key in landed.tailnum.tolist()], landed.departed, landed.arrived, wrong)


def plan_with(tolerance: float) -> Plan:
    """Return the plan: weekly steps and one check on accuracy."""
    check = Check(name=CHECK, metric=Metric.ACCURACY, margin=0.02, tolerance=tolerance)
    return Plan(
        name="flights",
        topics=Topics.of("flights"),
        stable=ModelRef(uri="stable"),
        canary=ModelRef(uri="stable"),
        steps=tuple(Step(weight=weight, hold_ms=WEEK_MS) for weight in WEIGHTS),
        analysis=Analysis(every_ms=HOUR_MS, clock=Clock.EVENT, deadline_ms=90 * 24 * HOUR_MS, checks=(check,)),
    )


def midnight_ms(day: date) -> int:
    """Return the beginning of a day in epoch ms."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def history(plan: Plan) -> FrozenNumbers:
    """Return the numbers frozen from stable's flights before the ramp."""
    before = stream().part(stream().departed < midnight_ms(START))
    stable = Sums(
        rows=len(before.keys), calls=len(before.keys), losses={CHECK: Losses.of(before.wrong, [0] * len(before.keys))}
    )
    frozen = frozen_numbers(stable, plan)
    assert isinstance(frozen, FrozenNumbers), frozen
    return frozen


def attempt(plan: Plan, salt: int) -> Iterator[Judgement]:
    """Yield the judgement of every hour of one attempt that climbs by the week, whatever it decides."""
    began = midnight_ms(START)
    whole = stream()
    ramp = whole.part((whole.departed >= began) & (whole.departed < began + len(WEIGHTS) * WEEK_MS))
    step_of = (ramp.departed - began) // WEEK_MS + 1
    canary, bucket = routed(plan, ramp, step_of, salt)
    frozen = history(plan)
    state = State(rollout=plan.name, plan=plan, frozen=frozen, attempt=salt, canary=plan.canary)
    memory = Memory.empty(plan, frozen)
    sums: dict[int, dict[str, Sums]] = {}
    ends = np.arange(began + HOUR_MS, int(ramp.landed[-1]) + HOUR_MS, HOUR_MS)
    places = np.searchsorted(ramp.landed, ends, side="right")
    first = 0
    for number, (now_ms, last) in enumerate(zip(ends.tolist(), places.tolist(), strict=True), start=1):
        step = min((now_ms - 1 - began) // WEEK_MS + 1, len(WEIGHTS))
        if step != state.step:
            state = climbed(state, step, WEIGHTS[step - 1])
        for revision in set(step_of[first:last].tolist()):
            here = np.flatnonzero(step_of[first:last] == revision) + first
            arms = sums.setdefault(revision, {"canary": Sums(), "stable": Sums()})
            for variant, mine in (("canary", here[canary[here]]), ("stable", here[~canary[here]])):
                arms[variant] = arms[variant] + labelled(ramp.wrong[mine], bucket[mine])
        first = last
        judgement = look(memory, Cut(number=number, now_ms=now_ms, sums=sums), state)
        memory = judgement.memory
        yield judgement


def routed(
    plan: Plan, ramp: Stream, step_of: NDArray[np.int64], salt: int
) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Return which flights get the canary at the weight of their week, and their key buckets."""
    canary, bucket = np.zeros(len(ramp.keys), dtype=np.bool_), np.zeros(len(ramp.keys), dtype=np.uint8)
    for step, weight in enumerate(WEIGHTS, start=1):
        state = State(rollout=plan.name, plan=plan, attempt=salt, canary=plan.canary, weight=weight,
                      phase=Phase.PROGRESSING)  # fmt: skip
        here = np.flatnonzero(step_of == step)
        keys = [ramp.keys[row] for row in here]
        drawn = Router.of(state).assign(keys, keys, lambda _: [])
        canary[here], bucket[here] = drawn.canary, drawn.bucket
    return canary, bucket


def labelled(wrong: NDArray[np.float64], bucket: NDArray[np.uint8]) -> Sums:
    """Return the sums of labelled rows."""
    if not len(wrong):
        return Sums()
    losses = Losses.of(wrong, bucket)
    return Sums(rows=len(wrong), bucket_rows=losses.bucket_n, losses={CHECK: losses})


def salted(salt: int) -> Salted:
    """Return what became of the attempt with this salt."""
    strict = any(is_worse(judgement) for judgement in attempt(plan_with(0.0), salt))
    judgements = list(attempt(plan_with(0.01), salt))
    [finding] = judgements[-1].findings
    rates = [finding.values[f"rows.{variant}_events"] / finding.n[variant] for variant in ("canary", "stable")]
    told = tuple(finding_lines(finding_record(finding)))
    return Salted(any(map(is_worse, judgements)), strict, rates[0], rates[1], told)


def is_worse(judgement: Judgement) -> bool:
    """Tell whether a look would have rolled back."""
    return judgement.log_e_rollback >= -math.log(0.05)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the attempts, print and write what came out; 1 when a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--salts", type=int, default=50)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(argv)
    report = Report("simpson", ABOUT)
    with ProcessPoolExecutor(options.processes) as pool:
        runs = list(pool.map(salted, range(1, options.salts + 1)))
    wrong = f"{100 * mean(run.canary for run in runs):.1f} % against {100 * mean(run.stable for run in runs):.1f} %"
    spread = 100 * pstdev(run.canary - run.stable for run in runs)
    report.figure(
        "all rows thrown together, canary against stable, mean", f"{wrong} (sd of the difference {spread:.1f})"
    )
    hits, strict = sum(run.rolled_back for run in runs), sum(run.rolled_back_strict for run in runs)
    report.bar("rolled back, tolerance half the margin (the default)", f"{hits} of {len(runs)}", "0", hits == 0)
    report.figure("rolled back, tolerance 0", f"{strict} of {len(runs)}")
    report.line("what `coalmine explain` says of the check at the end of the attempt with salt 1:")
    for text in runs[0].told:
        report.line(text)
    return 0 if report.publish() else 1


if __name__ == "__main__":
    raise SystemExit(main())
