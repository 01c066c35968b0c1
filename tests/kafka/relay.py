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

from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.kafka.producer import Producer
from coalmine.streams.transport.apps import assigned, batch_agent, make_app
from coalmine.streams.transport.batches import Batch, Poll
from coalmine.streams.transport.driver import BatchConsumer
from coalmine.streams.worker import Work, run

STOPPED_SECONDS = 0.2
"""Above the time of a round of Faust's fetch loop, which must meet a stopped flow; below that of a commit."""


@dataclass(frozen=True)
class Orders:
    """What a relay does; `pause_ms` is awaited in every batch, before the answers are produced.

    `bug_at`: raise at the first batch that reaches this offset. `without`: names of overrides of the transport that
    are taken away, to show that each is needed; `careless`: the same for the errors of the producer.
    `stutter`: the flow stops when the first records were taken, as at a rebalance, and goes on a little later.
    """

    bootstrap: str
    source: str
    target: str
    group: str
    pause_ms: float = 0.0
    bug_at: int | None = None
    without: Sequence[str] = ()
    careless: bool = False
    stutter: bool = False
    kafka: dict[str, str] = field(default_factory=dict)

    def json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


class CarelessProducer(Producer):
    """Looks at no error of delivery."""

    def check(self) -> None:
        pass


def stutter() -> None:
    """Stop the flow with the first records taken, as a rebalance does, and let it go on when they are answered."""
    take = BatchConsumer.take
    stopped: list[object] = []

    def take_and_stop(self: Any) -> Any:
        taken = take(self)
        if taken and not stopped:
            stopped.append(taken)
            self.stop_flow()
            asyncio.get_running_loop().call_later(STOPPED_SECONDS, self.resume_flow)
        return taken

    BatchConsumer.take = take_and_stop  # type: ignore[method-assign]


async def set_up(orders: Orders) -> Work:
    kafka = KafkaSettings({"bootstrap.servers": orders.bootstrap, **orders.kafka})
    producer = CarelessProducer(kafka) if orders.careless else Producer(kafka)
    app = make_app(orders.group, kafka, orders.source, [producer])

    async def relay(polls: AsyncIterator[Poll]) -> None:
        async for poll in polls:
            for batch in poll.batches:
                await answer(batch, orders, producer)

    batch_agent(app, relay)
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
    if orders.stutter:
        stutter()
    run(lambda: set_up(orders), watch_parent=True)


if __name__ == "__main__":
    main()
