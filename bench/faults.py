"""Workers that are killed, stopped, joined and fed poison under load, on a real Kafka, at full size.

Traffic is open-loop: it never waits for a worker. After each proof all requests and all records are read back and
judged by the verifier. Session timeout and commit interval are the defaults (6 s, 0.5 s).
"""

import random
import time
from collections.abc import Iterator, Mapping
from statistics import median

import numpy as np

from .collect import Collected
from .evidence import Report
from .measure import wait_for
from .rig import Site
from .scene import Scene, scene

__all__ = ["RATE", "STEADY", "begin", "catch_up", "finish", "kill_scorer", "rebalance", "stop_scorer", "told"]

RATE = 1_500
"""Requests a second while workers come and go."""

COMMIT_SECONDS = 0.5
"""A crash repeats what was answered since the last commit."""

OPEN = 2 * 2_000
"""Requests in the two polls that may be open at once: one waits for its canary, the next is being answered."""

PACE = 3.0
"""Seconds between the join of a worker and its leave."""

STEADY = "  - {weight: 10%, hold: 24h, samples: 100}"
"""A rollout that stays in its first step."""


def kill_scorer(kafka: Site, kills: int = 20) -> Report:
    """Kill the only scoring worker at random moments and start another at once."""
    report = Report("kill-scorer", f"One scoring worker under {RATE}/s is killed (SIGKILL) 1 to 6 s after it has "
                    "caught up, and another is started at once, as a supervisor would. Recovery is the time from "
                    "the kill to the next answer.")  # fmt: skip
    rng, killed_at = random.Random(7), []
    with scene(kafka, STEADY) as live:
        begin(live)
        live.start_load(RATE)
        for _ in range(kills):
            catch_up(live)
            time.sleep(rng.uniform(1, 6))
            live.scorers.pop().kill()
            killed_at.append(time.time() * 1e3)
            live.add_scorer()
        catch_up(live)
        found = finish(live)
    recoveries = [seconds_to_next(found, at) for at in killed_at]
    bound = kills * (RATE * COMMIT_SECONDS + OPEN)
    verdict = found.verdict
    report.figure("requests", f"{verdict.requests:,}")
    report.bar("lost", str(len(verdict.lost)), "0", not verdict.lost)
    report.bar("repeated answers", f"{verdict.extra:,} ({verdict.extra / kills:.0f} a kill)", f"<= {bound:,.0f}",
               verdict.extra <= bound)  # fmt: skip
    report.bar("wrong, contradicted, not sticky", told(verdict.mistakes), "0", verdict.is_valid)
    report.bar("recovery, median", f"{median(recoveries):.1f} s", "<= 10 s", median(recoveries) <= 10)
    report.figure("recovery, longest", f"{max(recoveries):.1f} s")
    return report


def stop_scorer(kafka: Site, stops: int = 10) -> Report:
    """Stop the only scoring worker in order, again and again."""
    report = Report("stop-scorer", f"One scoring worker under {RATE}/s gets SIGTERM 1 to 4 s after it has caught "
                    "up, and another is started once it has ended.")  # fmt: skip
    rng, seconds, codes = random.Random(8), [], []
    with scene(kafka, STEADY) as live:
        begin(live)
        live.start_load(RATE)
        for _ in range(stops):
            catch_up(live)
            time.sleep(rng.uniform(1, 4))
            at = time.monotonic()
            codes.append(live.scorers.pop().stop())
            seconds.append(time.monotonic() - at)
            live.add_scorer()
        catch_up(live)
        found = finish(live)
    verdict = found.verdict
    report.figure("requests", f"{verdict.requests:,}")
    report.bar("lost", str(len(verdict.lost)), "0", not verdict.lost)
    report.bar("repeated", str(verdict.extra), "0", verdict.extra == 0)
    report.bar("wrong, contradicted, not sticky", told(verdict.mistakes), "0", verdict.is_exact)
    report.bar("exit, longest", f"{max(seconds):.1f} s", "<= 15 s", max(seconds) <= 15)
    report.bar("exit codes", ", ".join(map(str, sorted(set(codes)))), "0", not any(codes))
    return report


