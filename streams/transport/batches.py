"""Polls: what one poll brought, as one event of Faust, and its batches, one for each partition.

Faust's stream handles one event a record at 500 us each; here an event is a whole poll, and only an ack lets its
offsets be committed. An author writes

    async def score(polls: AsyncIterator[Poll]) -> None:
        async for poll in polls:
            ...produce what poll.records ask for...
            poll.ack()

    batch_agent(app, "flights.requests", score)

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

import faust
from faust.events import Event
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from .intake import Record

__all__ = ["Batch", "BatchSchema", "InProgress", "Poll", "PollMessage", "polls"]

DRAIN_STEP_SECONDS = 0.002
"""How often a rebalance or a stop looks whether the open batches are done; a batch takes some milliseconds."""


class PollMessage(ConsumerMessage):  # type: ignore[misc] # Faust is untyped here
    """Faust's envelope of a poll: it carries no records; its partition is one of those that have some.

    Faust itself acks what it skips after a rebalance and what an agent drops; of a poll that would commit records
    nobody worked on. So its `ack` does nothing, and `Batch.settle` does what `ack` did.
    """

    __slots__ = ()

    def ack(self, consumer: Any, n: int = 1) -> bool:
        """Do nothing: only the agent's body knows when a batch is done."""
        return False


class BatchSchema(faust.Schema):  # type: ignore[misc] # Faust is untyped here
    """Hands a poll through undecoded: its message carries no records, `polls` takes them from the intake."""

    def compile(self, app: Any, **options: Any) -> Any:
        """Return the function that makes an event of a message."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return Event(app, None, message.value, message.headers, message)

        return decode


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


async def polls(stream: Any) -> AsyncIterator[Poll]:
    """Yield the polls of a Faust stream whose topic has a `BatchSchema`.

    Before each it waits for room in the queues of the producers; once the worker stops it yields no more.
    """
    transport = stream.app.transport
    in_progress: InProgress = transport.in_progress
    async for event in stream.noack().events():
        for producer in transport.producers:
            await producer.room()
        if in_progress.closed:
            await asyncio.Event().wait()
        consumer = stream.app.consumer
        if not is_stale(event, stream.app) and (parts := consumer.intake.take()):
            yield in_progress.take(parts, consumer)


def is_stale(event: Any, app: Any) -> bool:
    """Tell whether the partitions of `event` are being given away, or were, while the event waited for room.

    Whoever gets a partition reads its batch again, also this worker after its seek. A rebalance stops the flow
    first, waits for the batches that were taken and commits; a batch taken after that would be answered twice.
    """
    return not app.flow_control.is_active() or event.message.generation_id != app.consumer_generation_id
