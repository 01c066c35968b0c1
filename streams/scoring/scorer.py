"""Scoring the requests of one rollout on one worker: decode, route, ask the models, send, acknowledge.

The thin shell around `pipeline`. Stable's predictions leave before the canary is awaited; the outcomes of a batch
leave together once the whole batch is settled; only then is the batch acknowledged. A canary that takes longer than a
moment has one batch waiting while stable's answers to the next one already leave. Nothing here decides anything.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from coalmine.models import Answers, Model, answer
from coalmine.policies import ModelRef, Plan, Reference, Router, State

from ..wire.messages import Fallback
from ..wire.request_decoder import RequestDecoder
from ..wire.requests import Rejected, RequestRecord, Requests
from .guard import Guard
from .inputs import input_counts
from .pipeline import (
    NOTHING,
    Part,
    Routed,
    Settled,
    dead_letter,
    error_record,
    outcome_records,
    prediction_records,
    settle,
    split,
    timed_out,
    unanswered,
)
from .shelf import Shelf

__all__ = ["PolledBatch", "Scorer", "Serving"]

HEAD_START_SECONDS = 0.002
"""How long the canary is waited for before the next batch is taken. A call in Python and the event loop need the same
lock: side by side both become slower, and the call's measured time with them."""


class PolledBatch(Protocol):
    """What one poll brought."""

    @property
    def records(self) -> Sequence[RequestRecord]:
        """The records; those of a partition in offset order."""
        ...

    @property
    def received(self) -> float:
        """When the poll returned, a monotonic time in seconds."""
        ...

    def ack(self) -> None:
        """Let the offsets of the batch be committed once its outputs are confirmed."""
        ...


