"""Workers that are killed and stopped under load, on a real Kafka, at full size.

Traffic is open-loop: it never waits for a worker. After each proof all requests and all records are read back and
judged by the verifier. Session timeout and commit interval are the defaults (6 s, 0.5 s).
"""

import random
import time
from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from .collect import Collected
from .evidence import Report
from .rig import Site
from .scene import Scene, scene

__all__ = ["RATE", "STEADY", "begin", "catch_up", "finish", "kill_scorer", "recovery_seconds", "stop_scorer", "told"]

RATE = 1_500
"""Requests a second while workers come and go."""

COMMIT_SECONDS = 0.5
"""A crash repeats what was answered since the last commit."""

OPEN = 2 * 2_000
"""Requests in the two polls that may be open at once: one waits for its canary, the next is being answered."""

STEADY = "  - {weight: 10%, hold: 24h, samples: 100}"
"""A rollout that stays in its first step."""


def kill_scorer(kafka: Site, kills: int = 20) -> Report:
    """Kill the only scoring worker at random moments and start another at once."""
    report = Report("kill-scorer", f"One scoring worker under {RATE}/s is killed (SIGKILL), and another is started at "
                    "once, as a supervisor would. Half of the kills, in random order, come 1 to 6 s after it has "
                    "caught up; the others 0.2 to 10 s after its start, whatever it does by then: it starts, joins, "
                    "works off the backlog, or has caught up. Recovery is the time from a kill to the next answer; "
                    "where the next kill comes before an answer, it counts from that one.")  # fmt: skip
    rng, killed_at = random.Random(7), []
    waits = [True, False] * (kills // 2)
    rng.shuffle(waits)
    with scene(kafka, STEADY) as live:
        begin(live)
        live.start_load(RATE)
        for is_awaited in waits:
            behind = await_the_moment(live, is_awaited, rng)
            live.scorers.pop().kill()
            killed_at.append(time.time() * 1e3)
            live.add_scorer()
            report.line(
                f"killed {'when it had caught up' if is_awaited else 'at any moment'}; open requests: {behind:,}"
            )
        catch_up(live)
        found = finish(live)
    judge_kills(report, found, killed_at)
    return report


def await_the_moment(live: Scene, is_awaited: bool, rng: random.Random) -> int:
    """Return when the worker, which was just started, is to be killed, with the number of open requests."""
    if is_awaited:
        catch_up(live)
        time.sleep(rng.uniform(1, 6))
    else:
        time.sleep(rng.uniform(0.2, 10))
        live.scorers[-1].assert_alive()
    return open_requests(live)


def judge_kills(report: Report, found: Collected, killed_at: Sequence[float]) -> None:
    """Report what the kills (epoch ms) left behind."""
    verdict, kills = found.verdict, len(killed_at)
    bound = kills * (RATE * COMMIT_SECONDS + OPEN)
    report.figure("requests", f"{verdict.requests:,}")
    report.bar("lost", str(len(verdict.lost)), "0", not verdict.lost)
    for name, extra in (("answers", verdict.extra), ("outcomes", verdict.extra_outcomes)):
        report.bar(f"repeated {name}", f"{extra:,} ({extra / kills:.0f} a kill)", f"<= {bound:,.0f}", extra <= bound)
    report.figure("rate x commit interval x kills", f"{kills * RATE * COMMIT_SECONDS:,.0f}")
    report.bar("wrong, contradicted, not sticky", told(verdict.mistakes), "0", verdict.is_valid)
    recoveries = recovery_seconds(found.answered_ms, killed_at)
    report.figure("kills before an answer", str(kills - len(recoveries)))
    report.bar("recovery, median", f"{median(recoveries):.1f} s", "<= 10 s", median(recoveries) <= 10)
    report.figure("recovery, longest", f"{max(recoveries):.1f} s")
    report.figure("longest gap between two answers", f"{np.diff(found.answered_ms).max() / 1e3:.1f} s")


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


def begin(live: Scene) -> None:
    """Bring the rollout to 10 % and start one scoring worker."""
    live.installation.start(live.canary)
    live.installation.enter_first_step()
    live.installation.await_ready(live.add_scorer())


def catch_up(live: Scene) -> None:
    """Return once every worker holds partitions and what is sent now is answered: less than a second of it is open.

    Right after a worker has gone nothing is open yet either, and the next one may not even listen to signals.
    """
    for worker in live.scorers:
        live.installation.await_ready(worker)
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


def recovery_seconds(answered_ms: NDArray[np.int64], killed_at: Sequence[float]) -> list[float]:
    """Return the seconds from a kill to the next answer (both in epoch ms, rising), infinite when there is none.

    A kill that came before an answer to the one before it is the one that counts.
    """
    later = np.searchsorted(answered_ms, killed_at, side="right")
    last = {int(position): at for position, at in zip(later, killed_at, strict=True)}
    return [float(answered_ms[i] - at) / 1e3 if i < len(answered_ms) else float("inf") for i, at in last.items()]
