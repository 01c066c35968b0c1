"""How long the old weight lives after a command, on a real Kafka: three workers under 1,000 requests a second."""

import random
import time
from collections import defaultdict

import msgspec
import numpy as np

from coalmine.policies import SetWeight

from .evidence import Report
from .faults import STEADY, catch_up, finish, told
from .measure import wait_for
from .rig import Site
from .scene import Scene, scene

__all__ = ["commands"]

RATE = 1_000
"""Requests a second."""

WORKERS = 3


class Routed(msgspec.Struct):
    """What is read of a prediction: under which revision it was routed. Error records have none."""

    revision: int = -1


def commands(kafka: Site, count: int = 100) -> Report:
    """Set the weight again and again and see when the last prediction under each former weight was written."""
    report = Report("commands", f"{WORKERS} scoring workers under {RATE:,}/s; the weight is set {count} times, 0.3 to "
                    "1 s apart. The delay of a command is the append time of the last prediction under the revision "
                    "before it, minus its own.")  # fmt: skip
    with scene(kafka, STEADY) as live:
        live.installation.start(live.canary)
        live.installation.enter_first_step()
        for _ in range(WORKERS):
            live.installation.await_ready(live.add_scorer())
        live.start_load(RATE)
        catch_up(live)
        before = live.installation.state().revision
        set_weights(live, count, before)
        verdict = finish(live).verdict
        delays = delays_ms(live, before, count)
    p50, p99, highest = np.percentile(delays, [50, 99, 100]).tolist()
    report.figure("requests", f"{verdict.requests:,}")
    report.figure("last prediction under the old weight, median", f"{p50:.0f} ms")
    report.bar("last prediction under the old weight, p99", f"{p99:.0f} ms", "<= 1,000 ms", p99 <= 1_000)
    report.figure("last prediction under the old weight, highest", f"{highest:.0f} ms")
    report.bar("lost, doubled or misrouted", "; ".join(verdict.problems) or told(verdict.mistakes), "0",
               verdict.is_exact)  # fmt: skip
    return report


def set_weights(live: Scene, count: int, before: int) -> None:
    """Send `count` commands; the state's revision was `before` and rises by one with each."""
    rng = random.Random(11)
    for number in range(count):
        weight = (5.0, 20.0, 50.0)[number % 3]
        live.installation.send(SetWeight(rollout="bench", weight=weight, issued_by="operator:bench"))
        time.sleep(rng.uniform(0.3, 1.0))
    wait_for(lambda: live.installation.state().revision == before + count, 10, "the last command", live.alive(), 0.2)


def delays_ms(live: Scene, before: int, count: int) -> list[float]:
    """Return for each command how much later than it the last prediction under the revision before it was written."""
    decode = msgspec.json.Decoder(Routed).decode
    last: dict[int, int] = defaultdict(int)
    for batch in live.log.read(live.topics.predictions):
        for message in batch:
            revision = decode(message.value()).revision
            last[revision] = max(last[revision], message.timestamp()[1])
    control = [message for batch in live.log.read(live.installation.topics.control) for message in batch]
    sent = [message.timestamp()[1] for message in control][-count:]
    return [max(0.0, last[before + number] - at) for number, at in enumerate(sent)]