def rebalance(kafka: Site, seconds: float = 60.0) -> Report:
    """Let more workers join and leave, one after the other."""
    report = Report("rebalance", f"Two scoring workers under {RATE}/s. For {seconds:.0f} s others join, each as soon "
                    f"as it has started, and leave (SIGTERM) {PACE:.0f} s later; the next one starts "
                    "meanwhile.")  # fmt: skip
    with scene(kafka, STEADY) as live:
        begin(live)
        live.installation.await_ready(live.add_scorer())
        live.start_load(RATE)
        catch_up(live)
        began = time.time()
        codes = list(joins_and_leaves(live, began + seconds))
        ended = time.time()
        catch_up(live)
        found = finish(live)
    gaps = np.diff(found.answered_ms[(found.answered_ms >= began * 1e3) & (found.answered_ms <= ended * 1e3)])
    verdict = found.verdict
    report.figure("joins, and as many leaves", str(len(codes)))
    report.figure("requests", f"{verdict.requests:,}")
    report.bar("lost", str(len(verdict.lost)), "0", not verdict.lost)
    report.figure("repeated", str(verdict.extra))
    report.bar("wrong, contradicted, not sticky", told(verdict.mistakes), "0", verdict.is_valid)
    report.bar("longest gap between two answers", f"{gaps.max() / 1e3:.1f} s", "<= 15 s", bool(gaps.max() <= 15_000))
    report.bar("exit codes of those that left", ", ".join(map(str, sorted(set(codes)))), "0", not any(codes))
    return report


def joins_and_leaves(live: Scene, until: float) -> Iterator[int]:
    """Let worker after worker join and leave until `time.time()` is `until`; yield the exit code of each."""
    coming = live.add_scorer()
    is_last = False
    while not is_last:
        here = coming
        wait_for(lambda w=here: "ready: " in w.tail(), 30, "a join", live.alive())  # type: ignore[misc]
        is_last = time.time() + PACE >= until
        if not is_last:
            coming = live.add_scorer()
        time.sleep(PACE)
        live.scorers.remove(here)
        yield here.stop()


def begin(live: Scene) -> None:
    """Bring the rollout to 10 % and start one scoring worker."""
    live.installation.start(live.canary)
    live.installation.enter_first_step()
    live.installation.await_ready(live.add_scorer())


def catch_up(live: Scene) -> None:
    """Return once the workers answer what is sent now: less than a second of traffic is open."""
    deadline = time.monotonic() + 60
    while open_requests(live) > RATE:
        for worker in live.scorers:
            worker.assert_alive()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{open_requests(live)} requests are still open after 60 s")
        time.sleep(0.1)


def open_requests(live: Scene) -> int:
    """Return how many requests are not committed yet."""
    return live.log.count(live.topics.requests) - sum(live.log.committed(live.group, live.topics.requests).values())


def finish(live: Scene) -> Collected:
    """End the load, let the workers answer the rest, stop them, and return all records."""
    live.end_load()
    live.settle()
    if any(codes := live.close()):
        raise RuntimeError(f"workers ended with {codes}")
    return live.collect()


def told(mistakes: Mapping[str, int]) -> str:
    """Return the mistakes of a verdict in words."""
    return ", ".join(f"{name} {count}" for name, count in mistakes.items()) or "0"


def seconds_to_next(found: Collected, at_ms: float) -> float:
    """Return the seconds from a moment (epoch ms) to the next answer, infinite when there is none."""
    later = found.answered_ms[np.searchsorted(found.answered_ms, at_ms, side="right") :]
    return float(later[0] - at_ms) / 1e3 if len(later) else float("inf")
