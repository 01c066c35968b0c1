"""Many attempts at once, on all cores; the same seed gives the same runs whatever the number of processes."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from signal import SIG_IGN, SIGINT, signal
from zlib import crc32

from coalmine.errors import CommandError
from coalmine.policies import Plan
from coalmine.policies.planning.course import course

from .play import Run, looks, play
from .scenarios import Scenario

__all__ = ["MOST_LOOKS", "Cost", "bounded", "cost", "require_playable", "run_all"]

MOST_LOOKS = 10_000
"""Looks of a run: a plan that has room for more is looked at less often, or a run would take minutes."""

MOST_ROWS = 1_000_000
"""Rows of a look: more do not fit the memory of a process beside the others."""

TRIED_LOOKS = 60
"""Looks that are taken to say what a run costs."""

CHUNK = 4
"""Runs that a process takes at a time."""

Told = Callable[[Scenario, int], None]
"""Told after every run: of which scenario, and how many of it are done."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What runs cost: seconds of one core a look, looks of a usual run and of one that lasts until the deadline."""

    seconds_a_look: float
    usual_looks: float
    most_looks: float

    def usual_seconds(self, runs: int, processes: int) -> float:
        """Return how long so many runs of identical models take."""
        return runs * self.usual_looks * self.seconds_a_look / processes

    def most_seconds(self, runs: int, processes: int) -> float:
        """Return how long so many runs take if each lasts until the deadline."""
        return runs * self.most_looks * self.seconds_a_look / processes


def bounded(plan: Plan) -> Plan:
    """Return the plan with looks so far apart that a run has at most `MOST_LOOKS`; mostly as it is."""
    analysis = plan.analysis
    every_ms = max(analysis.every_ms, -(-analysis.deadline_ms // MOST_LOOKS))
    return plan if every_ms == analysis.every_ms else replace(plan, analysis=replace(analysis, every_ms=every_ms))


def require_playable(plan: Plan, rows_per_second: float) -> None:
    """Raise CommandError where a look would have too many rows to be drawn one by one."""
    rows = rows_per_second * plan.analysis.every_ms / 1_000
    if rows > MOST_ROWS:
        raise CommandError(f"a look would have {rows:,.0f} rows, more than {MOST_ROWS:,}; give a lower --rate, "
                           "or a file with a shorter deadline")  # fmt: skip


def cost(plan: Plan, scenario: Scenario) -> Cost:
    """Return what runs of a plan cost here and now, from the first looks of one."""
    began = time.perf_counter()
    taken = sum(seen.judgement is not None for seen in islice(looks(plan, scenario.world, 0), TRIED_LOOKS))
    spent = time.perf_counter() - began
    every, world = plan.analysis.every_ms / 1_000, scenario.world
    most = plan.analysis.deadline_ms / 1_000 / every + 1
    usual = course(plan, world.base, world.supply).seconds / every
    return Cost(spent / max(taken, 1), min(usual, most), most)


def run_all(
    plan: Plan, scenarios: Sequence[Scenario], runs: int, *, seed: int, processes: int, told: Told | None = None
) -> dict[str, list[Run]]:
    """Return the runs of each scenario by its name, in the order of their numbers.

    The seed of a run is made of `seed`, the name of the scenario and the number of the run, so it depends on nothing
    else. With one process everything happens in this one.
    """
    if processes == 1:
        return {scenario.name: collected(scenario, map(partial(one, plan, scenario, seed), range(runs)), told)
                for scenario in scenarios}  # fmt: skip
    with ProcessPoolExecutor(processes, initializer=signal, initargs=(SIGINT, SIG_IGN)) as pool:
        try:
            return {
                scenario.name: collected(
                    scenario, pool.map(partial(one, plan, scenario, seed), range(runs), chunksize=CHUNK), told
                )
                for scenario in scenarios
            }
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def collected(scenario: Scenario, found: Iterable[Run], told: Told | None) -> list[Run]:
    """Return runs as a list and tell of each."""
    done: list[Run] = []
    for run in found:
        done.append(run)
        if told is not None:
            told(scenario, len(done))
    return done


def one(plan: Plan, scenario: Scenario, seed: int, number: int) -> Run:
    """Return one run of a scenario."""
    return play(plan, scenario.world, (seed, crc32(scenario.name.encode()), number))
