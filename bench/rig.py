"""The broker of a benchmark and what is said of the machine it ran on."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

from tests.kafka.broker import JARS, SERVER_JVM, Broker, missing

__all__ = ["Site", "machine", "site"]


@dataclass(frozen=True, slots=True)
class Site:
    """A Kafka to measure on; `broker` is None where it is not our own and cannot be frozen, killed or measured."""

    bootstrap: str
    broker: Broker | None

    @property
    def pid(self) -> int | None:
        """The process id of our own broker."""
        return None if self.broker is None else self.broker.pid


@contextmanager
def site() -> Iterator[Site]:
    """Give the Kafka of `COALMINE_TEST_BOOTSTRAP`, else one of our own for as long as the context lasts."""
    given = os.environ.get("COALMINE_TEST_BOOTSTRAP")
    if given:
        yield Site(given, None)
        return
    if reason := missing():
        sys.exit(f"a real Kafka is needed: {reason}")
    with Broker(jvm=SERVER_JVM) as broker:
        yield Site(broker.bootstrap, broker)


def machine() -> dict[str, str]:
    """Return what a reader of figures must know of the machine; nothing that names it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    libraries = ("faust-streaming", "aiokafka", "confluent-kafka", "msgspec", "numpy", "scikit-learn")
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "Kafka": JARS.name.removeprefix("kafka-") + ", one KRaft node on the same machine",
        **{name: version(name) for name in libraries},
    }
