"""Polls: the records that were there when an agent asked, as batches, one for each partition.

Faust's stream hands over one record at a time, 500 us each; here an agent gets all that is there at once, and only an
ack lets offsets be committed. An author writes

    async def score(polls: AsyncIterator[Poll]) -> None:
        async for poll in polls:
            ...produce what poll.records ask for...
            poll.ack()

    batch_agent(app, score)

and gets: records of a partition in offset order, none taken while a producer's queue is full, offsets committed only
after the outputs produced before `ack` were confirmed by the broker. Several batches may be open at once and acked in
any order, also from other tasks; a batch counts only when all batches of its partition before it were acked. A body
that raises ends the process: nothing is skipped.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from faust.types import TP
from faust.types.tuples import ConsumerMessage

from .intake import Record

__all__ = ["Batch", "InProgress", "Poll", "polls"]

DRAIN_STEP_SECONDS = 0.002
"""How often a rebalance or a stop looks whether the open batches are done; a batch takes some milliseconds."""


class Batch:
    """The records of one poll of one partition: `records` in offset order, at least one.

    A record is an `intake.Record`.
    """

    __slots__ = ("_consumer", "_open", "acked", "records", "tp")

    def __init__(self, tp: TP, records: Sequence[Any], consumer: Any, in_progress: "InProgress") -> None:
        self.records = records
        self.tp = tp
        self.acked = False
        self._consumer = consumer
        self._open = in_progress

    @property
    def first(self) -> int:
        """The offset of the first record."""
        offset: int = self.records[0].offset
        return offset

    @property
    def last(self) -> int:
        """The offset of the last record."""
        offset: int = self.records[-1].offset
        return offset

    def ack(self) -> None:
        """Let the offsets of this batch be committed, once those of all earlier batches may be.

        Call it after the last record that answers the batch was produced. A second call does nothing.
        """
        if not self.acked:
            self.acked = True
            self._open.settle(self.tp)

    def settle(self) -> None:
        """Tell Faust that everything up to this batch is done; `ack` calls it in the right order."""
        topic, partition = self.tp
        last = ConsumerMessage(topic, partition, self.last, 0.0, 0, [], None, None, None, 0, 0, self.tp)
        self._consumer.ack(last)


class Poll:
    """The batches of one poll, to be worked together; `received` is the monotonic time in seconds of its taking."""

    __slots__ = ("batches", "received")

    def __init__(self, batches: Sequence[Batch], received: float) -> None:
        self.batches = batches
        self.received = received

    @property
    def records(self) -> Sequence[Any]:
        """The records of all batches; those of a partition together, in offset order."""
        if len(self.batches) == 1:
            return self.batches[0].records
        return [record for batch in self.batches for record in batch.records]

    def ack(self) -> None:
        """Ack every batch."""
        for batch in self.batches:
            batch.ack()


class InProgress:
    """The batches that bodies of agents took and did not finish: one queue a partition, in offset order.

    A rebalance and a stop wait for them, so that neither repeats work; `close` lets no new one be taken.
    """

    def __init__(self) -> None:
        self._open: dict[TP, deque[Batch]] = {}
        self._count = 0
        self._closed = False

    def __len__(self) -> int:
        """Return how many batches are open."""
        return self._count

    @property
    def closed(self) -> bool:
        """Whether new batches are refused because the worker stops."""
        return self._closed

    def close(self) -> None:
        """Let no agent take another batch."""
        self._closed = True

    def take(self, parts: Mapping[TP, Sequence[Record]], consumer: Any) -> Poll:
        """Return the poll of what was taken from the intake; its batches count as open from now on."""
        taken = [Batch(tp, records, consumer, self) for tp, records in parts.items()]
        for batch in taken:
            self._open.setdefault(batch.tp, deque()).append(batch)
        self._count += len(taken)
        return Poll(taken, time.monotonic())

    def settle(self, tp: TP) -> None:
        """Pass on the acks of the oldest batches of `tp` up to the first that still is open."""
        queue = self._open[tp]
        while queue and queue[0].acked:
            queue.popleft().settle()
            self._count -= 1

    async def drain(self, seconds: float) -> bool:
        """Wait at most `seconds` until no batch is open and tell whether that is so."""
        end = time.monotonic() + seconds
        while self._count and time.monotonic() < end:
            await asyncio.sleep(DRAIN_STEP_SECONDS)
        return not self._count


async def polls(app: Any) -> AsyncIterator[Poll]:
    """Yield the polls of the hot topic of `app`.

    Before each it waits for room in the queues of the producers; once the worker stops it yields no more.
    """
    in_progress: InProgress = app.transport.in_progress
    while True:
        # A backlog leaves nothing to wait for, and commits, heartbeats and signals need the loop.
        await asyncio.sleep(0)
        if await app.consumer.arrival():
            for producer in app.transport.producers:
                await producer.room()
            if in_progress.closed:
                await asyncio.Event().wait()
            if parts := app.consumer.take():
                yield in_progress.take(parts, app.consumer)
