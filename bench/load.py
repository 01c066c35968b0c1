"""Open-loop load: request number n is sent at t0 + n / rate, whether or not anybody keeps up.

`python -m bench.load JOB` is a process of its own, so that nobody else's work delays it, and one that goes first where
the system allows that: it stands for senders on other machines. It prints one JSON object when it ends: when it began,
how many it sent, and how late it was itself.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable

import msgspec
from confluent_kafka import Producer

from .poison import poison
from .traffic import Traffic

__all__ = ["Load", "Sent", "main"]

NAP = 0.1
"""Longest sleep in seconds between two looks at the schedule."""

BREATH = 0.001
"""Shortest sleep, so what a request may be late: with a wake-up a request this process took 27 % of a core at 20,000/s,
twice what it takes so."""

START_SECONDS = 1.0
"""Time before the first request is due, in which whoever watches starts too."""


class Load(msgspec.Struct, kw_only=True):
    """What to send: `rate` a second for `seconds`, or until SIGTERM; numbers begin at `first`.

    Every `poison_every`-th request is one that cannot be read (0: none). Of the keys one in `failing_keys` has only
    requests that make a linear model fail (0: none). With `event_ms` event time is not real time: it begins at
    `event_base_ms` and each request is so many ms later than the one before. `linger_ms`: how long a record may wait
    in the producer for company.
    """

    bootstrap: str
    topic: str
    rate: float
    seconds: float
    first: int = 0
    poison_every: int = 0
    failing_keys: int = 0
    event_ms: float = 0.0
    event_base_ms: int = 0
    linger_ms: int = 0


class Sent(msgspec.Struct, kw_only=True):
    """What was sent: request `first + i` was due at `t0 + i / rate` (epoch seconds), `count` of them.

    `seconds`: real time from `t0` until the last of them was written. `late_p99_ms`: 99 % left the schedule by less
    than this.
    """

    t0: float
    rate: float
    first: int
    count: int
    seconds: float
    late_p99_ms: float

    @property
    def real_rate(self) -> float:
        """Requests a second that were really sent."""
        return self.count / self.seconds if self.seconds > 0 else 0.0


def main() -> None:
    """Send what the argument says."""
    go_first()
    load = msgspec.json.decode(sys.argv[1], type=Load)
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    sys.stdout.buffer.write(msgspec.json.encode(send(load, lambda: running)) + b"\n")


def go_first() -> None:
    """Let this thread, and those it will start, take a core whenever they need one, if that is allowed."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def send(load: Load, is_wanted: Callable[[], bool]) -> Sent:
    """Send by the schedule while `is_wanted()`."""
    producer = Producer({
        "bootstrap.servers": load.bootstrap,
        "partitioner": "murmur2_random",
        "linger.ms": load.linger_ms,
        "socket.nagle.disable": True,
        "queue.buffering.max.messages": 500_000,
        "log_level": 0,
    })  # fmt: skip
    traffic = Traffic(failing_keys=load.failing_keys)
    producer.list_topics(load.topic, timeout=10)  # the connection must not count as lateness of the first ones
    total = round(load.rate * load.seconds)
    late: list[float] = []
    t0, sent = time.time() + START_SECONDS, 0
    while sent < total and is_wanted():
        now = time.time()
        due = min(total, int((now - t0) * load.rate) + 1) if now >= t0 else 0
        if due > sent:
            late.append(now - (t0 + sent / load.rate))
        for number in range(load.first + sent, load.first + due):
            producer.produce(load.topic, value=body(load, traffic, number, t0), key=traffic.key(number))
        sent = max(sent, due)
        producer.poll(0)
        time.sleep(max(BREATH, min(NAP, t0 + sent / load.rate - time.time())))
    if producer.flush(60):
        raise TimeoutError("the load was not written within 60 s")
    seconds = time.time() - t0
    late.sort()
    p99 = late[int(len(late) * 0.99)] * 1e3 if late else 0.0
    return Sent(t0=t0, rate=load.rate, first=load.first, count=sent, seconds=seconds, late_p99_ms=round(p99, 3))


def body(load: Load, traffic: Traffic, number: int, t0: float) -> bytes | None:
    """Return the value of a request."""
    if load.poison_every and number % load.poison_every == 0:
        return poison(number // load.poison_every)
    if load.event_ms:
        return traffic.value(number, load.event_base_ms + int(number * load.event_ms))
    return traffic.value(number, int((t0 + (number - load.first) / load.rate) * 1000))


if __name__ == "__main__":
    main()
