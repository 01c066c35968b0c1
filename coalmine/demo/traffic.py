"""Real departures as requests: what a user's own producer would send. `python -m` sends them for ever."""

import argparse
import signal
import threading
from collections.abc import Iterator
from itertools import count

from coalmine.streams.wire.codec import encode

from .flights import STREAM_START, Departure, departures, load

__all__ = ["main", "request_of", "rounds"]

Record = tuple[str, bytes, bytes]


def request_of(departure: Departure) -> Record:
    """Return the request of a departure at its own time, years ago: for rollouts that go by the clock of events."""
    return record(departure, {"id": departure.id, "ts": departure.ts})


def rounds() -> Iterator[Record]:
    """Yield the departures of spring 2013 over and over, as if they left now; ids of later rounds end in its number."""
    flights = load().between(STREAM_START)
    for number in count():
        suffix = f"#{number}" if number else ""
        yield from (record(departure, {"id": departure.id + suffix}) for departure in departures(flights))


def record(departure: Departure, head: dict[str, str | int]) -> Record:
    """Return id, key (the tail number) and value of a request that begins with `head`."""
    body = {**head, "features": departure.features, "segment": departure.segment}
    return str(head["id"]), departure.key.encode(), encode(body)


def main() -> None:
    """Send departures until SIGTERM or SIGINT; the broker is that of the settings."""
    from coalmine.settings import load_settings
    from coalmine.streams.kafka.client import KafkaSettings
    from coalmine.streams.kafka.feed import Feed

    parser = argparse.ArgumentParser(prog="python -m coalmine.demo.traffic", description=__doc__)
    parser.add_argument("--topic", default="flights.requests", help="where requests go (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second (default: %(default)s)")
    flags = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    feed = Feed(KafkaSettings(load_settings().kafka), flags.topic, flags.rate, on_sent=lambda _: None)
    feed.run(rounds(), stop)


if __name__ == "__main__":
    main()
