"""A backlog: requests that wait on their topic before anybody reads it."""

import time

from confluent_kafka import Producer

from .kafka_log import Log
from .poison import poison
from .traffic import Traffic

__all__ = ["build"]


def build(log: Log, topic: str, partitions: int, events: int, poison_every: int = 0) -> None:
    """Create `topic` and write `events` requests to it, partitioned by key; every n-th is poison (0: none)."""
    log.create([topic], partitions)
    producer = Producer({
        "bootstrap.servers": log.bootstrap,
        "partitioner": "murmur2_random",
        "linger.ms": 50,
        "queue.buffering.max.messages": 200_000,
        "log_level": 0,
    })  # fmt: skip
    traffic = Traffic()
    now_ms = time.time_ns() // 1_000_000
    for number in range(events):
        is_poison = poison_every and number % poison_every == 0
        value = poison(number // poison_every) if is_poison else traffic.value(number, now_ms)
        while True:
            try:
                producer.produce(topic, value=value, key=traffic.key(number))
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(60):
        raise TimeoutError(f"the backlog of {topic} was not written within 60 s")
