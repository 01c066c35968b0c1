"""The order of acks and the end of work, without Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st
from mode.utils.queues import FlowControlEvent

from coalmine.streams.batches import Batch, Fetched, InProgress, batches
from coalmine.streams.transport import waiting

PLACE = TP("requests", 0)


class Settled:
    """Faust's side of batches: what was passed on to it."""

    def __init__(self, count: int, places: tuple[TP, ...] = (PLACE,)) -> None:
        self.offsets: list[tuple[TP, int]] = []
        self.in_progress = InProgress()
        self.batches = [self.batch(places[number % len(places)], number) for number in range(count)]

    def batch(self, tp: TP, number: int) -> Batch:
        fetched = Fetched([SimpleNamespace(offset=10 * number + step) for step in range(10)])
        last = fetched.records[-1].offset
        message = SimpleNamespace(value=fetched, tp=tp, settle=lambda consumer: self.offsets.append((tp, last)))
        event: Any = SimpleNamespace(message=message, app=SimpleNamespace(consumer=None))
        made = Batch(event, self.in_progress)
        self.in_progress.take(made)
        return made


@given(st.permutations(range(6)))
def test_acks_in_any_order_are_passed_on_in_the_order_of_the_offsets(order: list[int]) -> None:
    settled = Settled(6)

    for number in order:
        settled.batches[number].ack()

    assert [offset for _, offset in settled.offsets] == [9, 19, 29, 39, 49, 59]
    assert len(settled.in_progress) == 0


def test_an_open_batch_holds_back_all_later_ones_of_its_partition_only() -> None:
    other = TP("requests", 1)
    settled = Settled(4, (PLACE, other))

    for batch in settled.batches[1:]:
        batch.ack()

    assert settled.offsets == [(other, 19), (other, 39)]
    assert len(settled.in_progress) == 2


def test_a_second_ack_does_nothing() -> None:
    settled = Settled(2)

    settled.batches[0].ack()
    settled.batches[0].ack()

    assert settled.offsets == [(PLACE, 9)]


def test_a_batch_knows_its_place_and_when_it_came() -> None:
    (batch,) = Settled(1).batches

    assert (batch.tp, batch.first, batch.last, len(batch.records)) == (PLACE, 0, 9, 10)
    assert time.monotonic() - batch.received < 10


def test_draining_waits_for_open_batches_and_no_longer_than_it_may() -> None:
    async def drain() -> tuple[bool, bool]:
        settled = Settled(1)
        in_time = await settled.in_progress.drain(0.01)
        asyncio.get_running_loop().call_later(0.01, settled.batches[0].ack)
        return in_time, await settled.in_progress.drain(10)

    assert asyncio.run(drain()) == (False, True)


class Waiting:
    """A stream of batches of generation 1 whose consumer waits for room until `full` is cleared."""

    def __init__(self) -> None:
        self.flow = FlowControlEvent(initially_suspended=False)
        self.full = False
        self.in_progress = InProgress()
        producer = SimpleNamespace(room=self.room)
        self.app = SimpleNamespace(
            flow_control=self.flow, consumer_generation_id=1, consumer=None,
            transport=SimpleNamespace(in_progress=self.in_progress, producer=producer),
        )  # fmt: skip
        self.queue: asyncio.Queue[Any] = asyncio.Queue()

    async def room(self) -> None:
        while self.full:
            await asyncio.sleep(0)

    def arrive(self, first: int, generation: int) -> None:
        message = SimpleNamespace(
            value=Fetched([SimpleNamespace(offset=first)]), tp=PLACE, generation_id=generation, settle=lambda _: None
        )
        self.queue.put_nowait(SimpleNamespace(message=message, app=self.app))

    def noack(self) -> "Waiting":
        return self

    async def events(self) -> AsyncIterator[Any]:
        while True:
            yield await self.queue.get()

    async def give_away(self) -> None:
        """Do what a rebalance does before the partitions go; a batch in progress would make it wait in vain."""
        self.flow.suspend()
        assert await self.in_progress.drain(0)

    def take_back(self) -> None:
        self.app.consumer_generation_id += 1
        self.flow.resume()


def test_a_batch_that_waits_for_room_while_its_partition_goes_is_left_to_whoever_gets_it() -> None:
    async def rebalance_while_full() -> tuple[int, int]:
        stream = Waiting()
        stream.full = True
        stream.arrive(0, generation=1)
        taking = asyncio.ensure_future(anext(batches(stream)))
        await asyncio.sleep(0)
        await stream.give_away()
        stream.full = False
        for _ in range(10):
            await asyncio.sleep(0)
        taken_meanwhile = len(stream.in_progress)
        stream.take_back()
        stream.arrive(0, generation=2)
        await taking
        return taken_meanwhile, len(stream.in_progress)

    assert asyncio.run(rebalance_while_full()) == (0, 1)


def test_the_leader_of_a_group_can_be_made_to_wait_before_it_assigns() -> None:
    assignor = SimpleNamespace(name="roundrobin", assign=lambda cluster, members: {"assigned": members})

    slow = waiting(assignor, 0.05)
    begin = time.monotonic()

    assert slow.name == "roundrobin"
    assert slow.assign(None, ["a"]) == {"assigned": ["a"]}
    assert time.monotonic() - begin >= 0.05
