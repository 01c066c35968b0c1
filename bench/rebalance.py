"""Workers join and leave all the time, under load, on a real Kafka: nothing is lost while partitions wander."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from .collect import Collected
from .evidence import Report
from .faults import RATE, STEADY, begin, catch_up, finish, told
from .guests import Guest, guest
from .installation import READY_SECONDS
from .measure import wait_for
from .rig import Site
from .scene import Scene, scene

__all__ = ["Visit", "has_held", "rebalance", "within"]

PACE = 3.0
"""Seconds from one start to the next, and from the join of a worker to its leave."""

AT_LEAST = 18
"""Joins, and leaves, in 60 s that count as one every 3 s: on time 20 fit in."""

MOST_GUESTS = 6
"""Workers that may be on their way, here or leaving at once; a start that would be one more has to wait."""

READY = "ready: "
"""What a worker logs of each assignment it gets."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A worker that joined and left (epoch seconds). `has_held`: it was given partitions in between."""

    started: float
    joined: float
    left: float
    has_held: bool
    code: int


def rebalance(kafka: Site, seconds: float = 60.0) -> Report:
    """Let more workers join and leave, at a pace that does not wait for them."""
    report = Report("rebalance", f"Two scoring workers under {RATE}/s. Every {PACE:.0f} s another is started; it "
                    f"leaves (SIGTERM) {PACE:.0f} s after it has joined, which is when the group has made it a member "
                    f"and given it its share. What happens in the {seconds:.0f} s after the first of them has left "
                    "counts; a leave is the end of the process.")  # fmt: skip
    with scene(kafka, STEADY) as live:
        begin(live)
        live.installation.await_ready(live.add_scorer())
        live.start_load(RATE)
        catch_up(live)
        visits = come_and_go(live, seconds)
        judge_pace(report, visits, seconds)
        report.figure("assignments that the first worker got", str(live.scorers[0].output.read_text().count(READY)))
        catch_up(live)
        found = finish(live)
    judge_answers(report, visits, found)
    return report


def judge_pace(report: Report, visits: Sequence[Visit], seconds: float) -> None:
    """Report how often workers came and went."""
    began = min(visit.left for visit in visits)
    joined = within(began, seconds, [visit.joined for visit in visits])
    left = within(began, seconds, [visit.left for visit in visits])
    least = AT_LEAST * seconds / 60
    report.bar(f"joins in {seconds:.0f} s", str(len(joined)), f">= {least:.0f}", len(joined) >= least)
    report.bar(f"leaves in {seconds:.0f} s", str(len(left)), f">= {least:.0f}", len(left) >= least)
    report.figure("longest time from one join to the next", f"{max(np.diff(joined).tolist(), default=seconds):.1f} s")
    report.figure("from start to join, median", f"{np.median([v.joined - v.started for v in visits]):.1f} s")
    report.figure("joins before, in and after these seconds", str(len(visits)))
    report.figure("of these were given partitions", str(sum(visit.has_held for visit in visits)))


def judge_answers(report: Report, visits: Sequence[Visit], found: Collected) -> None:
    """Report what became of the requests, and how the workers ended."""
    gaps = np.diff(found.answered_ms[found.answered_ms >= visits[0].started * 1e3])
    verdict, codes = found.verdict, sorted({visit.code for visit in visits})
    report.figure("requests", f"{verdict.requests:,}")
    report.bar("lost", str(len(verdict.lost)), "0", not verdict.lost)
    report.figure("repeated", str(verdict.extra))
    report.bar("wrong, contradicted, not sticky", told(verdict.mistakes), "0", verdict.is_valid)
    report.bar("longest gap between two answers", f"{gaps.max() / 1e3:.1f} s", "<= 15 s", bool(gaps.max() <= 15_000))
    report.bar("exit codes of those that left", ", ".join(map(str, codes)), "0", codes == [0])


def come_and_go(live: Scene, seconds: float) -> list[Visit]:
    """Start a worker every `PACE` until `seconds` after the first one has left; return all visits, by their joins."""
    visits: list[Future[Visit]] = []
    with ThreadPoolExecutor(MOST_GUESTS) as pool:
        due = time.time()
        while not is_over(visits, seconds):
            if time.time() >= due and sum(not visit.done() for visit in visits) < MOST_GUESTS:
                visits.append(pool.submit(visit_of, guest(live.installation, f"-guest-{len(visits)}")))
                due = max(due + PACE, time.time())  # what was late is not made up for by a crowd
            time.sleep(0.05)
    return sorted((visit.result() for visit in visits), key=lambda visit: visit.joined)


def is_over(visits: list[Future[Visit]], seconds: float) -> bool:
    """Tell whether `seconds` have passed since the first of the workers left; raises what went wrong with it."""
    return bool(visits) and visits[0].done() and time.time() >= visits[0].result().left + seconds


def visit_of(worker: Guest) -> Visit:
    """Wait until a worker that was just started has joined, let it stay for a while, and make it leave."""
    started = time.time()
    wait_for(lambda: READY in worker.output.read_text(), READY_SECONDS, "a join", {"joiner": worker}, 0.05)
    joined = time.time()
    time.sleep(PACE)
    code = worker.stop()
    return Visit(started, joined, time.time(), has_held(worker.output.read_text()), code)


def has_held(output: str) -> bool:
    """Tell whether a worker was given any partition, by what it logged."""
    return any(READY in line and "partitions []" not in line for line in output.splitlines())


def within(began: float, seconds: float, times: Iterable[float]) -> list[float]:
    """Return the moments, in order, that are in the `seconds` after `began`."""
    return sorted(at for at in times if began <= at <= began + seconds)