class Produce(Protocol):
    """Hands one record to the producer; a failed delivery stops the process later, never silently."""

    def __call__(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int = -1,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Serving:
    """What one batch is answered with: one revision, its router and the models it needs."""

    state: State
    plan: Plan
    router: Router
    stable: Model
    canary: Model | None
    decoder: RequestDecoder

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references the requests are held against, while an attempt with its numbers is on."""
        frozen = self.state.frozen if self.state.phase.has_attempt else None
        return frozen.references if frozen else ()

    @property
    def versions(self) -> tuple[str, str]:
        """Stable's and the canary's version; the canary's as referred to where it is not loaded."""
        if self.canary is not None:
            return self.stable.manifest.version, self.canary.manifest.version
        return self.stable.manifest.version, self.state.canary.version if self.state.canary else ""


@dataclass(frozen=True, slots=True)
class Work:
    """A batch on its way: what it is answered with and what stable said."""

    polled: PolledBatch
    serving: Serving
    batch: Requests
    routed: Routed
    stable: Settled


class Scorer:
    """Answers the requests of one rollout.

    Parameters
    ----------
    plan
        The rollout file of this process: topics, key field and bootstrap stable are its word.
    produce, produce_outcome
        Take the records that somebody waits for, and the outcomes.
    group
        The consumer group, named in dead letters.
    secret
        The routing secret of the settings.
    on_fault
        Called with an exception that ends the process: nothing is swallowed.
    """

    def __init__(
        self,
        plan: Plan,
        shelf: Shelf,
        produce: Produce,
        produce_outcome: Produce,
        guard: Guard,
        group: str,
        secret: bytes = b"",
        same_partitions: bool = True,
        on_fault: Callable[[BaseException], Awaitable[None]] | None = None,
    ) -> None:
        self.plan = plan
        self.shelf = shelf
        self.produce = produce
        self.produce_outcome = produce_outcome
        self.guard = guard
        self.group = group
        self.secret = secret
        self.same_partitions = same_partitions
        self.on_fault = on_fault
        self.serving: Serving | None = None
        self.waiting: asyncio.Task[None] | None = None
        self.canary_thread = new_thread()

    def follow(self, state: State) -> None:
        """Serve by `state` from the next batch on; ask the shelf for models that are not there yet.

        While the new stable is not loaded the former one goes on answering; a canary that is not loaded is
        answered for by stable.
        """
        stable_ref = state.stable or self.plan.stable
        refs: dict[str, ModelRef] = {"stable": stable_ref}
        if state.canary is not None and state.phase.has_attempt:
            refs["canary"] = state.canary
        if self.serving is not None and state.attempt != self.serving.state.attempt:
            self.shelf.begin_attempt(state.canary)
            self.leave_canary_thread()
        self.shelf.want(refs, time.monotonic())
        stable = self.shelf.get(stable_ref) or (self.serving.stable if self.serving else None)
        if stable is None:
            return
        canary = self.shelf.get(refs.get("canary"))
        plan = state.plan or self.plan
        manifest = canary.manifest if canary else None
        decoder = RequestDecoder(stable.manifest, manifest, self.plan.routing.key)
        self.serving = Serving(state, plan, Router.of(state, self.secret), stable, canary, decoder)
        self.guard.follow(state)

    def blocked(self, serving: Serving) -> Fallback | None:
        """Return why the canary may not be asked right now, None if it may."""
        if serving.state.canary is not None and serving.canary is None:
            return Fallback.NOT_READY
        return self.guard.blocked()

    async def accept(self, polled: PolledBatch) -> None:
        """Answer one batch; return when its successor may begin, which may be before a slow canary has answered."""
        serving = self.serving
        assert serving is not None, "scoring began before stable was loaded"
        batch = serving.decoder.read(polled.records, round(time.time() * 1000), serving.plan.request_deadline_ms)
        routed = split(batch, serving.router, self.blocked(serving))
        stable = self.ask_stable(serving, batch, routed.stable, polled.received)
        blocked = routed.blocked
        codes = {row: blocked.value for row in routed.stable.rows if routed.is_canary[row]} if blocked else None
        self.send_predictions(serving, batch, routed, stable, serving.stable, codes)
        self.send_rejected(serving, batch.rejected)
        work = Work(polled, serving, batch, routed, stable)
        await self.settle_all()
        if routed.canary.rows:
            self.waiting = asyncio.create_task(self.finish(work))
            await asyncio.wait([self.waiting], timeout=HEAD_START_SECONDS)
        else:
            self.conclude(work, NOTHING, NOTHING)

    async def finish(self, work: Work) -> None:
        """Await the canary, let stable rescue what it lost, and conclude the batch."""
        try:
            serving, batch, routed = work.serving, work.batch, work.routed
            canary = await self.ask_canary(serving, batch, routed.canary, work.polled.received)
            self.guard.observe(canary, serving.state.attempt)
            assert serving.canary is not None
            self.send_predictions(serving, batch, routed, canary, serving.canary, None)
            rescue = self.ask_stable(serving, batch, Part(sorted(canary.faults)), work.polled.received)
            self.send_predictions(serving, batch, routed, rescue, serving.stable, canary.faults)
            self.conclude(work, canary, rescue)
        except Exception as error:
            if self.on_fault is None:
                raise
            await self.on_fault(error)

    def conclude(self, work: Work, canary: Settled, rescue: Settled) -> None:
        """Send the outcomes of a settled batch and acknowledge it."""
        serving, batch = work.serving, work.batch
        self.send_rejected(serving, unanswered(batch, work.stable, rescue))
        features = input_counts(batch, work.routed, serving.references)
        records = outcome_records(
            batch, work.routed, work.stable, canary, rescue, serving.versions, self.plan.name, serving.state.revision,
            features,
        )  # fmt: skip
        topic, produce = self.plan.topics.outcomes, self.produce_outcome
        for key, value, _ in records:
            produce(topic, value, key)
        work.polled.ack()

    def ask_stable(self, serving: Serving, batch: Requests, part: Part, received: float) -> Settled:
        """Return stable's settled answers to a part, asked here and now."""
        if not part.rows:
            return NOTHING
        rows = serving.decoder.rows(batch, serving.stable.manifest, part.rows)
        answers = answer(serving.stable, rows, time.perf_counter)
        return settle(part, answers, (time.monotonic() - received) * 1000)

    async def ask_canary(self, serving: Serving, batch: Requests, part: Part, received: float) -> Settled:
        """Return the canary's settled answers, asked in its own thread within its time."""
        assert serving.canary is not None
        rows = serving.decoder.rows(batch, serving.canary.manifest, part.rows)
        budget_ms = float(serving.plan.canary_timeout_ms)
        call: Callable[[], Answers] = partial(answer, serving.canary, rows, time.perf_counter, budget_ms)
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        try:
            async with asyncio.timeout(budget_ms / 1000):
                answers = await loop.run_in_executor(self.canary_thread, call)
        except TimeoutError:
            self.leave_canary_thread()
            return timed_out(part, (time.monotonic() - began) * 1000, (time.monotonic() - received) * 1000)
        return settle(part, answers, (time.monotonic() - received) * 1000)

    def leave_canary_thread(self) -> None:
        """Ask the canary in a fresh thread from now on: a call that hangs must not hold up those behind it."""
        self.canary_thread.shutdown(wait=False)
        self.canary_thread = new_thread()

    def send_predictions(
        self,
        serving: Serving,
        batch: Requests,
        routed: Routed,
        settled: Settled,
        model: Model,
        fallback: dict[int, str] | None,
    ) -> None:
        """Send the predictions of the answered rows to the partition of their requests."""
        if not settled.values:
            return
        revision = serving.state.revision
        records = prediction_records(batch, routed, settled, model.manifest, self.plan.name, revision, fallback)
        topic, produce = self.plan.topics.predictions, self.produce
        for row, (key, value, headers) in zip(settled.values, records, strict=True):
            produce(topic, value, key, self.place(batch.records[row]), headers)

    def send_rejected(self, serving: Serving, rejected: list[Rejected]) -> None:
        """Answer rejected requests with an error record each, and keep the repairable ones as dead letters."""
        model = f"{serving.stable.manifest.name}/{serving.stable.manifest.version}"
        for item in rejected:
            key, value, headers = error_record(item, self.plan.name)
            self.produce(self.plan.topics.predictions, value, key, self.place(item.record), headers)
            if item.dead_letter:
                original_key, original, told = dead_letter(item, self.group, model)
                self.produce(self.plan.topics.dead_letters, original, original_key, -1, told)

    def place(self, record: RequestRecord) -> int:
        """Return the partition of an answer: that of its request, or by its key where the topics differ in number."""
        return record.partition if self.same_partitions else -1

    async def settle_all(self) -> None:
        """Return when no batch waits for its canary any more."""
        if (before := self.waiting) is not None:
            self.waiting = None
            await before


def new_thread() -> ThreadPoolExecutor:
    """Return a thread for calls of the canary."""
    return ThreadPoolExecutor(1, thread_name_prefix="canary")
