"""The process that scores: follows control, loads its models, then joins the group and answers.

Everything a worker needs to know is there before its first record: the whole control log is folded, stable and canary
are loaded and have passed their golden rows, and the reports of open breakers are read.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coalmine import __version__
from coalmine.errors import BrokerError, DecodeError, ModelError
from coalmine.policies import Plan, State, advance

from ..control.fold import ControlFold, Folded
from ..control.heartbeat import BEAT_SECONDS, Pulse
from ..kafka.client import KafkaSettings
from ..kafka.follower import TopicFollower
from ..kafka.producer import Producer
from ..kafka.reader import LogRecord
from ..kafka.reading import Reader
from ..kafka.topics import NamespaceTopics, score_group
from ..transport.apps import assigned, batch_agent, lag, make_app
from ..transport.batches import Poll
from ..wire.codec import decode_command, decoder
from ..wire.messages import Heartbeat
from ..worker import Work
from .guard import Guard
from .scorer import Scorer
from .shelf import Shelf

__all__ = ["ScoringSettings", "set_up_scoring", "worker_id"]

log = logging.getLogger(__name__)

decode_heartbeat = decoder(Heartbeat)

OUTCOME_LINGER_MS = 50.0
"""How long outcomes gather before they are written: nobody waits for one, and librdkafka writes each partition with a
request of its own, so at once would cost the broker more requests than the predictions do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringSettings:
    """What a scoring worker takes from the settings.

    `secret` is the routing secret; `single_control` False accepts the control topic of the plain embedded broker.
    """

    kafka: KafkaSettings
    namespace: str
    model_root: Path
    secret: bytes = b""
    leader_wait_seconds: float = 0.0
    single_control: bool = True


def partition_counts(kafka: KafkaSettings) -> dict[str, int]:
    """Return the topics of the broker with their partition counts; raise BrokerError when it does not answer."""
    reader = Reader(kafka)
    try:
        return reader.topics()
    finally:
        reader.close()


def worker_id(role: str) -> str:
    """Return an id for this process: host, role and process id."""
    return f"{socket.gethostname()}-{role}-{os.getpid()}"


