"""The analyzer is killed at random moments while a rollout climbs: no outcome counts twice, no decision comes twice."""

import random
import time
from collections import Counter, defaultdict
from typing import Any

import msgspec

from .evidence import Report
from .faults import RATE
from .measure import wait_for
from .rig import Site
from .scene import Scene, scene
from .truth import Book, differences, published

__all__ = ["kill_analyzer"]

STEPS = "\n".join(f"  - {{weight: {weight}%, hold: 5s, samples: 50}}" for weight in range(2, 42, 2))
"""Twenty steps, so that decisions are due all the time."""

SCORER_KILLS = 3
"""The scoring worker is killed too, so that the outcomes topic holds repetitions that must not count."""

CLIMB_SECONDS = 300.0
"""Deadline for the end of the rollout once nobody is killed any more."""


def kill_analyzer(kafka: Site, kills: int = 20) -> Report:
    """Kill the analyzer again and again, then compare its sums with the truth and look at what it decided."""
    report = Report("kill-analyzer", f"The analyzer of a rollout with 20 steps of 5 s is killed (SIGKILL) at random "
                    f"moments, 0.2 to 8 s after its start (so in recovery too), and started at once, under "
                    f"{RATE}/s. The scoring worker is killed {SCORER_KILLS} times. At the end the published sums are "
                    "compared with a recount of the distinct `src` of the outcomes topic.")  # fmt: skip
    rng = random.Random(9)
    with scene(kafka, STEPS) as live:
        live.installation.await_ready(live.add_scorer())
        live.start_load(RATE)
        live.add_analyzer()
        live.installation.start(live.canary)
        for kill in range(kills):
            time.sleep(rng.uniform(0.2, 8.0))
            live.analyzers.pop().kill()
            live.add_analyzer()
            if kill % (kills // SCORER_KILLS) == kills // SCORER_KILLS - 1:
                live.scorers.pop().kill()
                live.add_scorer()
        wait_for(
            lambda: not live.installation.state().phase.has_attempt, CLIMB_SECONDS, "the verdict", live.alive(), 0.5
        )
        live.end_load()
        live.settle()
        wait_for(lambda: tally_offsets(live) == live.log.ends(live.topics.outcomes), 60, "the tally", live.alive(), 0.5)
        if any(codes := live.close()):
            raise RuntimeError(f"processes ended with {codes}")
        compare_sums(report, live)
        compare_decisions(report, live)
    return report


def tally_offsets(live: Scene) -> dict[int, int]:
    """Return how far the published sums of each partition go."""
    return published(values(live, live.installation.topics.evidence))[1]


def values(live: Scene, topic: str) -> list[bytes]:
    """Return the values of a whole topic."""
    return [message.value() for batch in live.log.read(topic) for message in batch]


def compare_sums(report: Report, live: Scene) -> None:
    """Hold the published sums against the outcomes topic."""
    book = Book()
    for batch in filter(None, live.log.read(live.topics.outcomes)):
        book.add(batch[0].partition(), [message.value() for message in batch])
    sums, _ = published(values(live, live.installation.topics.evidence))
    wrong = differences(book.counts, sums)
    report.figure("outcomes counted", f"{sum(c.rows + c.other_rows.total() for c in book.counts.values()):,}")
    report.figure("outcomes written twice (must not count)", f"{book.repeated:,}")
    report.figure("groups compared (revision, partition, variant)", str(len(book.counts)))
    report.bar("counts that differ from the recount", str(len(wrong)), "0", not wrong)
    report.lines += wrong[:20]


def compare_decisions(report: Report, live: Scene) -> None:
    """Look for a decision that was made twice: two ids for one revision, two results or two looks under one name."""
    ids: dict[tuple[int, int], set[str]] = defaultdict(set)
    copies = 0
    for value in values(live, live.installation.topics.control):
        command = msgspec.json.decode(value)
        if command.get("issued_by", "").startswith("analyzer"):
            name = (command["attempt"], command["expected_revision"])
            copies += command["command_id"] in ids[name]
            ids[name].add(command["command_id"])
    twice = [name for name, found in ids.items() if len(found) > 1]
    looks = [msgspec.json.decode(value) for value in values(live, live.installation.topics.looks)]
    state = live.installation.state()
    report.figure("looks", str(len({look["look"] for look in looks})))
    report.figure("decisions", str(len(ids)))
    report.figure("copies of a decision on the control topic (harmless: same id)", str(copies))
    report.bar("revisions with two decisions", str(len(twice)), "0", not twice)
    report.bar("events that contradict each other", str(contradictions(live)), "0", not contradictions(live))
    report.bar("looks that contradict each other", str(len(differing(looks))), "0", not differing(looks))
    report.bar("phase at the end", state.phase.value, "promoted", state.phase.value == "promoted")
    report.bar("revisions", str(state.revision), "22: start, 20 steps, promotion", state.revision == 22)


def contradictions(live: Scene) -> int:
    """Return how many results were told more than once and not in the same words."""
    told: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    for value in values(live, live.installation.topics.events):
        event = msgspec.json.decode(value)
        told[event["id"]].add((event["kind"], event.get("result"), event["reason"], event["revision"]))
    return sum(len(words) > 1 for words in told.values())


def differing(looks: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of looks that were recorded twice with another cut or decision."""
    seen: Counter[int] = Counter()
    for cut in {msgspec.json.encode([look["look"], look["offsets"], look["decision"]]) for look in looks}:
        seen[msgspec.json.decode(cut)[0]] += 1
    return [look for look, times in seen.items() if times > 1]
