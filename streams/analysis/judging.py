"""The judge agent: reads evidence, looks, decides, answers commands. The only writer of looks, events and rollouts.

Exactly one judge is in charge, because the topic of evidence has one partition. Whoever gets it takes up the table
and reads all evidence again: it is cumulative and compacted, so the newest sums of everything are there, and the
table needs none of them. What a look decided is in the table before anybody hears of it; a decision changes nothing
until the command that it became is read back from the log.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from coalmine.errors import DecodeError
from coalmine.policies import Plan, State, initial

from ..control.fold import Folded
from ..control.live import LiveWorkers
from ..kafka.client import KafkaSettings
from ..kafka.end_offsets import EndOffsetReader
from ..kafka.producer import Producer
from ..kafka.topics import NamespaceTopics, judge_app_id
from ..transport.apps import assigned, batch_agent, make_app
from ..transport.batches import Poll
from ..transport.record_table import RecordTable
from ..transport.table_offsets import TableOffsets
from ..wire.codec import decoder, encode
from ..wire.messages import Event, Evidence
from .evidence import check
from .looking import answers
from .rollout_judge import Move, RolloutJudge, Surroundings

__all__ = ["JudgeAgent"]

TICK_SECONDS = 0.05
"""How often the judge looks at the clock, the log and the evidence."""

ENDS_SECONDS = 1.0
"""How often the end offsets of outcomes are asked for."""

VIEW_SECONDS = 3.0
"""The view of a rollout is published at least this often, or at once when it changed."""

ANSWERED = "#answered"
"""The key under which the table holds the control offset up to which commands were answered; no rollout has it."""

decode_evidence = decoder(Evidence)

log = logging.getLogger(__name__)


class JudgeAgent:
    """Judges all rollouts of the namespace while this process holds the partition of evidence.

    Parameters
    ----------
    plans
        The rollout files of this process: rollouts that were never started are shown, too.
    states
        Returns the fold of the control log now.
    workers
        What the scoring workers say of themselves.
    """

    def __init__(
        self, plans: Sequence[Plan], topics: NamespaceTopics, kafka: KafkaSettings, producer: Producer,
        states: Callable[[], Mapping[str, State]], workers: LiveWorkers, **overrides: Any,
    ) -> None:  # fmt: skip
        self.plans = {plan.name: plan for plan in plans}
        self.topics = topics
        self.producer = producer
        self.states = states
        self.workers = workers
        self.judges: dict[str, RolloutJudge] = {}
        self.unanswered: deque[tuple[int, tuple[Event, ...]]] = deque()
        self.answered = -1
        self.reign = 0
        self.shown: dict[str, tuple[float, object]] = {}
        self.end_offsets = EndOffsetReader(kafka)
        self.ends: dict[str, tuple[float, Mapping[int, int]]] = {}
        self.asking = ThreadPoolExecutor(1, thread_name_prefix="ends")
        self.app = make_app(judge_app_id(topics.namespace), kafka, topics.evidence, [producer], **overrides)
        self.table = RecordTable(self.app, "judge")
        TableOffsets(self.app, topics.evidence, self.take_over)
        batch_agent(self.app, self.gather)

    def take_over(self, partition: int) -> None:
        """Begin a reign: take up the table; return None, so that evidence is read from its first record."""
        if partition != 0:
            return
        self.reign += 1
        self.judges = {}
        for key, value in self.table.items():
            if key == ANSWERED:
                self.answered = int(value)
            else:
                self.judge_of(key).restore(value)

    def judge_of(self, rollout: str) -> RolloutJudge:
        """Return the judge of a rollout, a new one for a new rollout."""
        if rollout not in self.judges:
            self.judges[rollout] = RolloutJudge(rollout)
        return self.judges[rollout]

    async def gather(self, polls: AsyncIterator[Poll]) -> None:
        """Take in the evidence; what cannot be read is passed over with a line in the log."""
        async for poll in polls:
            for record in poll.records:
                self.gather_record(record)
            poll.ack()

    def gather_record(self, record: Any) -> None:
        """Take in one record of evidence."""
        try:
            evidence = decode_evidence(record.value)
            check(evidence)
        except DecodeError as error:
            log.warning("%s@%d is no evidence and was left out: %s", self.topics.evidence, record.offset, error.message)
            return
        self.judge_of(evidence.rollout).add(evidence, record.offset)

    def hear(self, folded: Folded) -> None:
        """Take note of a record of the control log; called for every one, from the first on."""
        self.unanswered.append((folded.at.offset, answers(folded)))
        if folded.command is not None and folded.command.rollout in self.judges:
            self.judges[folded.command.rollout].hear(folded.command.command_id)

    @property
    def is_in_charge(self) -> bool:
        """Whether this process holds the partition of evidence and has taken up the table."""
        return self.reign > 0 and not self.app.rebalancing and 0 in assigned(self.app, self.topics.evidence)

    def reigns_still(self, reign: int) -> bool:
        """Tell whether this process has been in charge ever since `reign` began."""
        return reign == self.reign and self.is_in_charge

    async def judge(self) -> None:
        """Answer, look and decide, for ever; does nothing while another process is in charge."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if not self.is_in_charge:
                continue
            await self.answer()
            for rollout in sorted({*self.plans, *self.states()}):
                await self.step(rollout)

    async def answer(self) -> None:
        """Publish the results of commands that have none yet, then remember how far that is."""
        while self.unanswered and self.unanswered[0][0] <= self.answered:
            self.unanswered.popleft()
        waiting = list(self.unanswered)
        if not waiting:
            return
        for _, events in waiting:
            for event in events:
                self.send(self.topics.events, event.rollout, event)
        await self.producer.flushed()
        self.answered = waiting[-1][0]
        await self.table.write(0, ANSWERED, str(self.answered).encode())

    async def step(self, rollout: str) -> None:
        """Make the next move of a rollout, if there is one, and show its state.

        While the broker is asked another reign may begin, with other judges, and the log go on: what is decided upon
        is taken after that.
        """
        reign = self.reign
        ends = await self.ends_of(self.state_of(rollout))
        if not self.reigns_still(reign):
            return
        state, judge = self.state_of(rollout), self.judge_of(rollout)
        around = Surroundings(
            workers=self.workers.of(state), breaker=self.workers.breaker(state), ends=ends,
            wall_ms=int(time.time() * 1000),
        )  # fmt: skip
        move = judge.next_move(state, around)
        if move is not None:
            await self.make(rollout, move, reign)
        self.show(judge, state, around)

    def state_of(self, rollout: str) -> State:
        """Return the state of a rollout; before its first start the file says which model is stable."""
        plan, state = self.plans.get(rollout), self.states().get(rollout) or initial(rollout)
        return replace(state, stable=plan.stable) if plan is not None and state.stable is None else state

    async def ends_of(self, state: State) -> Mapping[int, int]:
        """Return the end offsets of the outcomes of an attempt, at most a second old."""
        if state.plan is None or not state.phase.has_attempt:
            return {}
        topic, now = state.plan.topics.outcomes, time.monotonic()
        asked, ends = self.ends.get(topic, (0.0, {}))
        if now - asked >= ENDS_SECONDS:
            loop = asyncio.get_running_loop()
            ends = await loop.run_in_executor(self.asking, self.end_offsets.read, topic)
            self.ends[topic] = now, ends
        return ends

    async def make(self, rollout: str, move: Move, reign: int) -> None:
        """Store a move of `reign`, then publish it; a judge that lost its office in between leaves that to its heir."""
        if move.entry is not None:
            await self.table.write(0, rollout, encode(move.entry))
        if not self.reigns_still(reign):
            return
        if move.look is not None:
            self.send(self.topics.looks, rollout, move.look)
        for event in move.events:
            self.send(self.topics.events, rollout, event)
        if move.command is not None:
            self.producer.produce(self.topics.control, move.command, rollout.encode(), 0)
        await self.producer.flushed()

    def show(self, judge: RolloutJudge, state: State, around: Surroundings) -> None:
        """Publish the view of a rollout when it says something new, and again after a while."""
        last = judge.last_look(state)
        news = (state.control_offset, judge.message(state), last.look if last else None)
        shown_at, shown = self.shown.get(state.rollout, (0.0, None))
        now = time.monotonic()
        if news != shown or now - shown_at >= VIEW_SECONDS:
            self.shown[state.rollout] = now, news
            self.send(self.topics.rollouts, state.rollout, judge.view(state, around))

    def send(self, topic: str, rollout: str, record: object) -> None:
        """Hand a record of a cold topic to the producer."""
        self.producer.produce(topic, encode(record), rollout.encode(), 0)
