"""A rival: the bare confluent-kafka loop that a skilled engineer would write in an afternoon.

Consume a batch, route, one model call a variant, produce two records a request, wait until the broker has them,
commit. It has no control topic, no fallback, no validation beyond types, and knows one weight for ever.
`python -m bench.bare JOB` runs until SIGTERM.
"""

import signal
import time
from typing import Any

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from .job import Job, read_job
from .rivals import Models, decode, records

__all__ = ["main"]

BATCH = 1000


def main() -> None:
    """Score until SIGTERM."""
    job = read_job()
    models = Models(job)
    consumer, producer = clients(job)
    consumer.subscribe([job.requests])
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    offsets: dict[int, int] = {}
    committed = time.monotonic()
    while running:
        if batch := poll(consumer):
            offsets.update(score(batch, job, models, producer))
        if offsets and time.monotonic() - committed >= job.commit_seconds:
            commit(job, consumer, producer, offsets)
            committed = time.monotonic()
    if offsets:
        commit(job, consumer, producer, offsets)
    consumer.close()


def clients(job: Job) -> tuple[Consumer, Producer]:
    consumer = Consumer({
        "bootstrap.servers": job.bootstrap,
        "group.id": job.group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "log_level": 0,
    })  # fmt: skip
    producer = Producer({
        "bootstrap.servers": job.bootstrap,
        "enable.idempotence": True,
        "compression.type": "zstd",
        "linger.ms": 1,
        "socket.nagle.disable": True,
        "partitioner": "murmur2_random",
        "delivery.report.only.error": True,
        "queue.buffering.max.messages": 100_000,
        "on_delivery": fail,
        "log_level": 0,
    })  # fmt: skip
    return consumer, producer


def fail(error: object, _message: object) -> None:
    if error is not None:
        raise SystemExit(f"not delivered: {error}")


def poll(consumer: Consumer) -> list[Message]:
    """Return what is there, at most `BATCH` records; wait only for the first."""
    first = consumer.consume(1, timeout=0.1)
    return [*first, *consumer.consume(BATCH - 1, timeout=0)] if first else []


def score(batch: list[Message], job: Job, models: Models, producer: Producer) -> dict[int, int]:
    """Produce the records of a batch and return the offset to commit for each partition in it."""
    started = time.perf_counter()
    requests = [decode(message.value()) for message in batch]
    places = [(message.partition(), message.offset()) for message in batch]
    srcs = [f"{job.requests}/{partition}@{offset}" for partition, offset in places]
    produce: Any = producer.produce
    out = records(requests, srcs, models, job.weight, started)
    for request, (partition, _), (prediction, outcome) in zip(requests, places, out, strict=True):
        produce(job.predictions, value=prediction, key=request.key, partition=partition)
        produce(job.outcomes, value=outcome, key=request.id)
    producer.poll(0)
    return {partition: offset + 1 for partition, offset in places}


def commit(job: Job, consumer: Consumer, producer: Producer, offsets: dict[int, int]) -> None:
    """Commit `offsets` once everything produced so far is confirmed, and forget them."""
    if producer.flush(30):
        raise SystemExit("not delivered within 30 s")
    consumer.commit(offsets=[TopicPartition(job.requests, p, o) for p, o in offsets.items()], asynchronous=False)
    offsets.clear()


if __name__ == "__main__":
    main()
