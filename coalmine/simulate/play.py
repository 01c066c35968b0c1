"""One attempt from its start to its end, through the functions that serve in production.

The router splits the traffic, the scorecard's sums are what the judge looks at, its judgement becomes a command in the
words of the analyzer, and the state machine folds that command. Only the traffic is made up, and time costs nothing.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from coalmine.policies import (
    Advance,
    Applied,
    Approve,
    At,
    Command,
    Cut,
    Judgement,
    Memory,
    ModelRef,
    Phase,
    Plan,
    Start,
    State,
    Sums,
    Variant,
    Verdict,
    advance,
    frozen_numbers,
    initial,
    look,
)
from coalmine.policies.planning.course import End
from coalmine.streams.analysis.looking import addressed, command_for, command_id, stale

from .traffic import Batch, Traffic
from .world import World

__all__ = ["PERSON", "Run", "Seen", "looks", "play"]

PERSON = "operator:simulate"
"""Who starts, and approves at once where a step asks for it."""

CANARY = ModelRef(uri="simulated/canary")

Judge = Callable[[Memory, Cut, State], Judgement]


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: the state after it, the judgement, the time; before step 1 no judgement, but what is waited for."""

    state: State
    judgement: Judgement | None
    now_ms: int
    waits_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one attempt went.

    `ms` is the time from its start to its end, `waited_ms` the part of it before step 1, `canary_rows` the requests
    that the canary answered, `step` the last step it was in, `reason` what the last look said.
    """

    ended: End
    ms: int
    waited_ms: int
    canary_rows: int
    step: int
    looks: int
    reason: str


def play(plan: Plan, world: World, seed: int | tuple[int, ...], judge: Judge = look) -> Run:
    """Return how the attempt with this seed went; equal arguments, equal run."""
    waited_ms = step = count = 0
    last: Seen | None = None
    for last in looks(plan, world, seed, judge):
        if last.judgement is None:
            waited_ms = last.now_ms
        else:
            count, step = count + 1, max(step, last.judgement.memory.step)
    assert last is not None, "an attempt is looked at once at least"
    known = last.judgement.memory.last if last.judgement is not None else {}
    return Run(
        ended=end_of(last),
        ms=last.now_ms,
        waited_ms=waited_ms,
        canary_rows=sum(variants.get(Variant.CANARY.value, Sums()).rows for variants in known.values()),
        step=step,
        looks=count,
        reason=last.judgement.reason if last.judgement is not None else last.waits_for,
    )


def end_of(last: Seen) -> End:
    """Return how an attempt ended whose last look this was."""
    inconclusive = last.judgement is None or last.judgement.verdict is Verdict.INCONCLUSIVE
    if inconclusive:
        return End.INCONCLUSIVE
    return End.PROMOTED if last.state.phase is Phase.PROMOTED else End.ROLLED_BACK


def looks(plan: Plan, world: World, seed: int | tuple[int, ...], judge: Judge = look) -> Iterator[Seen]:
    """Yield every look of an attempt with the state after it, up to the one that ended it.

    Ends with the promotion, the rollback, or the first look past the deadline that has no answer.
    """
    plan = in_scope(plan)
    sequence = np.random.SeedSequence(seed)
    traffic = Traffic(world, plan, np.random.default_rng(sequence), sequence.generate_state(2).tobytes())
    stage = Stage.begun(plan, traffic)
    yield from stage.pending()
    if stage.state.frozen is None:
        return
    stage.memory = Memory.empty(plan, stage.state.frozen)
    while stage.state.phase.has_attempt:
        seen = stage.look(judge)
        yield seen
        if seen.judgement is not None and seen.judgement.verdict is Verdict.INCONCLUSIVE:
            return


def in_scope(plan: Plan) -> Plan:
    """Return the plan without scope, rules, lists and windows: simulated are the requests and hours left to chance."""
    return replace(plan, routing=replace(plan.routing, deny=(), allow=(), rules=(), only={}), windows=())


@dataclass(slots=True, kw_only=True)
class Stage:
    """An attempt that goes on: state, sums, time."""

    plan: Plan
    traffic: Traffic
    state: State
    memory: Memory | None = None
    sums: dict[int, dict[str, Sums]]
    unlabelled: deque[tuple[int, int, Mapping[str, Sums]]]
    now_ms: int = 0
    began_ms: int = 0
    event_ms: int | None = None
    number: int = 0

    @classmethod
    def begun(cls, plan: Plan, traffic: Traffic) -> "Stage":
        """Return an attempt right after its start."""
        stage = cls(plan=plan, traffic=traffic, state=initial(plan.name), sums={}, unlabelled=deque())
        stage.fold(Start(rollout=plan.name, canary=plan.canary or CANARY, file=plan, issued_by=PERSON))
        return stage

    def pending(self) -> Iterator[Seen]:
        """Let stable serve until its numbers can be frozen, then enter step 1; give up at the deadline."""
        while self.state.frozen is None and self.now_ms <= self.plan.analysis.deadline_ms:
            self.serve(since_ms=-1)
            history = self.sums.get(self.state.revision, {}).get(Variant.STABLE.value, Sums())
            frozen = frozen_numbers(history, self.plan)
            if not isinstance(frozen, str):
                first = Advance(rollout=self.plan.name, step=1, frozen=frozen)
                self.fold(addressed(first, self.state, command_id(self.state, "advance"), "", self.now_ms))
                self.began_ms = self.now_ms
            yield Seen(self.state, None, self.now_ms, frozen if isinstance(frozen, str) else "")

    def look(self, judge: Judge) -> Seen:
        """Serve until the next look, look, and do what it decided."""
        self.serve(since_ms=self.now_ms - self.began_ms)
        self.number += 1
        old = stale(self.plan, self.event_ms, self.now_ms)
        missing = (old,) if old is not None else ()
        assert self.memory is not None, "there is a memory once the numbers are frozen"
        judgement = judge(self.memory, Cut(number=self.number, now_ms=self.now_ms, sums=self.sums, missing=missing),
                          self.state)  # fmt: skip
        self.memory = judgement.memory
        command = command_for(judgement, self.state, self.number, self.now_ms)
        if command is not None:
            self.fold(command)
        if self.state.phase is Phase.AWAITING_APPROVAL:
            self.fold(Approve(rollout=self.plan.name, issued_by=PERSON))
        return Seen(self.state, judgement, self.now_ms)

    def serve(self, since_ms: int) -> None:
        """Let the traffic of one interval come in."""
        every_ms = self.plan.analysis.every_ms
        self.traffic.follow(self.state)
        batch = self.traffic.look(every_ms / 1_000, since_ms)
        self.now_ms += every_ms
        if batch.rows:
            self.event_ms = self.now_ms
        self.book(self.state.revision, batch)

    def book(self, revision: int, batch: Batch) -> None:
        """Add what was served to the sums of the revision that routed it, and the labels that have come by now."""
        self.add(revision, batch.served)
        self.unlabelled.append((self.now_ms + self.traffic.world.label_delay_ms, revision, batch.labelled))
        while self.unlabelled and self.unlabelled[0][0] <= self.now_ms:
            _, of, labelled = self.unlabelled.popleft()
            self.add(of, labelled)

    def add(self, revision: int, more: Mapping[str, Sums]) -> None:
        """Add to the sums of a revision; they are values, so what the judge has kept stays as it was."""
        known = self.sums.get(revision, {})
        added = {name: known[name] + sums if name in known else sums for name, sums in more.items()}
        if added:
            self.sums = {**self.sums, revision: {**known, **added}}

    def fold(self, command: Command) -> None:
        """Let the state machine fold a command; nothing here may be refused."""
        at = At(self.state.control_offset + 1, self.now_ms)
        self.state, effects = advance(self.state, command, at)
        assert all(isinstance(effect, Applied) for effect in effects), f"refused: {effects}"
