"""The tally agent: outcomes of one rollout into sums, each counted once, and the sums out as evidence.

Sums grow in memory, batch by batch. Twice a second the record of a partition goes to the table, once per look
interval what changed goes out as evidence. A tally that dies goes on at the offset of its record: outcomes after it
are read and counted again, into the same sums.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from faust.types import TP

from coalmine.policies import Analysis, Plan, counting_of

from ..kafka.client import KafkaSettings
from ..kafka.producer import Producer
from ..kafka.topics import NamespaceTopics, tally_app_id
from ..transport.apps import assigned, batch_agent, end_offset, make_app
from ..transport.batches import Poll
from ..transport.record_table import RecordTable
from ..transport.table_offsets import TableOffsets
from ..wire.codec import encode
from .partition_tally import PartitionTally, main_key

__all__ = ["TallyAgent"]

KEEP_SECONDS = 0.5
"""Pause between two writes of a partition's record: what a restart reads again is at most this much."""

PUBLISH_SECONDS = 0.1
"""How often it is looked whether sums are due to be published."""

GATHER_MS = 25
"""How long the broker collects outcomes for one fetch: nobody waits for sums as one waits for an answer, but what was
collected is counted in one piece. At 20,000 outcomes a second on two shared cores 200 ms made pieces of 20 ms, and
those beside waited: the answers' p99 was 107 ms, with 25 ms it was 71, for a tenth more of the analyzer's CPU."""

log = logging.getLogger(__name__)


class TallyAgent:
    """Tallies the outcomes of `plan` on the partitions that this process holds.

    Parameters
    ----------
    analysis
        Returns how the rollout is judged now: a `start` may have brought another file.
    """

    def __init__(
        self, plan: Plan, topics: NamespaceTopics, kafka: KafkaSettings, producer: Producer,
        analysis: Callable[[], Analysis], **overrides: Any,
    ) -> None:  # fmt: skip
        self.rollout = plan.name
        self.topic = plan.topics.outcomes
        self.evidence_topic = topics.evidence
        self.producer = producer
        self.analysis = analysis
        self.tallies: dict[int, PartitionTally] = {}
        self.app = make_app(
            tally_app_id(topics.namespace, plan.name), kafka, self.topic, [producer], gather_ms=GATHER_MS, **overrides
        )
        self.table = RecordTable(self.app, "tally")
        self.offsets = TableOffsets(self.app, self.topic, self.restore)
        batch_agent(self.app, self.fold)

    def restore(self, partition: int) -> int | None:
        """Take up the record of a partition; return the offset to go on at, None where nothing was recorded yet."""
        self.tallies[partition] = PartitionTally(partition, self.table)
        return self.tallies[partition].next_offset if self.table.get(main_key(partition)) else None

    async def fold(self, polls: AsyncIterator[Poll]) -> None:
        """Count the outcomes of every batch."""
        async for poll in polls:
            for batch in poll.batches:
                records = await self.offsets.take(batch)
                if records:
                    self.fold_records(batch.tp.partition, records)
                batch.ack()
            # A backlog never makes the stream wait, so nothing else would get its turn.
            await asyncio.sleep(0)

    def end_of(self, partition: int) -> int:
        """Return the end offset of a partition as of its last fetch, 0 before the first and when it was given away."""
        return end_offset(self.app, TP(self.topic, partition)) or 0

    def fold_records(self, partition: int, records: Any) -> None:
        """Count the outcomes of one partition."""
        tally = self.tallies[partition]
        before, known = tally.unreadable, len(tally.far_back)
        tally.fold(records, counting_of(self.analysis()))
        if tally.unreadable > before:
            log.warning(
                "%s/%d: %d records up to offset %d are no outcomes and were left out",
                self.topic, partition, tally.unreadable - before, tally.next_offset - 1,
            )  # fmt: skip
        for source, offset in list(tally.far_back.items())[known:]:
            log.warning(
                "%s/%d: outcomes of %s come again from offset %d on, far below what was counted, and are left out as "
                "repetitions; if that topic was deleted and made anew, its outcomes are not counted until its offsets "
                "are beyond the old ones: begin a rollout of another name",
                self.topic, partition, source, offset,
            )  # fmt: skip

    def held(self) -> list[PartitionTally]:
        """Return the tallies of the partitions this process holds now; none while the group is being divided."""
        if self.app.rebalancing:
            return []
        mine = assigned(self.app, self.topic)
        return [tally for partition, tally in self.tallies.items() if partition in mine]

    def lag(self) -> int:
        """Return how many outcomes of the partitions held are not counted yet, as of their last fetches."""
        return sum(max(0, self.end_of(tally.partition) - tally.next_offset) for tally in self.held())

    async def keep(self) -> None:
        """Write the records of the table, for ever."""
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            for tally in self.held():
                await self.keep_partition(tally)

    async def keep_partition(self, tally: PartitionTally) -> None:
        """Move what is closed to records of its own, then write the partition's record if it has news."""
        for revision in tally.closable():
            key, value = tally.closed_record(revision)
            await self.table.write(tally.partition, key, value)
            tally.close(revision, key)
        if tally.has_news:
            await self.table.write(tally.partition, main_key(tally.partition), tally.main_record())
            tally.recorded()

    async def publish(self) -> None:
        """Publish the sums that are due, for ever."""
        while True:
            await asyncio.sleep(PUBLISH_SECONDS)
            await self.publish_due(int(time.monotonic() * 1000))

    async def publish_due(self, now_ms: int) -> None:
        """Publish the sums that are due at `now_ms` of a clock that never goes back: a date may jump by years."""
        analysis = self.analysis()
        due = [tally for tally in self.held() if tally.is_due(now_ms, analysis.every_ms, analysis.clock)]
        for tally in due:
            self.publish_partition(tally, now_ms)
        if due:
            await self.producer.flushed()
        for tally in due:
            tally.published()

    def publish_partition(self, tally: PartitionTally, now_ms: int) -> None:
        """Send what changed on one partition."""
        for record in tally.publication(self.rollout, now_ms, self.end_of(tally.partition)):
            key = f"{record.rollout}/{record.revision}/{record.partition}"
            self.producer.produce(self.evidence_topic, encode(record), key.encode(), 0)
