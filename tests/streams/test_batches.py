"""The order of acks and the end of work, without Kafka."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st
from mode.utils.queues import FlowControlEvent

from coalmine.streams.transport.batches import InProgress, Poll, polls
from coalmine.streams.transport.driver import BatchConsumer, waiting

PLACE = TP("requests", 0)


class Settled:
    """Faust's side of polls with one batch each: what was passed on to it."""

    def __init__(self, count: int, places: tuple[TP, ...] = (PLACE,)) -> None:
        self.offsets: list[tuple[TP, int]] = []
        self.in_progress = InProgress()
        self.batches = [self.poll({places[number % len(places)]: number}).batches[0] for number in range(count)]

    def poll(self, numbers: dict[TP, int]) -> Poll:
        """Take a poll of ten records for each place."""
        return self.in_progress.take({tp: records(number) for tp, number in numbers.items()}, self)

    def ack(self, message: Any) -> None:
        """Take what a consumer of Faust takes."""
        self.offsets.append((message.tp, message.offset))


def records(number: int) -> list[Any]:
    return [SimpleNamespace(offset=10 * number + step) for step in range(10)]


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


def test_a_poll_has_the_records_of_all_its_partitions_and_knows_when_it_came() -> None:
    other = TP("requests", 1)
    poll = Settled(0).poll({PLACE: 0, other: 7})

    assert [(batch.tp, batch.first, batch.last) for batch in poll.batches] == [(PLACE, 0, 9), (other, 70, 79)]
    assert [record.offset for record in poll.records] == [*range(10), *range(70, 80)]
    assert time.monotonic() - poll.received < 10


def test_the_ack_of_a_poll_acks_every_partition_and_waits_for_none_before_it() -> None:
    other = TP("requests", 1)
    settled = Settled(1)
    poll = settled.poll({PLACE: 1, other: 1})

    poll.ack()
    before = list(settled.offsets)
    settled.batches[0].ack()

    assert before == [(other, 19)]
    assert settled.offsets == [(other, 19), (PLACE, 9), (PLACE, 19)]


def test_draining_waits_for_open_batches_and_no_longer_than_it_may() -> None:
    async def drain() -> tuple[bool, bool]:
        settled = Settled(1)
        in_time = await settled.in_progress.drain(0.01)
        asyncio.get_running_loop().call_later(0.01, settled.batches[0].ack)
        return in_time, await settled.in_progress.drain(10)

    assert asyncio.run(drain()) == (False, True)


class Worker:
    """Faust's side of an agent: records that are there, a flow, and producers without room until `full` is cleared."""

    def __init__(self) -> None:
        self.flow = FlowControlEvent(initially_suspended=False)
        self.full = False
        self.there: dict[TP, list[Any]] = {PLACE: records(0)}
        self.in_progress = InProgress()
        producers = [SimpleNamespace(room=self.room)]
        consumer: Any = SimpleNamespace(arrival=self.arrival, take=lambda: BatchConsumer.take(consumer))
        consumer.flow_active = True
        consumer.intake = SimpleNamespace(take=self.take)
        consumer.app = self.app = SimpleNamespace(
            flow_control=self.flow, consumer=consumer,
            transport=SimpleNamespace(in_progress=self.in_progress, producers=producers),
        )  # fmt: skip

    async def arrival(self) -> bool:
        return bool(self.there)

    def take(self) -> dict[TP, list[Any]]:
        taken, self.there = self.there, {}
        return taken

    async def room(self) -> None:
        while self.full:
            await asyncio.sleep(0)


async def moments() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_poll_is_what_is_there_when_the_agent_asks() -> None:
    async def work() -> tuple[list[int], int]:
        worker = Worker()
        taking = polls(worker.app)
        first = await anext(taking)
        second = asyncio.ensure_future(anext(taking))
        await moments()
        open_meanwhile = len(worker.in_progress)
        worker.there = {PLACE: records(7)}
        return [first.batches[0].first, (await second).batches[0].first], open_meanwhile

    assert asyncio.run(work()) == ([0, 70], 1)


def test_a_backlog_that_never_ends_leaves_the_loop_to_others_between_two_polls() -> None:
    async def work() -> int:
        worker, turns = Worker(), 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.ensure_future(other())
        taking = polls(worker.app)
        for number in range(20):
            worker.there = {PLACE: records(number)}
            await anext(taking)
        beside.cancel()
        return turns

    assert asyncio.run(work()) >= 19


def test_nothing_is_taken_once_the_worker_stops() -> None:
    async def stop() -> tuple[bool, int]:
        worker = Worker()
        worker.in_progress.close()
        taking = asyncio.ensure_future(anext(polls(worker.app)))
        await moments()
        return taking.done(), len(worker.there)

    assert asyncio.run(stop()) == (False, 1)


@pytest.mark.parametrize("stop", ["the flow of the app", "the flow of the consumer"])
def test_a_batch_that_waits_for_room_while_its_partition_goes_is_left_to_whoever_gets_it(stop: str) -> None:
    async def rebalance_while_full() -> tuple[int, int]:
        worker = Worker()
        worker.full = True
        taking = asyncio.ensure_future(anext(polls(worker.app)))
        await moments()
        if stop == "the flow of the app":
            worker.flow.suspend()
        else:
            worker.app.consumer.flow_active = False
        assert await worker.in_progress.drain(0)
        worker.full = False
        await moments()
        taken_meanwhile = len(worker.in_progress)
        worker.flow.resume()
        worker.app.consumer.flow_active = True
        await taking
        return taken_meanwhile, len(worker.in_progress)

    assert asyncio.run(rebalance_while_full()) == (0, 1)


def test_the_leader_of_a_group_can_be_made_to_wait_before_it_assigns() -> None:
    assignor = SimpleNamespace(name="roundrobin", assign=lambda cluster, members: {"assigned": members})

    slow = waiting(assignor, 0.05)
    begin = time.monotonic()

    assert slow.name == "roundrobin"
    assert slow.assign(None, ["a"]) == {"assigned": ["a"]}
    assert time.monotonic() - begin >= 0.05
