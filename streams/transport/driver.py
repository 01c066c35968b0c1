"""Faust's Kafka transport, changed where batches, at-least-once delivery or tables would break.

Faust's consumer thread stays: it keeps the membership of the group while the event loop is busy, commits, and fetches
changelogs. The hot topic is fetched by the `intake`, from the offsets that Faust seeks to, and the agent takes its
records there: as an event of Faust a poll costs half a millisecond more.
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
from ..kafka.reader import BEGINNING
from .batches import InProgress
from .intake import Intake, Record
from .membership import Membership

__all__ = ["BatchTransport", "SeekHook", "TransportOptions"]

SeekHook = Callable[[Any], Awaitable[None]]
"""Called with Faust's consumer whenever it has sought its partitions to the committed offsets."""

REVOKE_SECONDS = 2.0
"""How long a rebalance waits for open batches; longer would hold up the whole group."""

REBALANCE_POLL_SECONDS = 0.1
"""Limit of one round of Faust's fetch loop during a rebalance, and while there is no changelog to poll: at Faust's 1 s
the first record after a recovery comes a second late."""

ARRIVAL_SECONDS = 0.1
"""Longest wait for a record of the hot topic; a change of positions meanwhile takes effect after it."""

MEMBERSHIP_SECONDS = 1.0
"""How often it is looked whether the membership goes on."""


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """Waits that differ between brokers.

    `fetch_wait_ms`: how long the broker may hold a fetch of changelogs with nothing to return.
    `leader_wait_seconds`: how long the leader of a group waits before it assigns partitions; the embedded broker
    forgets members that sync after it.
    """

    fetch_wait_ms: int
    leader_wait_seconds: float = 0.0


class BatchConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # Faust is untyped here
    """Faust's consumer thread with waits that Faust hard-codes; it fetches changelogs only."""

    transport: Any

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        options: TransportOptions = transport.options
        consumer._fetch_max_wait_ms = options.fetch_wait_ms
        if options.leader_wait_seconds:
            assignors = consumer._partition_assignment_strategy
            consumer._partition_assignment_strategy = [waiting(a, options.leader_wait_seconds) for a in assignors]
        return consumer

    async def on_start(self) -> None:
        """Connect, and leave the hot topic to the intake."""
        await super().on_start()
        consumer: Any = self._consumer
        leave_alone(consumer._fetcher, self.transport.hot_topic)


