"""Throughput beside two rivals, on a real Kafka: `make bench`.

Every runner answers the same backlog (JSON requests of 20 named numbers, 357 bytes, keys, 4 partitions, 10 % canary,
two logistic regressions) with the same two records a request, in rounds that take turns, so that a slow minute of
the machine hits all of them. Broker and runners share the machine. `bare` commits after every batch of 1000 as a
careful loop does; `bare-0.5s` commits twice a second, as coalmine does. Every run is verified; a wrong answer ends the
benchmark.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from .backlog import build
from .evidence import Report
from .installation import unique
from .kafka_log import Log
from .measure import Figures, Run, measure
from .measure import __doc__ as measure_rules
from .pair import pack_pair
from .rig import Site, site
from .runs import CoalmineRun, RivalRun

__all__ = ["main", "throughput"]

PARTITIONS = 4

RIVALS = ("bare", "bare-0.5s", "Faust")
"""Who takes turns with coalmine."""

BARS = {
    "throughput / bare": (">=", 0.8),
    "throughput / Faust": (">=", 40.0),
    "scorer CPU / bare": ("<=", 1.3),
    "scorer + analyzer CPU / bare": ("<=", 1.9),
    "scorer RSS MB": ("<=", 300.0),
}
"""What `make verify` asks of the medians over the rounds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its report; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="bench.throughput", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=1_000_000, help="backlog of the batch runners")
    parser.add_argument("--faust-events", type=int, default=15_000, help="backlog of plain Faust")
    options = parser.parse_args(arguments)
    with site() as kafka:
        report = throughput(kafka, options.rounds, options.events, options.faust_events)
    print(report.text())
    return 0 if report.is_met else 1


def throughput(kafka: Site, rounds: int, events: int, faust_events: int) -> Report:
    """Run `rounds` rounds and return the report."""
    log = Log(kafka.bootstrap)
    report = Report("throughput", f"{__doc__}\n{measure_rules}")
    found: list[dict[str, Figures]] = []
    with tempfile.TemporaryDirectory(prefix="coalmine-bench-") as directory:
        folder = Path(directory)
        models = pack_pair(folder / "models")
        backlog, small = unique("backlog-"), unique("small-")
        build(log, backlog, PARTITIONS, events)
        build(log, small, PARTITIONS, faust_events)
        makers = runners(log, models, folder, backlog, small)
        for number in range(rounds):
            found.append({})
            for name in rotated(list(makers), number):
                run = makers[name](unique("run-"))
                topic, count = (small, faust_events) if name == "Faust" else (backlog, events)
                figures = measure(log, run, topic, count, kafka.pid)
                if not figures.verdict.is_exact:
                    raise AssertionError(f"{name}: {figures.verdict.summary()}")
                found[-1][name] = figures
                print(line(number, figures), file=sys.stderr, flush=True)
                log.delete([run.predictions, run.outcomes])
    return summarise(report, found)


def runners(
    log: Log, models: tuple[Path, Path], folder: Path, backlog: str, small: str
) -> dict[str, Callable[[str], Run]]:
    """Return for each runner what makes a fresh run of it."""

    def rival(name: str, module: str, requests: str, commit_seconds: float) -> Callable[[str], Run]:
        return lambda tag: RivalRun(log, name, module, requests, PARTITIONS, models, folder, tag, commit_seconds)

    return {
        "bare": rival("bare", "bench.bare", backlog, 0.0),
        "coalmine": lambda tag: CoalmineRun(log, backlog, PARTITIONS, models, folder, tag),
        "bare-0.5s": rival("bare-0.5s", "bench.bare", backlog, 0.5),
        "Faust": rival("Faust", "bench.plain_faust", small, 0.0),
    }


def rotated(names: list[str], by: int) -> list[str]:
    """Return the names in another order each round, so that no runner always follows the same one."""
    return names[by % len(names) :] + names[: by % len(names)]


def line(number: int, figures: Figures) -> str:
    """Return one run in one line."""
    cpu = ", ".join(f"{role} {us:.1f}" for role, us in figures.cpu_us.items())
    rss = ", ".join(f"{role} {mb:.0f}" for role, mb in figures.peak_rss_mb.items())
    rate = f"{figures.events_per_second:,.0f}/s"
    return f"round {number + 1} {figures.runner:10} {rate:>10}  CPU us/event: {cpu}  peak RSS MB: {rss}"


def coalmine_over_rivals(figures: dict[str, Figures]) -> dict[str, float]:
    """Return the ratios of one round, coalmine's figure over that of each rival."""
    ours, bare = figures["coalmine"], figures["bare"]
    rivals = {name: figures[name] for name in RIVALS}
    speeds = {name: ours.events_per_second / rival.events_per_second for name, rival in rivals.items()}
    cpu = {name: ours.cpu_us["score"] / rival.cpu_us["score"] for name, rival in rivals.items()}
    both = (ours.cpu_us["score"] + ours.cpu_us["analyze"]) / bare.cpu_us["score"]
    return {
        **{f"throughput / {name}": ratio for name, ratio in speeds.items()},
        **{f"scorer CPU / {name}": ratio for name, ratio in cpu.items()},
        "scorer + analyzer CPU / bare": both,
    }


def summarise(report: Report, rounds: list[dict[str, Figures]]) -> Report:
    """Fill the report with every run, the ratios of every round, and the medians held against the bars."""
    found: dict[str, list[float]] = defaultdict(list)
    for number, figures in enumerate(rounds):
        for name in (*RIVALS, "coalmine"):
            report.line(line(number, figures[name]))
        ratios = coalmine_over_rivals(figures)
        report.line(f"round {number + 1} ratios: {', '.join(f'{name} {ratio:.3g}' for name, ratio in ratios.items())}")
        rss = figures["coalmine"].peak_rss_mb
        memory = {"scorer RSS MB": rss["score"], "analyzer RSS MB": rss["analyze"]}
        for name, value in {**ratios, **memory}.items():
            found[name].append(value)
    for name, values in found.items():
        spread = f"{min(values):.2f} / {median(values):.2f} / {max(values):.2f}"
        if name in BARS:
            sign, bar = BARS[name]
            met = median(values) >= bar if sign == ">=" else median(values) <= bar
            report.bar(f"{name} (min / median / max)", spread, f"{sign} {bar:g}", met)
        else:
            report.figure(f"{name} (min / median / max)", spread)
    sizes = rounds[0]["bare"].bytes_per_record, rounds[0]["coalmine"].bytes_per_record
    text = [" and ".join(f"{size:.0f}" for size in each.values()) for each in sizes]
    report.figure("bytes of a prediction and of an outcome", f"bare {text[0]}; coalmine {text[1]}")
    report.figure("verified runs (nothing missing, doubled or misrouted)", str(sum(map(len, rounds))))
    return report


if __name__ == "__main__":
    sys.exit(main())