class ScoringWorker:
    """One rollout's scorer with what feeds it: control, heartbeats of others, its shelf, its own pulse."""

    def __init__(self, plan: Plan, settings: ScoringSettings, same_partitions: bool) -> None:
        self.plan = plan
        self.settings = settings
        self.topics = NamespaceTopics(settings.namespace)
        self.loop = asyncio.get_running_loop()
        self.name = worker_id("score")
        self.producer = Producer(settings.kafka)
        self.outcomes = Producer(settings.kafka, OUTCOME_LINGER_MS)
        self.fold = ControlFold(decode_command, advance, listener=self.on_control)
        single = settings.single_control
        self.control = TopicFollower(settings.kafka, self.topics.control, self.fold.fold, single=single)
        self.workers = TopicFollower(settings.kafka, self.topics.workers, self.on_heartbeat, single=single)
        self.shelf = Shelf(settings.model_root, self.on_load)
        group = score_group(settings.namespace, plan.name)
        self.guard = Guard(plan.name, self.name, self.control.silence, self.beat)
        self.scorer = Scorer(
            plan, self.shelf, self.producer.produce, self.outcomes.produce, self.guard, group, settings.secret,
            same_partitions, self.on_fault,
        )  # fmt: skip
        template = Heartbeat(
            worker=self.name, host=socket.gethostname(), version=__version__, role="score", time="", control_offset=0
        )
        self.pulse = Pulse(self.send_heartbeat, self.describe, template)
        self.app: Any = None

    @property
    def state(self) -> State:
        """The state of the rollout as far as control was followed."""
        return self.fold.state(self.plan.name)

    async def prepare(self) -> None:
        """Read control and the reports of others to their ends, and load what the state asks for.

        Raises BrokerError when Kafka does not answer, ModelError when stable cannot serve here. A canary that cannot
        be loaded is reported in the heartbeat and answered for by stable.
        """
        self.control.start()
        self.workers.start()
        await self.control.caught_up()
        await self.workers.caught_up()
        state = await self.load_models()
        if state.stable is not None and state.stable.uri != self.plan.stable.uri:
            log.warning(
                "rollout %s: the file says stable is %s; control says %s, which counts",
                self.plan.name, self.plan.stable.uri, state.stable.uri,
            )  # fmt: skip
        self.scorer.follow(state)
        self.guard.adopt()

    async def load_models(self) -> State:
        """Load what the state asks for and return that state; loading takes seconds, and control may move on."""
        while True:
            state = self.state
            stable = state.stable or self.plan.stable
            await self.loop.run_in_executor(self.shelf.loader, self.shelf.load_now, stable)
            if state.canary is not None and state.phase.has_attempt:
                try:
                    await self.loop.run_in_executor(self.shelf.loader, self.shelf.load_now, state.canary)
                except ModelError as error:
                    log.warning("rollout %s: the canary is not loaded: %s", self.plan.name, error)
            if self.state == state:
                return state

    def make_app(self) -> Any:
        """Return the Faust app whose agent scores."""
        settings = self.settings
        self.app = make_app(
            self.scorer.group, settings.kafka, self.plan.topics.requests, [self.producer, self.outcomes],
            leader_wait_seconds=settings.leader_wait_seconds,
        )  # fmt: skip
        batch_agent(self.app, self.score)
        self.app.on_partitions_assigned.connect(self.on_assigned, weak=False)
        return self.app

    async def on_assigned(self, app: Any, assigned: Any, **_: Any) -> None:
        """Say that work can begin, for people and for whoever waits for this worker."""
        held = sorted(tp.partition for tp in assigned if tp.topic == self.plan.topics.requests)
        log.info("ready: %s holds partitions %s at revision %d", self.scorer.group, held, self.state.revision)
        self.beat()

    async def score(self, polls: AsyncIterator[Poll]) -> None:
        """Answer poll after poll."""
        async for poll in polls:
            await self.scorer.accept(poll)

    async def on_fault(self, error: BaseException) -> None:
        """End the process: a fault outside the agent's own body must not pass unseen."""
        await self.app.crash(error)

    def on_control(self, folded: Folded) -> None:
        """Serve by a new state of our rollout and confirm it; before the first serving `prepare` does so."""
        if folded.after is not None and folded.after.rollout == self.plan.name and self.scorer.serving is not None:
            self.scorer.follow(folded.after)
            self.beat()

    def on_heartbeat(self, record: LogRecord) -> None:
        """Hear what other workers report; what is no heartbeat is nobody's."""
        if record.value is None:
            return
        try:
            self.guard.hear(decode_heartbeat(record.value))
        except DecodeError as error:
            log.warning("%s@%d is no heartbeat: %s", self.topics.workers, record.offset, error.message)

    def on_load(self) -> None:
        """Serve with what the loader's thread has just brought, and say so."""
        self.loop.call_soon_threadsafe(self.refresh)

    def refresh(self) -> None:
        """Take up the models that are loaded by now and tell the judge; a fault ends the process."""
        if self.scorer.serving is None:
            return
        try:
            self.scorer.follow(self.state)
            self.beat()
        except Exception as error:  # noqa: BLE001 - the loop would only log it and go on with the old models
            self.loop.create_task(self.on_fault(error))

    def send_heartbeat(self, value: bytes, key: bytes) -> None:
        """Send a heartbeat to partition 0, where all readers look."""
        self.producer.produce(self.topics.workers, value, key, 0)

    def describe(self, heartbeat: Heartbeat) -> None:
        """Fill in what this worker holds, has loaded, has cut and has read."""
        topic = self.plan.topics.requests
        name = self.plan.name
        heartbeat.control_offset = self.fold.offset - 1
        heartbeat.partitions = {name: sorted(assigned(self.app, topic))} if self.app else {}
        heartbeat.lag = {name: sum(lag(self.app, topic).values())} if self.app else {}
        heartbeat.models = {name: self.shelf.report()}
        heartbeat.breakers = [self.guard.open] if self.guard.open else []

    def beat(self, stopping: bool = False) -> None:
        """Send a heartbeat now."""
        self.pulse.beat(time.time(), stopping)

    async def beats(self) -> None:
        """Send heartbeats until cancelled, and a last one then; ask again for models that could not be reached."""
        try:
            while True:
                self.beat()
                await asyncio.sleep(BEAT_SECONDS)
                self.shelf.want(self.shelf.wanted, time.monotonic())
        finally:
            self.beat(stopping=True)
            self.producer.flush(BEAT_SECONDS)


async def set_up_scoring(plan: Plan, settings: ScoringSettings) -> Work:
    """Return the work of a scoring process.

    Raises BrokerError when Kafka does not answer or a topic is missing, ModelError when stable cannot serve.
    """
    partitions = await asyncio.get_running_loop().run_in_executor(None, partition_counts, settings.kafka)
    needed = (plan.topics.requests, plan.topics.predictions, plan.topics.outcomes, plan.topics.dead_letters)
    if missing := [topic for topic in needed if topic not in partitions]:
        raise BrokerError(f"topic {missing[0]} does not exist; run `coalmine topics apply` with the rollout file")
    same = partitions[plan.topics.requests] == partitions[plan.topics.predictions]
    worker = ScoringWorker(plan, settings, same)
    await worker.prepare()
    app = worker.make_app()
    return Work(apps=[app], tasks=[worker.beats(), worker.control.failed(), worker.workers.failed()])
