"""A tiny worker with a table: counts and sums the records of each partition, exactly once if all goes well.

Run as `python -m tests.kafka.summing '{...}'` with the fields of `SumOrders`. Prints its sums as JSON while they
change: `{"sums": {"0": [count, sum], ...}}`.
"""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from faust.types import TP

from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.transport.apps import batch_agent, make_app
from coalmine.streams.transport.batches import Batch, Poll
from coalmine.streams.transport.record_table import RecordTable
from coalmine.streams.transport.table_offsets import TableOffsets
from coalmine.streams.worker import Work, run
from tests.kafka.relay import Orders, say_when_ready
from tests.kafka.traffic import PARTITIONS


@dataclass(frozen=True)
class SumOrders(Orders):
    """`jump_at`: once partition 0 has so many records, its position jumps 500 ahead, as if they had been dropped.

    `trusting`: fold whatever comes, to show that the rule of the offsets is needed.
    """

    jump_at: int | None = None
    trusting: bool = False


class Sums:
    """The sums in memory and their copy in the table."""

    def __init__(self, app: Any, orders: SumOrders) -> None:
        self.app, self.orders = app, orders
        self.table = RecordTable(app, "sums")
        self.memory: dict[int, dict[str, int]] = {}
        self.jumped = orders.jump_at is None
        self.offsets = TableOffsets(app, orders.source, self.restore)

    def restore(self, partition: int) -> int | None:
        record = self.table.get(str(partition))
        self.memory[partition] = json.loads(record) if record else {"next": 0, "count": 0, "sum": 0}
        return self.memory[partition]["next"] if record else None

    async def work(self, polls: AsyncIterator[Poll]) -> None:
        async for poll in polls:
            for batch in poll.batches:
                await self.fold(batch, batch.records if self.orders.trusting else await self.offsets.take(batch))
                batch.ack()
                await self.maybe_jump(batch)
                await asyncio.sleep(self.orders.pause_ms / 1000)

    async def fold(self, batch: Batch, records: Sequence[Any]) -> None:
        if not records:
            return
        partition = batch.tp.partition
        old = self.memory[partition]
        count, total = old["count"] + len(records), old["sum"] + sum(int(record.value) for record in records)
        self.memory[partition] = {"next": records[-1].offset + 1, "count": count, "sum": total}
        await self.table.write(partition, str(partition), json.dumps(self.memory[partition]).encode())

    async def maybe_jump(self, batch: Batch) -> None:
        if self.jumped or batch.tp.partition != 0 or self.memory[0]["count"] < (self.orders.jump_at or 0):
            return
        self.jumped = True
        await self.app.consumer.seek_wait({TP(self.orders.source, 0): self.memory[0]["next"] + 500})

    async def show(self) -> None:
        shown = ""
        while True:
            line = json.dumps({"sums": {p: [m["count"], m["sum"]] for p, m in self.memory.items()}})
            if line != shown:
                print(line, flush=True)
                shown = line
            await asyncio.sleep(0.05)


async def set_up(orders: SumOrders) -> Work:
    kafka = KafkaSettings({"bootstrap.servers": orders.bootstrap, **orders.kafka})
    app = make_app(orders.group, kafka, orders.source, create_topics=True, topic_partitions=PARTITIONS)
    sums = Sums(app, orders)
    batch_agent(app, sums.work)
    return Work(apps=[app], tasks=[say_when_ready(app, orders.source), sums.show()])


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(name)s %(levelname)s %(message)s")
    given = SumOrders(**json.loads(sys.argv[1]))
    run(lambda: set_up(given), watch_parent=True)
