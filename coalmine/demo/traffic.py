"""Real departures as requests: what a user's own producer would send. `python -m` sends them for ever."""

import argparse
import signal
import threading
from collections.abc import Iterator
from itertools import count

from coalmine.streams.codec import encode

from .flights import STREAM_START, Departure, departures, load

__all__ = ["main", "request_of"]


def request_of(departure: Departure, suffix: str = "") -> tuple[str, bytes, bytes]:
    """Return id, key (the tail number) and value of the request of a departure; `suffix` is added to its id."""
    id_ = departure.id + suffix
    body = {"id": id_, "ts": departure.ts, "features": departure.features, "segment": departure.segment}
    return id_, departure.key.encode(), encode(body)


def rounds() -> Iterator[tuple[str, bytes, bytes]]:
    """Yield the departures of spring 2013 over and over; ids of every round but the first end in its number."""
    flights = load().between(STREAM_START)
    for number in count():
        suffix = f"#{number}" if number else ""
        yield from (request_of(departure, suffix) for departure in departures(flights))


def main() -> None:
    """Send departures until SIGTERM or SIGINT; the broker is that of the settings."""
    from coalmine.settings import load_settings
    from coalmine.streams.client import KafkaSettings
    from coalmine.streams.feed import Feed

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
