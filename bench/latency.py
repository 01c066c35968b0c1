"""Open-loop latency, on a real Kafka: 500, 5,000 and 20,000 requests a second.

Request n is due at t0 + n / rate whether or not anybody keeps up; its latency is the arrival of its prediction at a
consumer minus that time, so neither a stalled producer nor a queue hides anything. The producer sends at once at
500/s and lingers 5 ms at the higher rates; that counts too. Producer, consumer, runner and broker are processes of one
machine, the producer one that goes first. The first seconds of a run do not count, nor do first runs that let the
broker's compiler finish. coalmine runs with its analyzer; the bare loop commits twice a second, as coalmine does.
Every run is verified.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import msgspec
import numpy as np

from .arrivals import Watch
from .backlog import build
from .collect import collect
from .evidence import Report
from .installation import unique
from .kafka_log import Log
from .load import Load, Sent
from .measure import Run, topics_of, wait_for
from .pair import pack_pair
from .processes import Worker, python
from .rig import Site, site
from .runs import CoalmineRun, RivalRun
from .throughput import PARTITIONS

__all__ = ["latency", "main"]

RATES = (500, 5_000, 20_000)

WARM_UP = 5.0
"""Seconds of a run that do not count: first calls, first connections, and what piled up meanwhile."""

WARM_UP_SECONDS = 100.0
"""Length of the runs that do not count at all: after two of 40 s the broker still took 61 % of a core for what it did
with 40 to 48 % in the runs that followed."""

PROBES = 200
"""Requests answered before the load begins, so that start-up does not count."""

LINGER_MS = {500: 0}
"""How long a record may wait in the load's producer, by rate; `BUSY_LINGER_MS` at others."""

BUSY_LINGER_MS = 5
"""A producer of thousands a second lingers: librdkafka writes each partition with a request of its own, and at 1 ms
the broker of a two-core machine did little else (the bare loop's median at 20,000/s: 100 to 200 ms)."""

BARS = {500: (4.0, 15.0), 20_000: (10.0, 30.0)}
"""p50 and p99 in ms that coalmine must keep, by rate."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds from when a request was due to when its prediction arrived."""

    p50: float
    p99: float
    highest: float
    producer_p99: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurement and print its report; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="bench.latency", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rates", type=int, nargs="+", default=RATES)
    options = parser.parse_args(arguments)
    with site() as kafka:
        report = latency(kafka, options.rounds, options.seconds, options.rates)
    print(report.text())
    return 0 if report.is_met else 1


def latency(kafka: Site, rounds: int, seconds: float, rates: Sequence[int] = RATES) -> Report:
    """Measure every rate `rounds` times with each runner and return the report."""
    log, report = Log(kafka.bootstrap), Report("latency", __doc__)
    found: dict[tuple[int, str], list[Latencies]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="coalmine-bench-") as directory:
        folder = Path(directory)
        models = pack_pair(folder / "models")
        warm_up(log, models, folder)
        for number in range(rounds):
            for rate in rates:
                for name in ("coalmine", "bare")[:: 1 if number % 2 else -1]:
                    requests = unique("requests-")
                    build(log, requests, PARTITIONS, PROBES)
                    run = runner(name, log, requests, models, folder)
                    seen = one_run(log, run, requests, rate, seconds, folder)
                    found[rate, name].append(seen)
                    text = f"round {number + 1} {rate:6}/s {name:8} {seen.p50:6.1f} {seen.p99:6.1f} {seen.highest:6.1f}"
                    report.line(f"{text}  (producer late by {seen.producer_p99:.1f})")
                    print(report.lines[-1], file=sys.stderr, flush=True)
                    log.delete([run.predictions, run.outcomes, requests])
    report.lines.insert(0, "p50, p99, highest in ms; 99 % of sends were late by less than the figure in brackets")
    for (rate, name), runs in sorted(found.items()):
        summarise(report, rate, name, runs)
    return report


