"""Batches: what one poll brought of one partition, as one event of Faust.

Faust's stream handles one event a record at 500 us each; here an event is a whole batch, and only `Batch.ack` lets its
offsets be committed. An author writes

    async def score(batches: AsyncIterator[Batch]) -> None:
        async for batch in batches:
            ...produce what batch.records ask for...
            batch.ack()

    batch_agent(app, "flights.requests", score)

and gets: batches of a partition in offset order, none taken while the producer's queue is full, offsets committed only
after the outputs produced before `ack` were confirmed by the broker. Several batches may be open at once and acked in
any order, also from other tasks; a batch counts only when all batches of its partition before it were acked. A body
that raises ends the process: nothing is skipped.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

import faust
from faust.events import Event
from faust.types import TP
from faust.types.tuples import ConsumerMessage

__all__ = ["Batch", "BatchMessage", "BatchSchema", "Fetched", "InProgress", "batches"]

DRAIN_STEP_SECONDS = 0.002
"""How often a rebalance or a stop looks whether the open batches are done; a batch takes some milliseconds."""


class Fetched:
    """The records of one partition that one poll returned, in place of a single record; at least one."""

    __slots__ = ("received", "records")

    def __init__(self, records: Sequence[Any]) -> None:
        self.records = records
        self.received = time.monotonic()


class BatchMessage(ConsumerMessage):  # type: ignore[misc] # Faust is untyped here
    """Faust's envelope of a batch; its offset is that of the batch's last record.

    Faust itself acks what it skips after a rebalance and what an agent drops; of a batch that would commit records
    nobody worked on. So its `ack` does nothing, and `settle` does what `ack` did.
    """

    __slots__ = ()

    def ack(self, consumer: Any, n: int = 1) -> bool:
        """Do nothing: only the agent's body knows when a batch is done."""
        return False

    def settle(self, consumer: Any) -> None:
        """Let the offsets up to this batch be committed."""
        super().ack(consumer)


class BatchSchema(faust.Schema):  # type: ignore[misc] # Faust is untyped here
    """Hands a batch through undecoded: `event.message.value` is a `Fetched`."""

    def compile(self, app: Any, **options: Any) -> Any:
        """Return the function that makes an event of a message."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return Event(app, None, message.value, message.headers, message)

        return decode


class Batch:
    """The records of one poll of one partition: `records` in offset order, at least one.

    A record is aiokafka's: `offset`, `timestamp` (ms), `key`, `value` (bytes or None), `headers`. `received` is the
    monotonic time in seconds at which the poll returned.
    """

    __slots__ = ("_event", "_open", "acked", "received", "records", "tp")

    def __init__(self, event: Any, in_progress: "InProgress") -> None:
        fetched: Fetched = event.message.value
        self.records = fetched.records
        self.received = fetched.received
        self.tp: TP = event.message.tp
        self.acked = False
        self._event = event
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
        self._event.message.settle(self._event.app.consumer)


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

    def take(self, batch: Batch) -> None:
        """Count a batch as open from now on."""
        self._open.setdefault(batch.tp, deque()).append(batch)
        self._count += 1

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


async def batches(stream: Any) -> AsyncIterator[Batch]:
    """Yield the batches of a Faust stream whose topic has a `BatchSchema`.

    Before each batch it waits for room in the producer's queue; once the worker stops it yields no more.
    """
    transport = stream.app.transport
    in_progress: InProgress = transport.in_progress
    producer = transport.producer
    async for event in stream.noack().events():
        if producer is not None:
            await producer.room()
        if in_progress.closed:
            await asyncio.Event().wait()
        if is_stale(event, stream.app):
            continue
        batch = Batch(event, in_progress)
        in_progress.take(batch)
        yield batch


def is_stale(event: Any, app: Any) -> bool:
    """Tell whether the partition of `event` is being given away, or was, while the event waited for room.

    Whoever gets the partition reads the batch again, also this worker after its seek. A rebalance stops the flow
    first, waits for the batches that were taken and commits; a batch taken after that would be answered twice.
    """
    return not app.flow_control.is_active() or event.message.generation_id != app.consumer_generation_id
