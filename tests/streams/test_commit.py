"""The last commit of a worker that stops covers every ack before it, whatever commit is on its way."""

import asyncio
from types import SimpleNamespace

import pytest
from faust.transport.drivers import aiokafka as driver

from coalmine.streams.transport.driver import BatchConsumer


class Committing(BatchConsumer):
    """A consumer whose commits take what is acked when they begin and last until `confirmed`."""

    def __init__(self) -> None:
        self.app = SimpleNamespace(client_only=False)
        self.loop = asyncio.get_running_loop()
        self._commit_fut = None
        self.acked = 0
        self.committed = 0
        self.began = asyncio.Event()
        self.confirmed = asyncio.Event()

    async def force_commit(self, topics: object = None, start_new_transaction: bool = True) -> bool:
        offset = self.acked
        self.began.set()
        await self.confirmed.wait()
        self.committed = offset
        return True


async def stop_during_a_commit() -> int:
    """Return what is committed after a stop that began while an older commit was on its way."""
    consumer = Committing()
    consumer.acked = 10
    periodic = asyncio.ensure_future(consumer.commit())
    await consumer.began.wait()
    consumer.acked = 23
    stop = asyncio.ensure_future(consumer.commit_and_end_transactions())
    asyncio.get_running_loop().call_soon(consumer.confirmed.set)
    await asyncio.gather(periodic, stop)
    return consumer.committed


def test_what_is_acked_during_a_commit_is_committed_by_the_stop() -> None:
    assert asyncio.run(stop_during_a_commit()) == 23


def test_faust_s_own_stop_would_leave_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatchConsumer, "commit_and_end_transactions", driver.Consumer.commit_and_end_transactions)

    assert asyncio.run(stop_during_a_commit()) == 10
