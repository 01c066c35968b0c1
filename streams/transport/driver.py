"""Faust's Kafka transport, changed where batches, at-least-once delivery or tables would break.

Faust's consumer thread stays: it fetches, keeps the membership of the group while the event loop is busy, and commits.
Each override here is needed; what happens without it was measured and is said beside it. They lean on private parts of
faust-streaming 0.15, so its minor version is pinned by the tests on a real Kafka.

Commit of a batch: `Batch.ack` notes its last offset; the next tick flushes both producers, then commits the highest
noted offset + 1. The body of an agent works a partition in order, so nothing below that offset is open.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from yarl import URL

from ..kafka.producer import Producer as OutputProducer
from .batches import Fetched, InProgress, PollMessage

__all__ = ["BatchTransport", "SeekHook", "TransportOptions"]

SeekHook = Callable[[Any], Awaitable[None]]
"""Called with Faust's consumer whenever it has sought its partitions to the committed offsets."""

REVOKE_SECONDS = 2.0
"""How long a rebalance waits for open batches; longer would hold up the whole group."""

REBALANCE_POLL_SECONDS = 0.1
"""Limit of one poll during a rebalance: at Faust's 1 s the first record after a recovery comes a second late."""


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """Waits that differ between brokers and apps.

    `fetch_wait_ms`: how long the broker may hold a fetch with less than `fetch_min_bytes` to return.
    `leader_wait_seconds`: how long the leader of a group waits before it assigns partitions; the embedded broker
    forgets members that sync after it.
    """

    fetch_wait_ms: int
    leader_wait_seconds: float = 0.0
    fetch_min_bytes: int = 1


class BatchConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # Faust is untyped here
    """Faust's consumer thread with waits that Faust hard-codes."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        options: TransportOptions = transport.options
        consumer._fetch_max_wait_ms = options.fetch_wait_ms
        consumer._fetch_min_bytes = options.fetch_min_bytes
        if options.leader_wait_seconds:
            assignors = consumer._partition_assignment_strategy
            consumer._partition_assignment_strategy = [waiting(a, options.leader_wait_seconds) for a in assignors]
        return consumer


def waiting(assignor: Any, seconds: float) -> Any:
    """Return `assignor` with a wait before it assigns; it runs in the consumer's thread, the event loop goes on."""

    class Waiting:
        def __getattr__(self, name: str) -> Any:
            return getattr(assignor, name)

        def assign(self, cluster: Any, members: Any) -> Any:
            time.sleep(seconds)
            return assignor.assign(cluster, members)

    return Waiting()


