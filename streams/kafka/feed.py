"""Sends records at a steady pace: the traffic of the demo. Open loop: a slow broker makes no pause, only a burst."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice

from .client import KafkaSettings
from .producer import Producer

__all__ = ["Feed", "Record"]

LINGER_MS = 100
"""Wait for company in a batch, in ms: the demo's broker slows down by the number of batches it keeps."""

TICK_SECONDS = 0.02
"""Pause between two looks at the clock; at 500/s ten records go out at a time."""

FLUSH_SECONDS = 10.0

Record = tuple[str, bytes, bytes]
"""Id, key, value."""


class Feed:
    """Sends records to `topic`, `rate` a second; `on_sent` is called with the id of each."""

    def __init__(self, kafka: KafkaSettings, topic: str, rate: float, on_sent: Callable[[str], None]) -> None:
        # Whatever goes wrong is raised by `run`; librdkafka would also print it across the live view.
        quiet = {**kafka.properties, "linger.ms": LINGER_MS, "log_level": 0}
        self._producer = Producer(replace(kafka, properties=quiet))
        self._topic = topic
        self._rate = rate
        self._on_sent = on_sent

    def run(self, records: Iterable[Record], stop: threading.Event) -> None:
        """Send `records` at the pace until they end or `stop` is set; return when the broker has confirmed all.

        Raises DeliveryError when it has not.
        """
        left = iter(records)
        began, sent = time.monotonic(), 0
        while not stop.wait(TICK_SECONDS):
            due = int((time.monotonic() - began) * self._rate) - sent
            burst = list(islice(left, due))
            for id_, key, value in burst:
                self._producer.produce(self._topic, value, key)
                self._on_sent(id_)
            sent += len(burst)
            if len(burst) < due:
                break
        self._producer.flush(FLUSH_SECONDS)
