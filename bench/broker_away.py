"""The broker stops answering under load: a short outage is ridden out, a longer one ends the worker, not in silence."""

import time

from .evidence import Report
from .faults import RATE, STEADY, begin, catch_up, finish, told
from .rig import Site
from .scene import scene

__all__ = ["broker_away"]

OUTAGE_SECONDS = 20.0

DELIVERY_SECONDS = 5.0
"""Delivery timeout of the worker that must give up."""

EXIT_SECONDS = 25.0
"""Deadline for its end, counted from the outage: the timeout, 10 s for the flush to see it, and a stop of 8 s."""

FAULT = 70
"""Exit code that says: start me again."""


def broker_away(kafka: Site) -> Report:
    """Freeze the broker for 20 s, with a delivery timeout of 120 s (the default) and of 5 s."""
    report = Report("broker-away", f"The broker is frozen (SIGSTOP) for {OUTAGE_SECONDS:.0f} s under {RATE}/s. With "
                    "the default delivery timeout of 120 s the worker must ride it out. With one of "
                    f"{DELIVERY_SECONDS:.0f} s it must end with exit code {FAULT}; another is started after the "
                    "outage.")  # fmt: skip
    short_outage(report, kafka)
    long_outage(report, kafka)
    return report


def short_outage(report: Report, kafka: Site) -> None:
    """Let the worker ride it out."""
    assert kafka.broker is not None, "only a broker of our own can be frozen"
    with scene(kafka, STEADY) as live:
        begin(live)
        live.start_load(RATE)
        catch_up(live)
        kafka.broker.freeze()
        time.sleep(OUTAGE_SECONDS)
        kafka.broker.resume()
        catch_up(live)
        verdict = finish(live).verdict
    report.bar("ridden out: lost", str(len(verdict.lost)), "0", not verdict.lost)
    report.bar("ridden out: wrong, contradicted", told(verdict.mistakes), "0", verdict.is_valid)
    report.figure("ridden out: repeated", str(verdict.extra))


def long_outage(report: Report, kafka: Site) -> None:
    """Let the worker give up, and another do its work again."""
    assert kafka.broker is not None, "only a broker of our own can be frozen"
    with scene(kafka, STEADY) as live:
        live.installation.environment = {"COALMINE_KAFKA__DELIVERY_TIMEOUT_MS": str(int(DELIVERY_SECONDS * 1000))}
        begin(live)
        live.start_load(RATE)
        catch_up(live)
        worker = live.scorers.pop()
        kafka.broker.freeze()
        began = time.monotonic()
        try:
            code, seconds = worker.process.wait(OUTAGE_SECONDS + EXIT_SECONDS), time.monotonic() - began
        finally:
            time.sleep(max(0.0, began + OUTAGE_SECONDS - time.monotonic()))
            kafka.broker.resume()
            worker.stop()
        live.add_scorer()
        catch_up(live)
        verdict = finish(live).verdict
    report.bar("given up: exit code", str(code), str(FAULT), code == FAULT)
    report.bar("given up: time to the exit", f"{seconds:.1f} s", f"<= {EXIT_SECONDS:.0f} s", seconds <= EXIT_SECONDS)
    report.bar("given up: lost", str(len(verdict.lost)), "0", not verdict.lost)
    report.bar("given up: wrong, contradicted", told(verdict.mistakes), "0", verdict.is_valid)
    report.figure("given up: repeated", str(verdict.extra))