class BatchConsumer(driver.Consumer):  # type: ignore[misc] # Faust is untyped here
    """Faust's consumer, with one message a poll for each hot topic."""

    transport: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.hot: frozenset[str] = self.transport.hot_topics

    def _new_consumer_thread(self) -> Any:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        # Faust hands out its live set. When a recovery ends it empties that set under a poll in flight, aiokafka
        # takes an empty set as "all", and up to 1000 records are read and dropped: hence the copy.
        if active_partitions is not None:
            active_partitions = frozenset(active_partitions)
        if self.app.rebalancing:
            timeout = min(timeout, REBALANCE_POLL_SECONDS)
        polled = await super()._getmany(active_partitions, timeout)
        return {**{tp: found for tp, found in polled.items() if tp.topic not in self.hot}, **self._gathered(polled)}

    def _gathered(self, polled: Mapping[Any, Sequence[Any]]) -> dict[Any, list[Fetched]]:
        """Return one `Fetched` for each hot topic, under the first of its partitions.

        One for each partition cost Faust, the models and the canary's thread their fixed price four times a poll: at
        20,000 requests a second over four partitions the median answer took 28 ms.
        """
        topics: dict[str, dict[TP, Sequence[Any]]] = {}
        for tp, found in polled.items():
            if found and tp.topic in self.hot:
                topics.setdefault(tp.topic, {})[TP(*tp)] = found
        return {next(iter(parts)): [Fetched(parts)] for parts in topics.values()}

    def _to_message(self, tp: Any, record: Any) -> Any:
        if type(record) is not Fetched:
            return super()._to_message(tp, record)
        value: Any = record
        for place, records in value.parts.items():
            self._read_offset[place] = records[-1].offset  # Faust does so for the one place it knows
        return PollMessage(
            tp.topic, tp.partition, value.parts[tp][-1].offset, time.time(), 0, [], None, value, None, 0, 0,
            TP(*tp), generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    def on_buffer_full(self, tp: TP) -> None:
        """Keep hot partitions active when their queue of batches is full: the fetch loop waits for a place anyway.

        Faust would take the partition out of the set it polls, and with the set empty it sleeps a whole second while
        the few batches in the queue take milliseconds: 100,000 records of one partition took 23 s instead of 6 s.
        """
        if tp.topic not in self.hot:
            super().on_buffer_full(tp)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        # Between the last offsets of two batches there is no gap, there is the second batch.
        if tp.topic not in self.hot:
            await super()._add_gap(tp, offset_from, offset_to)

    def _new_offset(self, tp: TP) -> int | None:
        # Stock bookkeeping takes a batch for a hole and stands still until a restart: 42,067 of 87,015 duplicated.
        if tp.topic not in self.hot:
            offset: int | None = super()._new_offset(tp)
            return offset
        acked = self._acked[tp]
        if not acked:
            return None
        last: int = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return last + 1

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish and commit what is in progress before the partitions go.

        Faust forgets the acks first and then commits nothing: 754 duplicates at the clean stop of another worker.
        """
        if revoked and not self.app.should_stop:
            self.stop_flow()
            self.app.flow_control.suspend()
            self.app.flow_control.clear()
            await self.transport.in_progress.drain(REVOKE_SECONDS)
            try:
                await self.maybe_wait_for_commit_to_finish()
                await self.commit()
            except Exception as error:  # noqa: BLE001 - a lost delivery stays in the producer and ends the worker
                self.log.warning("commit before giving up partitions failed: %r", error)
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, and to the beginning where none is; then call the seek hooks.

        aiokafka leaves partitions without a committed offset where they are, so records that a poll brought and
        Faust dropped while its flow was stopped would never come back.
        """
        await super().perform_seek()
        fresh = [tp for tp in self.assignment() if tp.topic in self.hot and not self._committed_offset[tp]]
        if fresh:
            await self._thread.seek_to_beginning(*driver.ensure_aiokafka_TPset(fresh))
        for seek in self.transport.seek_hooks:
            await seek(self)


class BatchProducer(driver.Producer):  # type: ignore[misc] # Faust is untyped here
    """Faust's producer (changelogs of tables); its flush, which every commit awaits, covers librdkafka's too."""

    transport: Any

    async def flush(self) -> None:
        """Wait until all outputs are confirmed; raise DeliveryError for ever once one was lost."""
        await super().flush()
        await asyncio.gather(*(producer.flushed() for producer in self.transport.producers))


class BatchTransport(driver.Transport):  # type: ignore[misc] # Faust is untyped here
    """The transport of one app: its hot topics, its producers and its open batches.

    `hot_topics` come as batches, all others (changelogs) as Faust's own messages. `seek_hooks` are those of tables.
    """

    Consumer = BatchConsumer
    Producer = BatchProducer

    def __init__(
        self,
        brokers: Sequence[str],
        app: Any,
        *,
        hot_topics: frozenset[str],
        producers: Sequence[OutputProducer],
        options: TransportOptions,
    ) -> None:
        super().__init__([URL(f"kafka://{broker}") for broker in brokers], app, loop=None)
        self.hot_topics = hot_topics
        self.producers = producers
        self.options = options
        self.in_progress = InProgress()
        self.seek_hooks: list[SeekHook] = []
