"""Every promise at full size: `make verify`, or `python -m bench.verify NAME...` for some.

Each proof has a Kafka of its own and writes its figures into `docs/evidence/NAME.md`, whether its bars are met or not.
Ends with 1 when a bar was missed or a proof could not be finished.
"""

import argparse
import importlib
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence

from .broker_away import broker_away
from .clean_clone import clean_clone
from .commands import commands
from .demo_runs import demo_runs
from .evidence import Report
from .faults import kill_scorer, stop_scorer
from .kill_analyzer import kill_analyzer
from .latency import latency
from .null_live import null_live
from .poison_run import poisoned
from .promised_tests import promised_tests
from .rebalance import rebalance
from .rig import Site, site
from .throughput import throughput

__all__ = ["GROUPS", "PROOFS", "main"]

Proof = Callable[[], bool]
"""Runs, prints and writes a proof; returns whether its bars are met."""


def on_kafka(name: str, measure: Callable[[Site], Report]) -> Proof:
    """Return the proof that measures on a Kafka of its own."""

    def prove() -> bool:
        with site() as kafka:
            report = measure(kafka)
        report.command = f"python -m bench.verify {name}"
        return report.publish()

    return prove


def on_paper(name: str) -> Proof:
    """Return the proof that a study brings; it needs no Kafka, and is imported only when it runs."""

    def prove() -> bool:
        study = importlib.import_module(f".{name.replace('-', '_')}", __package__)
        return bool(study.main([]) == 0)

    return prove


PROOFS: dict[str, Proof] = {
    "throughput": on_kafka("throughput", lambda kafka: throughput(kafka, 5, 1_000_000, 15_000)),
    "latency": on_kafka("latency", lambda kafka: latency(kafka, 3, 20.0)),
    "commands": on_kafka("commands", commands),
    "kill-scorer": on_kafka("kill-scorer", kill_scorer),
    "stop-scorer": on_kafka("stop-scorer", stop_scorer),
    "rebalance": on_kafka("rebalance", rebalance),
    "kill-analyzer": on_kafka("kill-analyzer", kill_analyzer),
    "broker-away": on_kafka("broker-away", broker_away),
    "poison": on_kafka("poison", poisoned),
    "null-live": on_kafka("null-live", null_live),
    "null-rates": on_paper("null-rates"),
    "policy-runs": on_paper("policy-runs"),
    "decisions": on_paper("decisions"),
    "many-checks": on_paper("many-checks"),
    "simpson": on_paper("simpson"),
    "demo": demo_runs,
    "tests": promised_tests,
    "clean-clone": clean_clone,
}
"""Every proof by name, the quick ones first; all of them take about five hours on two cores."""

GROUPS = {
    "bench": ("throughput", "latency"),
    "faults": ("commands", "kill-scorer", "stop-scorer", "rebalance", "kill-analyzer", "broker-away", "poison"),
    "null": ("null-live", "null-rates", "policy-runs"),
    "statistics": ("null-rates", "decisions", "many-checks", "simpson"),
    "repository": ("demo", "tests", "clean-clone"),
}
"""Names for several proofs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named proofs, all when none is named."""
    parser = argparse.ArgumentParser(prog="bench.verify", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join([*PROOFS, *GROUPS])}")
    names = parser.parse_args(arguments).names
    if unknown := [name for name in names if name not in PROOFS and name not in GROUPS]:
        parser.error(f"there is no proof {unknown[0]!r}; choose from {', '.join([*PROOFS, *GROUPS])}")
    chosen = list(dict.fromkeys(expanded(names or PROOFS)))
    missed = [name for name in chosen if not is_proved(name)]
    print(f"missed: {', '.join(missed)}" if missed else f"all bars met: {', '.join(chosen)}")
    return 1 if missed else 0


def expanded(names: Iterable[str]) -> Iterable[str]:
    """Yield the names of proofs, with groups taken apart."""
    for name in names:
        yield from GROUPS.get(name, (name,))


def is_proved(name: str) -> bool:
    """Run a proof; one that breaks off counts as missed and does not keep the others from running."""
    print(f"== {name}", file=sys.stderr, flush=True)
    try:
        return PROOFS[name]()
    except Exception:  # noqa: BLE001 - the next proofs must still run
        traceback.print_exc()
        return False


if __name__ == "__main__":
    sys.exit(main())
