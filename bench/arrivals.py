"""When predictions arrive at somebody who waits for them. `python -m bench.arrivals JOB` is a process of its own.

It writes an array of two rows, the numbers of the requests and the epoch seconds of arrival, when it has seen
`count` predictions or gets SIGTERM.
"""

import signal
import sys
import time
from array import array

import msgspec
import numpy as np
from confluent_kafka import Consumer, TopicPartition

from .traffic import number_of

__all__ = ["Watch", "main"]


class Watch(msgspec.Struct, kw_only=True):
    """What to wait for: `count` predictions beyond the given offset of each partition; `output` gets the array."""

    bootstrap: str
    topic: str
    offsets: dict[int, int]
    count: int
    output: str


class Identity(msgspec.Struct):
    """The id of a prediction."""

    id: str


def main() -> None:
    """Watch what the argument says."""
    watch = msgspec.json.decode(sys.argv[1], type=Watch)
    consumer = Consumer({
        "bootstrap.servers": watch.bootstrap,
        "group.id": "unused",
        "enable.auto.commit": False,
        "log_level": 0,
    })  # fmt: skip
    consumer.assign([TopicPartition(watch.topic, p, offset) for p, offset in watch.offsets.items()])
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    numbers, times = array("d"), array("d")
    decode = msgspec.json.Decoder(Identity).decode
    while running and len(numbers) < watch.count:
        batch = consumer.consume(1, timeout=0.1)
        if batch:
            batch += consumer.consume(999, timeout=0)
            now = time.time()
            numbers.extend(number_of(decode(message.value()).id) for message in batch)
            times.extend([now] * len(batch))
    np.save(watch.output, np.array([numbers, times]))


if __name__ == "__main__":
    main()
