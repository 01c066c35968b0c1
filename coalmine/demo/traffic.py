"""Real departures as requests: what a user's own producer would send. `python -m` sends them for ever."""

import argparse
import signal
import threading
from collections.abc import Iterator
from itertools import count

from coalmine.streams.codec import encode

from .flights import STREAM_START, Departure, Flights, departures, load

__all__ = ["main", "requests"]


def requests(flights: Flights, suffix: str = "") -> Iterator[tuple[str, bytes, bytes]]:
    """Yield id, key (the tail number) and value of a request for each flight, in order of departure.

    `suffix` makes the ids of another round through the same flights different.
    """
    for departure in departures(flights):
        id_ = departure.id + suffix
        yield id_, departure.key.encode(), encode(body(departure, id_))


def body(departure: Departure, id_: str) -> dict[str, object]:
    """Return the request as it stands on the wire."""
    return {"id": id_, "ts": departure.ts, "features": departure.features, "segment": departure.segment}


def rounds() -> Iterator[tuple[str, bytes, bytes]]:
    """Yield the departures of spring 2013 over and over; ids of every round but the first end in its number."""
    flights = load().between(STREAM_START)
    for number in count():
        yield from requests(flights, f"#{number}" if number else "")


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
