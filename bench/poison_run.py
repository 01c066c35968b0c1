"""Requests that cannot be answered, 2 % of a backlog: each is told so once, and the others do not wait for them."""

from dataclasses import dataclass
from statistics import median

from .backlog import build
from .collect import Collected
from .evidence import Report
from .faults import STEADY
from .measure import wait_for
from .poison import KINDS
from .rig import Site
from .scene import scene

__all__ = ["poisoned"]

EVERY = 50
"""Every 50th request is poison: 2 %."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A scoring worker's way through one backlog.

    `processes`: how many sent a heartbeat, so 1 without a restart. `code`: exit code of the worker at its stop.
    """

    found: Collected
    good: int
    processes: int
    code: int

    @property
    def good_per_second(self) -> float:
        """Good requests answered a second."""
        return self.good / self.found.seconds


def poisoned(kafka: Site, events: int = 200_000, rounds: int = 7) -> Report:
    """Answer clean and poisoned backlogs in turn and compare."""
    report = Report("poison", f"Backlogs of {events:,} requests, in turn without and with 2 % of {len(KINDS)} kinds "
                    "of poison (empty, cut, wrong types, missing features, too deep, not UTF-8, framed for a schema "
                    "registry, ...). One scoring worker answers each; the rate is that of good requests.")  # fmt: skip
    ratios: list[float] = []
    passages: list[Passage] = []
    for number in range(rounds):
        # In turn the one and the other first: a broker or a machine that gets faster helps neither.
        order = (0, EVERY) if number % 2 == 0 else (EVERY, 0)
        pair = {every: passage(kafka, events, every) for every in order}
        clean, mixed = pair[0], pair[EVERY]
        ratios.append(mixed.good_per_second / clean.good_per_second)
        report.line(f"round {number + 1}: clean {clean.good_per_second:,.0f}/s, 2 % poison "
                    f"{mixed.good_per_second:,.0f}/s; {mixed.found.verdict.summary()}")  # fmt: skip
        passages += [clean, mixed]
    bad = sum(not p.found.verdict.is_exact for p in passages)
    restarts, codes = sum(p.processes - 1 for p in passages), {p.code for p in passages}
    errors = mixed.found.verdict.errors
    report.figure("error codes of the last round", ", ".join(f"{code} {n}" for code, n in sorted(errors.items())))
    report.bar("poison without its error record and its one dead letter, or anything else wrong",
               f"{bad} of {len(passages)} backlogs", "0", bad == 0)  # fmt: skip
    report.bar("error records in a poisoned backlog", f"{sum(errors.values()):,}", f"{events // EVERY:,}",
               sum(errors.values()) == events // EVERY)  # fmt: skip
    report.bar("good rate against clean, median", f"{median(ratios):.2f}", ">= 0.9", median(ratios) >= 0.9)
    report.bar("restarts", str(restarts), "0", restarts == 0)
    report.bar("exit codes of the workers", ", ".join(map(str, sorted(codes))), "0", codes == {0})
    return report


def passage(kafka: Site, events: int, poison_every: int) -> Passage:
    """Let one worker answer a backlog; it must neither end nor be started again."""
    with scene(kafka, STEADY) as live:
        live.installation.start(live.canary)
        live.installation.enter_first_step()
        build(live.log, live.topics.requests, 4, events, poison_every)
        worker = live.add_scorer()
        wait_for(lambda: live.log.count(live.topics.predictions) >= events, 300, "the last answer", live.alive())
        live.settle()
        worker.assert_alive()
        code = worker.stop()
        found, processes = live.collect(), len(live.installation.workers())
    good = events - (events + poison_every - 1) // poison_every if poison_every else events
    return Passage(found, good, processes, code)
