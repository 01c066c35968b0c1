"""Exactly once into a table: where an agent with a table reads on, whatever the group committed.

Faust restores a table from its changelog and then reads on from the group's committed offset, which is older or newer
than the table; between the end of the recovery and its seek it also delivers records twice or not at all. Measured
over 14 restarts with a backlog, the counts of every partition were wrong. So the record of a partition in the table
carries the offset to read next, and that alone decides:

- after every rebalance the partition is sought to the offset in its record;
- records below the offset expected are dropped, they are in the table;
- a batch that begins above it is not folded: the partition is sought back. If the same offset comes again, nothing is
  there to read (a transaction's marker, compaction, expired records): then it is a hole, and reading goes on.

Whatever process wrote a record of the table, its sums and its offset belong together, so continuing there is exact.

    offsets = TableOffsets(app, "flights.outcomes", restore)
    async for batch in batches:
        for record in await offsets.take(batch):
            ...fold record...               # no await between take and the end of the fold
        batch.ack()                         # a hint only: it shows the lag
"""

import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

from faust.transport.drivers.aiokafka import ensure_aiokafka_TP
from faust.types import TP

from .batches import Batch

__all__ = ["Restore", "TableOffsets"]

Restore = Callable[[int], int | None]
"""Called for each partition held, after every rebalance: forget what is in memory of the partition, take up its record
of the table, and return the next offset it names; None when the table has no record of the partition."""

log = logging.getLogger(__name__)


class TableOffsets:
    """The next offset to fold of every partition of `topic` that this process holds.

    Made once, before the app starts; `restore` must be safe to call twice.
    """

    def __init__(self, app: Any, topic: str, restore: Restore) -> None:
        self.topic = topic
        self._app = app
        self._restore = restore
        self._next: dict[int, int] = {}
        self._sought_back: dict[int, int] = {}
        app.transport.seek_hooks.append(self.seek)

    def next_offset(self, partition: int) -> int | None:
        """Return the offset to fold next, None for a partition that is not held."""
        return self._next.get(partition)

    async def seek(self, consumer: Any) -> None:
        """Seek every partition held to the offset of its record in the table, or to its first record without one."""
        self._next = {}  # whatever is still under way from before folds into nothing
        held = [ensure_aiokafka_TP(tp) for tp in consumer.assignment() if tp.topic == self.topic]
        stored = {tp: self._restore(tp.partition) for tp in held}
        unknown = [tp for tp, offset in stored.items() if offset is None]
        first = await consumer.earliest_offsets(*unknown) if unknown else {}
        targets = {tp: first[tp] if offset is None else offset for tp, offset in stored.items()}
        self._next = {tp.partition: offset for tp, offset in targets.items()}
        self._sought_back = {}
        if targets:
            await consumer.seek_wait({TP(*tp): offset for tp, offset in targets.items()})

    async def take(self, batch: Batch) -> Sequence[Any]:
        """Return the records of the batch to fold now, in order; none when they are folded already or come too soon."""
        partition = batch.tp.partition
        expected = self._next.get(partition)
        if expected is None:
            return ()
        if batch.first > expected and not self._is_hole(batch, expected):
            self._sought_back[partition] = batch.first
            await self._app.consumer.seek_wait({batch.tp: expected})
            return ()
        start = bisect_left(batch.records, expected, key=lambda record: record.offset)
        self._next[partition] = max(expected, batch.last + 1)
        return batch.records[start:]

    def _is_hole(self, batch: Batch, expected: int) -> bool:
        if self._sought_back.get(batch.tp.partition) != batch.first:
            log.warning("%s: offset %d came, %d is next: seeking back", batch.tp, batch.first, expected)
            return False
        log.warning("%s: offsets %d to %d do not exist; reading on", batch.tp, expected, batch.first - 1)
        return True