def warm_up(log: Log, models: tuple[Path, Path], folder: Path) -> None:
    """Let the broker's compiler finish with what each runner asks for: for half a minute it takes a core, then less."""
    for name in ("bare", "coalmine"):
        requests = unique("requests-")
        build(log, requests, PARTITIONS, PROBES)
        one_run(log, runner(name, log, requests, models, folder), requests, max(RATES), WARM_UP_SECONDS, folder)


def runner(name: str, log: Log, requests: str, models: tuple[Path, Path], folder: Path) -> Run:
    """Return a fresh run over the topic `requests`."""
    tag = unique("run-")
    if name == "coalmine":
        return CoalmineRun(log, requests, PARTITIONS, models, folder, tag)
    return RivalRun(log, name, "bench.bare", requests, PARTITIONS, models, folder, tag, 0.5)


def one_run(log: Log, run: Run, requests: str, rate: int, seconds: float, folder: Path) -> Latencies:
    """Return the latencies of one runner at one rate; raise AssertionError when an answer is wrong."""
    workers = run.start()
    try:
        wait_for(lambda: log.count(run.outcomes) == PROBES, 60, "answers to the probes", workers)
        sent, arrivals = under_load(log, run, requests, rate, seconds, folder, workers)
        wait_for(lambda: log.count(run.outcomes) == PROBES + sent.count, 30, "the last outcome", workers)
    finally:
        codes = [worker.stop() for worker in workers.values()]
    if any(codes):
        raise RuntimeError(f"{run.name} ended with {codes}: " + "\n".join(w.tail() for w in workers.values()))
    verdict = collect(log, topics_of(run, requests), run.revisions).verdict
    if not verdict.is_exact:
        raise AssertionError(f"{run.name} at {rate}/s: {verdict.summary()}")
    numbers, times = arrivals
    due = sent.t0 + (numbers - sent.first) / sent.rate
    counted = due >= sent.t0 + WARM_UP
    p50, p99, highest = np.percentile((times - due)[counted] * 1e3, [50, 99, 100]).tolist()
    return Latencies(p50, p99, highest, sent.late_p99_ms)


def under_load(
    log: Log, run: Run, requests: str, rate: int, seconds: float, folder: Path, workers: dict[str, Worker]
) -> tuple[Sent, np.ndarray]:
    """Return what was sent, and numbers and arrival times of the predictions."""
    count, array = round(rate * seconds), folder / f"{requests}.npy"
    watch = Watch(bootstrap=log.bootstrap, topic=run.predictions, offsets=log.ends(run.predictions), count=count,
                  output=str(array))  # fmt: skip
    load = Load(bootstrap=log.bootstrap, topic=requests, rate=rate, seconds=seconds, first=PROBES,
                linger_ms=LINGER_MS.get(rate, BUSY_LINGER_MS))  # fmt: skip
    watcher = Worker(python("bench.arrivals", msgspec.json.encode(watch).decode()), folder / f"{requests}.watch")
    loader = Worker(python("bench.load", msgspec.json.encode(load).decode()), folder / f"{requests}.load")
    try:
        for worker, name in ((loader, "the load"), (watcher, "the arrivals")):
            wait_for(lambda w=worker: w.process.poll() is not None, seconds + 60, name, workers)  # type: ignore[misc]
    finally:
        codes = watcher.stop(), loader.stop()
    if any(codes):
        raise RuntimeError(f"load or watch failed:\n{loader.tail()}\n{watcher.tail()}")
    return msgspec.json.decode(loader.output.read_bytes(), type=Sent), np.load(array)


def summarise(report: Report, rate: int, name: str, runs: list[Latencies]) -> None:
    """Add the medians over the rounds of one runner at one rate."""
    p50, p99 = median(run.p50 for run in runs), median(run.p99 for run in runs)
    text = f"{p50:.1f} / {p99:.1f} ms"
    title = f"{rate:,}/s {name}: p50 / p99 (medians of {len(runs)})"
    if name == "coalmine" and rate in BARS:
        bar50, bar99 = BARS[rate]
        report.bar(title, text, f"<= {bar50:g} / {bar99:g} ms", p50 <= bar50 and p99 <= bar99)
    else:
        report.figure(title, text)


if __name__ == "__main__":
    sys.exit(main())
