"""Fifty live rollouts of a model against itself: how often does chance take it back?

Real Kafka, real processes, the events' clock at more than 100 times life. All requests of one key in a hundred make
any model fail, so both variants err at 1 %, clustered by key. Every attempt has a fresh cohort; it climbs 10, 25, 50 %
and ends by itself. One that has no verdict in time is rolled back by hand and counts as undecided.
"""

import time
from collections import Counter

from coalmine.policies import Phase, Rollback

from .evidence import Report
from .load import Sent
from .measure import wait_for
from .pair import pack_twins
from .rig import Site
from .scene import Scene, scene

__all__ = ["event_speed", "null_live"]

RATE = 3_000
"""Requests a second of real time."""

EVENT_MS = 50.0
"""Event time between two requests: 20 a second, so 1 s of real time is 150 s of the events'."""

FAILING_KEYS = 100

STEPS = """\
  - {weight: 10%, hold: 5m, samples: 1000, margin_factor: 3}
  - {weight: 25%, hold: 5m, samples: 2000, margin_factor: 2}
  - {weight: 50%, hold: 5m, samples: 3000}"""

ANALYSIS = """\
  every: 30s
  clock: event
  deadline: 24h
  checks:
    errors: {metric: error_rate, margin: 1pp}
    slow: {metric: slow_rate, margin: 5pp}"""

PATIENCE = 120.0
"""Seconds of real time that an attempt may take; 300 minutes of the events'."""

GLANCE = 0.5
"""Seconds between two looks at the control log."""

MOST_ROLLED_BACK = 5
"""Of 50 at alpha 5 %: 2.5 are expected at most; more than 5 has a chance of 4 % even then."""


def null_live(kafka: Site, attempts: int = 50) -> Report:
    """Run the attempts one after the other and count how they ended."""
    report = Report("null-live", __doc__ or "")
    ends: Counter[str] = Counter()
    with scene(kafka, STEPS, ANALYSIS, pack_twins) as live:
        live.installation.await_ready(live.add_analyzer())
        live.installation.await_ready(live.add_scorer())
        base_ms = int(time.time() * 1000) - 30 * 86_400_000
        live.start_load(RATE, failing_keys=FAILING_KEYS, event_ms=EVENT_MS, event_base_ms=base_ms)
        for number in range(attempts):
            end, seconds, message = attempt(live)
            ends[end] += 1
            told = message.replace(f"{live.folder}/", "")  # no paths of this machine
            report.line(f"attempt {number + 1}: {end} after {seconds:.1f} s; {told}")
        sent = live.end_load()
        live.settle()
        if any(codes := live.close()):
            raise RuntimeError(f"processes ended with {codes}")
        verdict = live.collect().verdict
    speed = event_speed(sent)
    report.bar("speed of event time", f"{speed:.0f} x life", ">= 100", speed >= 100)
    report.figure("promoted", str(ends["promoted"]))
    report.figure("undecided", str(ends["undecided"]))
    report.bar("rolled back by chance", f"{ends['rolled_back']} of {attempts}", f"<= {MOST_ROLLED_BACK}",
               ends["rolled_back"] <= MOST_ROLLED_BACK)  # fmt: skip
    errors = sum(verdict.errors.values()) / verdict.requests
    report.figure("requests", f"{verdict.requests:,}, {errors:.2%} of them unanswerable")
    report.bar("lost, doubled or misrouted", "; ".join(verdict.problems) or "0", "0", verdict.is_exact)
    return report


def event_speed(sent: Sent) -> float:
    """Return how many seconds of event time passed in a second of real time, by what was really sent."""
    return EVENT_MS / 1e3 * sent.real_rate


def attempt(live: Scene) -> tuple[str, float, str]:
    """Start the twin that is not stable and return how it ended, after how long, and the state's message."""
    before = live.installation.state()
    stable = before.stable.uri if before.stable else ""
    began = time.monotonic()
    live.installation.start(next(model for model in (live.canary, live.stable) if str(model) != stable))
    wait_for(lambda: live.installation.state().attempt != before.attempt, 30, "the start", live.alive(), GLANCE)
    try:
        wait_for(lambda: not live.installation.state().phase.has_attempt, PATIENCE, "the verdict", live.alive(), GLANCE)
    except TimeoutError:
        live.installation.send(Rollback(rollout="bench", issued_by="operator:bench", reason="no verdict in time"))
        wait_for(lambda: not live.installation.state().phase.has_attempt, 30, "the rollback", live.alive(), GLANCE)
        return "undecided", time.monotonic() - began, live.installation.state().message
    state = live.installation.state()
    end = "promoted" if state.phase is Phase.PROMOTED else "rolled_back"
    return end, time.monotonic() - began, state.message