def leave_alone(fetcher: Any, topic: str) -> None:
    """Keep aiokafka's fetcher from fetching `topic`: the intake does. It goes on finding the committed offsets."""
    actions = fetcher._get_actions_per_node

    def actions_without_topic(assignment: Any) -> Any:
        for tp in assignment.tps:
            if tp.topic == topic:
                assignment.state_value(tp).pause()
        return actions(assignment)

    fetcher._get_actions_per_node = actions_without_topic


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
    """Faust's consumer; the records of the hot topic go past its fetch loop, from `intake` to whoever takes them."""

    transport: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.hot: str = self.transport.hot_topic
        self.intake = Intake(self.transport.intake, self.app.conf.id, self._forget)

    def _new_consumer_thread(self) -> Any:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        # Faust hands out its live set. When a recovery ends it empties that set under a poll in flight, aiokafka
        # takes an empty set as "all", and up to 1000 records are read and dropped: hence the copy.
        cold = {tp for tp in active_partitions if tp.topic != self.hot}
        if self.app.rebalancing or not cold:
            timeout = min(timeout, REBALANCE_POLL_SECONDS)
        polled: Any = {}
        if cold:
            polled = await super()._getmany(cold, timeout)
        else:
            await asyncio.sleep(timeout)
        if not self.flow_active:
            # Faust would seek to the committed offsets now, maybe after the recovery did and the agent has read on.
            await self.wait(self.can_resume_flow.wait())
            return {}
        return polled

    async def arrival(self) -> bool:
        """Wait a moment for records of the hot topic, or until Faust lets them flow; tell whether there are some."""
        await self.app.flow_control.acquire()
        if not self.flow_active:
            await self.can_resume_flow.wait()
        aiokafka: Any = self._thread._consumer
        with aiokafka._subscription.fetch_context():
            pass  # tells aiokafka that somebody still polls; it would leave the group after broker_max_poll_interval
        active = frozenset(tp for tp in self._get_active_partitions() if tp.topic == self.hot)
        return await self.intake.arrival(active, ARRIVAL_SECONDS)

    async def membership(self) -> None:
        """Raise BrokerError when the membership in the group is lost or disputed; otherwise never return.

        It may be lost while the flow is stopped, so `arrival` would not hear of it.
        """
        membership = Membership(self.app.conf.consumer_group_instance_id)
        while True:
            await asyncio.sleep(MEMBERSHIP_SECONDS)
            aiokafka: Any = self._thread._consumer
            membership.check(aiokafka._coordinator, time.monotonic())

    def take(self) -> dict[TP, list[Record]]:
        """Return the records of the hot topic that are there, none while partitions are given away.

        Whoever gets a partition reads them again, also this worker after its seek. A rebalance stops the flow first,
        waits for the batches that were taken and commits; a batch taken after that would be answered twice.
        """
        if self.flow_active and self.app.flow_control.is_active():
            return self.intake.take()
        return {}

    def highwater(self, tp: TP) -> Any:
        """Return the end offset of a partition as of its last fetch, None before it."""
        return self.intake.end(tp) if tp.topic == self.hot else super().highwater(tp)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Look whether a partition is still fetched; of the hot topic aiokafka knows nothing."""
        if tp.topic != self.hot:
            super().verify_event_path(now, tp)

    async def seek_to_committed(self) -> Any:
        """Seek to the committed offsets, and to the beginning where none is; return what is committed.

        aiokafka leaves partitions without a committed offset where they are. Faust seeks again after a rebalance; an
        answer from before it must not undo that.
        """
        generation = self.app.consumer_generation_id
        committed = await super().seek_to_committed()
        if generation == self.app.consumer_generation_id:
            self._move({tp: offset or BEGINNING for tp, offset in committed.items()})
        return committed

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek partitions to offsets."""
        await super().seek_wait(partitions)
        self._move(partitions)

    async def _seek(self, partition: TP, offset: int) -> None:
        await super()._seek(partition, offset)
        self._move({partition: offset})

    def _move(self, partitions: Mapping[TP, int]) -> None:
        if hot := {TP(*tp): offset for tp, offset in partitions.items() if tp.topic == self.hot}:
            self.intake.seek(hot)

    def _forget(self, tp: TP) -> None:
        """Let offsets below the committed one be committed again: the records behind it are gone."""
        self._committed_offset[tp] = None

    def _new_offset(self, tp: TP) -> int | None:
        # Stock bookkeeping takes a batch for a hole and stands still until a restart: 42,067 of 87,015 duplicated.
        if tp.topic != self.hot:
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
                await self.commit_and_end_transactions()
            except Exception as error:  # noqa: BLE001 - a lost delivery stays in the producer and ends the worker
                self.log.warning("commit before giving up partitions failed: %r", error)
        self.intake.release()
        await super().on_partitions_revoked(revoked)

    async def commit_and_end_transactions(self) -> None:
        """Commit all that was acked so far: a worker stops, or gives partitions up.

        Faust takes a commit that is in progress for this one; it may have begun before the last acks: 13 duplicates
        in ten clean stops.
        """
        while await self.maybe_wait_for_commit_to_finish():
            pass
        await self.commit()

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, then call the seek hooks."""
        await super().perform_seek()
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
    """The transport of one app: its hot topic, its producers and its open batches.

    `hot_topic` comes as batches, all others (changelogs) as Faust's own messages. `seek_hooks` are those of tables.
    """

    Consumer = BatchConsumer
    Producer = BatchProducer

    def __init__(
        self,
        brokers: Sequence[str],
        app: Any,
        *,
        hot_topic: str,
        producers: Sequence[OutputProducer],
        options: TransportOptions,
        intake: Mapping[str, Any],
    ) -> None:
        super().__init__([URL(f"kafka://{broker}") for broker in brokers], app, loop=None)
        self.hot_topic = hot_topic
        self.producers = producers
        self.options = options
        self.intake = intake
        self.in_progress = InProgress()
        self.seek_hooks: list[SeekHook] = []
