"""What the judge knows of one rollout, and what follows from it: moves, as values. No I/O, no clock, no topics.

A move is written to the judge's table before anything of it is published. So a judge that dies in between finds the
move in the table and publishes it again, byte for byte; it never decides twice on one look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from coalmine.policies import (
    Advance,
    Analysis,
    Clock,
    Command,
    Cut,
    Judgement,
    Memory,
    NeverReady,
    Phase,
    Plan,
    Promote,
    Ready,
    Rollback,
    State,
    Sums,
    Variant,
    Waiting,
    WorkerReport,
    closed_until,
    frozen_numbers,
    is_frozen,
    look,
    readiness,
)

from ..wire.codec import encode, encode_command
from ..wire.messages import Event, Evidence, Look, OpenBreaker, RolloutView
from .evidence import EndOffsets, Gathered, lagging
from .looking import (
    addressed,
    attempt_command_id,
    by_variant,
    command_for,
    command_id,
    is_due,
    look_record,
    rollout_view,
    stale,
    verdict_event,
)
from .partition_tally import parsed

__all__ = ["Entry", "Move", "RolloutJudge", "Surroundings"]


class Entry(msgspec.Struct, kw_only=True):
    """What the judge's table holds of a rollout: the last look, what it remembers of it, and the command it led to.

    `memory` is the JSON of `policies.Memory`, `command` that of the command, None where the look led to none.
    `samples` are the canary rows of the step that are evidence.
    """

    attempt: int
    memory: msgspec.Raw
    look: Look
    samples: int
    command: str | None = None


decode_entry = msgspec.json.Decoder(Entry).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known now besides the evidence.

    `workers` is what the scoring workers say, `breaker` the one that cut the canary of this attempt and why, `ends`
    the end offset of each partition of `outcomes` that holds any, `wall_ms` the time (epoch ms).
    """

    workers: Sequence[WorkerReport]
    breaker: tuple[str, OpenBreaker] | None
    ends: Mapping[int, int]
    wall_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What to do now: store the entry, then publish look, events and command, each if there is one."""

    entry: Entry | None = None
    look: Look | None = None
    events: tuple[Event, ...] = ()
    command: bytes | None = None


@dataclass(slots=True)
class RolloutJudge:
    """The evidence and the memory of one rollout.

    `evidence_offset` is that of its last record on `{ns}.evidence`. `awaited` is the id of the last command until it
    is read back from the log; before that nothing new is decided. `waiting_for` says what a pending attempt lacks.
    """

    rollout: str
    gathered: Gathered = field(default_factory=Gathered)
    evidence_offset: int = -1
    entry: Entry | None = None
    memory: Memory | None = None
    ends: EndOffsets = field(default_factory=EndOffsets)
    awaited: str = ""
    waiting_for: str = ""
    republish: bool = False
    cache: dict[tuple[int, int], tuple[int, dict[str, Sums]]] = field(default_factory=dict)

    def add(self, record: Evidence, offset: int) -> None:
        """Take a record of the tallies that stands at `offset` of `{ns}.evidence`."""
        self.gathered.add(record)
        self.evidence_offset = offset

    def restore(self, stored: bytes) -> None:
        """Take up what the table holds; its last move may not have been published."""
        self.entry = decode_entry(stored)
        self.memory = Memory.from_json(msgspec.json.decode(self.entry.memory))
        self.republish = True

    def hear(self, command_id: str) -> None:
        """Take note that a command was read from the log, whatever came of it."""
        if command_id == self.awaited:
            self.awaited = ""

    def next_move(self, state: State, around: Surroundings) -> Move | None:
        """Return what to do now, None for nothing."""
        self.waiting_for = ""
        if self.republish:
            return self.last_move_again(state)
        if not state.phase.has_attempt or self.awaited:
            return None
        if (cut_off := self.breaker_move(state, around)) is not None:
            return cut_off
        if state.phase is Phase.PENDING:
            return self.pending_move(state, around)
        return None if state.frozen is None else self.look_move(state, around)

    def last_move_again(self, state: State) -> Move | None:
        """Return the move in the table once more; its command only if the log does not have it and it still fits."""
        self.republish = False
        assert self.entry is not None, "only what was restored is published again"
        wanted = self.entry.look.command_id or ""
        if self.entry.command is None or wanted in state.seen or self.entry.attempt != state.attempt:
            return Move(look=self.entry.look)
        self.awaited = wanted
        return Move(look=self.entry.look, command=self.entry.command.encode())

    def breaker_move(self, state: State, around: Surroundings) -> Move | None:
        """Return the rollback that answers a worker which cut the canary by itself."""
        identity = attempt_command_id(state, "breaker")
        if around.breaker is None or identity in state.seen:
            return None
        worker, breaker = around.breaker
        reason = f"worker {worker} cut the canary after {breaker.count} faults: {breaker.code}"
        return self.ask(Rollback(rollout=state.rollout, hard_limit="breaker"), state, identity, reason, around.wall_ms)

    def pending_move(self, state: State, around: Surroundings) -> Move | None:
        """Return what ends the wait for workers and numbers: the end of the attempt, or its first step."""
        assert state.plan is not None, "an attempt has a plan"
        waited_ms = around.wall_ms - state.attempt_since_ms
        found = readiness(state, around.workers, waited_ms=waited_ms, load_timeout_ms=state.plan.load_timeout_ms)
        match found:
            case Waiting(reason):
                self.waiting_for = reason
                return None
            case NeverReady(reason):
                identity = attempt_command_id(state, "never ready")
                return self.ask(Rollback(rollout=state.rollout), state, identity, reason, around.wall_ms)
            case Ready(workers):
                return self.ready_move(state, state.plan, workers, around.wall_ms)

    def ready_move(self, state: State, plan: Plan, workers: int, wall_ms: int) -> Move | None:
        """Return the promotion of an undo, or the advance into step 1 with stable's numbers, once there are enough."""
        if state.undoing:
            reason = f"all {workers} workers have loaded {state.canary.uri if state.canary else ''}"
            identity = command_id(state, "promote")
            return self.ask(Promote(rollout=state.rollout), state, identity, reason, wall_ms)
        stable = by_variant(self.sums(state).values()).get(Variant.STABLE.value, Sums())
        frozen = frozen_numbers(stable, plan, state.references)
        if isinstance(frozen, str):
            self.waiting_for = frozen
            return None
        if is_frozen(state, wall_ms):
            self.waiting_for = "a freeze is on"
            return None
        now_ms = self.now_ms(plan, wall_ms)
        if (closed := closed_until(plan.windows, wall_ms if now_ms is None else now_ms)) is not None:
            self.waiting_for = closed
            return None
        ready = f"all {workers} workers have" if workers != 1 else "the one worker has"
        reason = f"{ready} the canary loaded; stable's numbers come from {frozen.rows:,} rows"
        first = Advance(rollout=state.rollout, step=1, frozen=frozen)
        return self.ask(first, state, command_id(state, "advance"), reason, wall_ms)

    def ask(self, command: Command, state: State, identity: str, reason: str, wall_ms: int) -> Move:
        """Return the move that only publishes a command; the heir of a dead judge finds the same cause again."""
        self.awaited = identity
        return Move(command=encode_command(addressed(command, state, identity, reason, wall_ms)))

    def look_move(self, state: State, around: Surroundings) -> Move | None:
        """Return the next look and what it decided; None while none is due or the evidence is not back yet."""
        assert state.plan is not None, "an attempt has a plan"
        memory = self.memory_of(state)
        now_ms = self.now_ms(state.plan, around.wall_ms)
        if now_ms is None or not self.is_look_due(state, state.plan.analysis, memory, now_ms):
            return None
        if not self.has_caught_up(state):
            self.waiting_for = "the tallies have not caught up with the last look yet"
            return None
        self.ends = self.ends.after(around.wall_ms, around.ends)
        cut = self.cut(state, state.plan, memory, now_ms, around.wall_ms)
        return self.judged(cut, look(memory, cut, state), state, around.wall_ms)

    def is_look_due(self, state: State, analysis: Analysis, memory: Memory, now_ms: int) -> bool:
        """Tell whether it is time for a look.

        What is remembered of wall time never goes back, so it cannot pace looks: after a clock that was an hour
        ahead was set right, the judge would be blind for that hour. The time that stands in the last look can.
        """
        last = self.last_look(state)
        if analysis.clock is Clock.EVENT or last is None:
            return is_due(memory.now_ms, now_ms, analysis.every_ms)
        return now_ms < last.now_ms or is_due(last.now_ms, now_ms, analysis.every_ms)

    def memory_of(self, state: State) -> Memory:
        """Return what is remembered of the current attempt; nothing before its first look."""
        if self.memory is not None and self.last_look(state) is not None:
            return self.memory
        assert state.plan is not None, "an attempt has a plan"
        assert state.frozen is not None, "an attempt that is looked at has its numbers"
        return Memory.empty(state.plan, state.frozen)

    def last_look(self, state: State) -> Look | None:
        """Return the last look of the current attempt, None before the first."""
        return self.entry.look if self.entry is not None and self.entry.attempt == state.attempt else None

    def now_ms(self, plan: Plan, wall_ms: int) -> int | None:
        """Return the time in the clock of the plan, None while no event has told it."""
        return wall_ms if plan.analysis.clock is Clock.WALL else self.gathered.event_time()

    def has_caught_up(self, state: State) -> bool:
        """Tell whether the evidence holds all that the last look saw; a tally that restarted says older sums first."""
        last = self.last_look(state)
        included = self.gathered.offsets()
        return last is None or all(included.get(int(p), 0) >= offset for p, offset in last.offsets.items())

    def cut(self, state: State, plan: Plan, memory: Memory, now_ms: int, wall_ms: int) -> Cut:
        """Return the evidence as it is now."""
        late = sorted(lagging(self.gathered.offsets(), self.ends))
        missing = [f"the tally of partition {partition} is behind" for partition in late]
        if (old := stale(plan, self.gathered.event_time(), wall_ms)) is not None:
            missing.append(old)
        return Cut(number=memory.looks + 1, now_ms=now_ms, sums=self.sums(state), missing=tuple(missing))

    def sums(self, state: State) -> dict[int, dict[str, Sums]]:
        """Return the sums over all partitions of the revisions of the last attempt that the state has reached."""
        first = state.epochs[0].first if state.epochs else state.revision
        self.gathered.forget_before(first)
        self.cache = {place: known for place, known in self.cache.items() if place[0] >= first}
        parts: dict[int, list[dict[str, Sums]]] = {}
        for record in self.gathered.of_revisions(first, state.revision):
            parts.setdefault(record.revision, []).append(self.sums_of(record))
        return {revision: by_variant(variants) for revision, variants in parts.items()}

    def sums_of(self, record: Evidence) -> dict[str, Sums]:
        """Return the sums of a record, read from its JSON once."""
        place = (record.revision, record.partition)
        known = self.cache.get(place)
        if known is None or known[0] != record.offset:
            known = self.cache[place] = record.offset, parsed(record.sums)
        return known[1]

    def judged(self, cut: Cut, judgement: Judgement, state: State, wall_ms: int) -> Move:
        """Remember a judgement and return the move that makes it known."""
        assert state.attempt is not None, "only an attempt is looked at"
        command = command_for(judgement, state, cut.number, wall_ms)
        record = look_record(
            cut, judgement, state, command, wall_ms=wall_ms, evidence_offset=self.evidence_offset,
            offsets=self.gathered.offsets(),
        )  # fmt: skip
        before = self.last_look(state)
        encoded = encode_command(command) if command else None
        self.memory = judgement.memory
        self.entry = Entry(
            attempt=state.attempt, memory=msgspec.Raw(encode(judgement.memory.to_json())), look=record,
            samples=judgement.samples, command=encoded.decode() if encoded else None,
        )  # fmt: skip
        self.awaited = command.command_id if command else ""
        events = (verdict_event(record, state),) if before is None or before.verdict != record.verdict else ()
        return Move(entry=self.entry, look=record, events=events, command=encoded)

    def message(self, state: State) -> str:
        """Return in one sentence why the rollout is where it is."""
        last = self.last_look(state)
        if not state.phase.has_attempt:
            return state.message
        if self.waiting_for:
            return f"{state.phase.value}: {self.waiting_for}"
        return last.reason if last is not None and state.phase in (Phase.PROGRESSING, Phase.BAKING) else state.message

    def view(self, state: State, around: Surroundings) -> RolloutView:
        """Return the state and its reasons for people."""
        entry = self.entry if self.last_look(state) is not None else None
        return rollout_view(
            state, self.sums(state), message=self.message(state), wall_ms=around.wall_ms,
            look=entry.look if entry else None, samples=entry.samples if entry else 0, workers=around.workers,
        )  # fmt: skip
