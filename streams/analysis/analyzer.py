"""The process that analyzes: a tally for each rollout, and the judge of the namespace, in one event loop.

Any number of analyzers may run. The partitions of outcomes are divided among them, and one of them judges.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coalmine import __version__
from coalmine.policies import Analysis, Plan, advance

from ..control.fold import ControlFold, Folded
from ..control.heartbeat import BEAT_SECONDS, Pulse
from ..control.live import LiveWorkers
from ..kafka.client import KafkaSettings
from ..kafka.follower import TopicFollower
from ..kafka.producer import Producer
from ..kafka.topics import NamespaceTopics
from ..transport.apps import assigned
from ..wire.codec import decode_command
from ..wire.messages import Heartbeat
from ..worker import Work
from .judging import JudgeAgent
from .tally import TallyAgent

__all__ = ["AnalyzerSettings", "set_up_analyzer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzerSettings:
    """What an analyzer takes from the settings.

    `single_control` False accepts cold topics of several partitions, as the plain embedded broker has them.
    """

    kafka: KafkaSettings
    namespace: str
    leader_wait_seconds: float = 0.0
    single_control: bool = True


class Analyzer:
    """The tallies and the judge with what feeds them: control, heartbeats of the workers, a pulse."""

    def __init__(self, plans: Sequence[Plan], settings: AnalyzerSettings) -> None:
        self.topics = NamespaceTopics(settings.namespace)
        self.producer = Producer(settings.kafka)
        self.workers = LiveWorkers()
        self.fold = ControlFold(decode_command, advance, listener=self.on_control)
        single = settings.single_control
        self.control = TopicFollower(settings.kafka, self.topics.control, self.fold.fold, single=single)
        self.heartbeats = TopicFollower(settings.kafka, self.topics.workers, self.workers.hear, single=single)
        wait = settings.leader_wait_seconds
        self.judge = JudgeAgent(
            plans, self.topics, settings.kafka, self.producer, lambda: self.fold.states, self.workers,
            leader_wait_seconds=wait,
        )  # fmt: skip
        self.tallies = [
            TallyAgent(plan, self.topics, settings.kafka, self.producer, self.analysis_of(plan),
                       leader_wait_seconds=wait)
            for plan in plans
        ]  # fmt: skip
        template = Heartbeat(
            worker=f"{socket.gethostname()}-analyze-{os.getpid()}", host=socket.gethostname(), version=__version__,
            role="analyze", time="", control_offset=-1,
        )  # fmt: skip
        self.pulse = Pulse(self.send_heartbeat, self.describe, template)

    def analysis_of(self, plan: Plan) -> Callable[[], Analysis]:
        """Return a function that returns how the rollout is judged now: by the file of its last start."""

        def analysis() -> Analysis:
            current = self.fold.state(plan.name).plan
            return (current or plan).analysis

        return analysis

    async def prepare(self) -> None:
        """Read control and the heartbeats to their ends; raise BrokerError when Kafka does not answer."""
        self.control.start()
        self.heartbeats.start()
        await self.control.caught_up()
        await self.heartbeats.caught_up()
        self.workers.caught_up()

    def on_control(self, folded: Folded) -> None:
        """Let the judge hear of every record of control."""
        self.judge.hear(folded)

    def send_heartbeat(self, value: bytes, key: bytes) -> None:
        """Send a heartbeat to partition 0, where all readers look."""
        self.producer.produce(self.topics.workers, value, key, 0)

    def describe(self, heartbeat: Heartbeat) -> None:
        """Fill in what this analyzer tallies, what it has not counted yet, and how far it has read control."""
        heartbeat.control_offset = self.fold.offset - 1
        heartbeat.partitions = {tally.rollout: sorted(assigned(tally.app, tally.topic)) for tally in self.tallies}
        heartbeat.lag = {tally.rollout: tally.lag() for tally in self.tallies}

    async def beats(self) -> None:
        """Send heartbeats until cancelled, and a last one then."""
        try:
            while True:
                self.pulse.beat(time.time())
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            self.pulse.beat(time.time(), stopping=True)
            self.producer.flush(BEAT_SECONDS)

    def work(self) -> Work:
        """Return what the process runs."""
        keeping = [task for tally in self.tallies for task in (tally.keep(), tally.publish())]
        return Work(
            apps=[self.judge.app, *(tally.app for tally in self.tallies)],
            tasks=[*keeping, self.judge.judge(), self.beats(), self.control.failed(), self.heartbeats.failed()],
        )


async def set_up_analyzer(plans: Sequence[Plan], settings: AnalyzerSettings) -> Work:
    """Return the work of an analyzing process for `plans`; raise BrokerError when Kafka or a topic is missing."""
    analyzer = Analyzer(plans, settings)
    await analyzer.prepare()
    return analyzer.work()
