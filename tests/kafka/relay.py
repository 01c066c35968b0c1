"""A tiny worker for the tests: answers every record with its own place, `partition@offset`, and acks.

Run as `python -m tests.kafka.relay '{"bootstrap": ..., "source": ..., "target": ..., "group": ...}'`. What else it
can be told to do is a field of `Orders`.
"""

import asyncio
import dataclasses
import json
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from coalmine.streams.apps import assigned, batch_agent, make_app
from coalmine.streams.batches import Batch
from coalmine.streams.client import KafkaSettings
from coalmine.streams.producer import Producer
from coalmine.streams.transport import BatchConsumer
from coalmine.streams.worker import Work, run


@dataclass(frozen=True)
class Orders:
    """What a relay does; `pause_ms` is awaited in every batch, before the answers are produced.

    `bug_at`: raise at the first batch that reaches this offset. `without`: names of overrides of the transport that
    are taken away, to show that each is needed; `careless`: the same for the errors of the producer.
    """

    bootstrap: str
    source: str
    target: str
    group: str
    pause_ms: float = 0.0
    bug_at: int | None = None
    without: Sequence[str] = ()
    careless: bool = False
    kafka: dict[str, str] = field(default_factory=dict)

    def json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


class CarelessProducer(Producer):
    """Looks at no error of delivery."""

    def check(self) -> None:
        pass


async def set_up(orders: Orders) -> Work:
    kafka = KafkaSettings({"bootstrap.servers": orders.bootstrap, **orders.kafka})
    producer = CarelessProducer(kafka) if orders.careless else Producer(kafka)
    app = make_app(orders.group, kafka, [orders.source], producer)

    async def relay(batches: AsyncIterator[Batch]) -> None:
        async for batch in batches:
            await answer(batch, orders, producer)

    batch_agent(app, orders.source, relay)
    return Work(apps=[app], tasks=[say_when_ready(app, orders.source)])


async def answer(batch: Batch, orders: Orders, producer: Producer) -> None:
    if orders.bug_at is not None and batch.last >= orders.bug_at:
        raise ZeroDivisionError("a bug of the agent")
    if orders.pause_ms:
        await asyncio.sleep(orders.pause_ms / 1000)
    for record in batch.records:
        place = f"{record.partition}@{record.offset}".encode()
        producer.produce(orders.target, place, record.key, record.partition)
    batch.ack()


async def say_when_ready(app: Any, topic: str) -> None:
    while app.rebalancing or not assigned(app, topic):
        await asyncio.sleep(0.02)
    print("ready", flush=True)


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(name)s %(levelname)s %(message)s")
    orders = Orders(**json.loads(sys.argv[1]))
    for name in orders.without:
        delattr(BatchConsumer, name)
    run(lambda: set_up(orders), watch_parent=True)


if __name__ == "__main__":
    main()
