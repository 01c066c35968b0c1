"""A world around `rollout.advance`: operators, two controllers on one log, and a network that is not to be trusted.

One controller reads every record at once and is watched by the laws; the other lags behind. Both decide on what they
see, so decisions can be stale; every message can be delayed, reordered, dropped or repeated; both can crash.
"""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from coalmine.policies import (
    Advance,
    Approve,
    At,
    Bake,
    Command,
    Effect,
    Freeze,
    ModelRef,
    OnSuccess,
    Pause,
    Plan,
    Promote,
    Resume,
    Retry,
    Rollback,
    SetWeight,
    Start,
    State,
    Step,
    Undo,
    Unfreeze,
    advance,
    initial,
    is_last_step,
    next_step,
)

from .laws import Folded, check
from .rollouts import FROZEN, PLAN, V2, V3, of

Record = tuple[Command, At]

PLAIN = replace(PLAN, steps=(Step(weight=10, samples=10), Step(weight=25, samples=20), Step(weight=50, samples=10)))
WITH_APPROVAL = replace(
    PLAN, steps=(Step(weight=10, samples=10, approval=True), Step(weight=50, samples=20, approval=True))
)
BAKED = replace(PLAIN, steps=PLAIN.steps[:1], bake=Bake(hold_ms=0, holdback=20))
ASKED = replace(PLAIN, steps=PLAIN.steps[:1], on_success=OnSuccess.APPROVAL)
PLANS = (PLAIN, WITH_APPROVAL, BAKED, ASKED)
LOOK_MS = 10_000


class Controller:
    """A reader of the log that also decides: its state is the fold of what it has read, and nothing else."""

    def __init__(self) -> None:
        self.state = initial("flights")
        self.position = 0

    def advance(self, state: State, command: Command, at: At) -> tuple[State, tuple[Effect, ...]]:
        """Make the next state; the variants that are broken on purpose replace this."""
        return advance(state, command, at)

    def read(self, log: list[Record], upto: int) -> tuple[Effect, ...]:
        """Fold the log up to `upto`; return the effects of the last record."""
        effects: tuple[Effect, ...] = ()
        for command, at in log[self.position : upto]:
            self.state, effects = self.advance(self.state, command, at)
        self.position = max(self.position, upto)
        return effects

    def restart(self, log: list[Record]) -> None:
        """Begin anew, with nothing but the log."""
        self.state = initial("flights")
        self.position, upto = 0, self.position
        self.read(log, upto)

    def published(self, command: Command, at: At) -> None:
        """Take note of an own decision: nothing to do before it is read back."""

    def rows(self, by_revision: Counter[int]) -> int:
        """Return the canary's rows in the current step, by the epochs of the state."""
        mine = [epoch for epoch in self.state.epochs if epoch.step == self.state.step]
        return sum(
            rows
            for revision, rows in by_revision.items()
            if any(epoch.first <= revision <= (epoch.last or self.state.revision) for epoch in mine)
        )

    def decide(self, by_revision: Counter[int], ms: int) -> Command | None:
        """Return the move up that the evidence allows now, None to hold."""
        state, step = self.state, self.state.current_step
        if not state.phase.has_attempt or (step and self.rows(by_revision) < step.samples):
            return None
        if is_last_step(state):
            return self.signed(Promote, ms)
        return self.signed(Advance, ms, step=next_step(state), frozen=None if state.frozen else FROZEN)

    def signed(self, kind: type[Command], ms: int, **fields: Any) -> Command:
        """Return a decision on the state this controller sees, with the same id for the same decision."""
        state = self.state
        identity = f"{state.attempt}/{state.revision}/{kind.verb()}/{ms // LOOK_MS}"
        judged = {"expected_revision": state.revision, "attempt": state.attempt}
        return of(kind, issued_by="analyzer", command_id=identity, **judged, **fields)


class Flaw(Enum):
    """What may be wrong with a command a person typed."""

    NONE = "nothing"
    STALE = "typed before the last change"
    AHEAD = "a revision that does not exist yet"
    LATE = "arrives after it expired"
    BLIND = "names no revision, which is allowed"


FLAWS = st.sampled_from([Flaw.NONE, Flaw.NONE, Flaw.BLIND, *Flaw])
AT_ONCE = st.sampled_from([True, True, False])


class RolloutMachine(RuleBasedStateMachine):
    """The world; `controller` is the kind of controller under test."""

    controller: type[Controller] = Controller

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Record] = []
        self.wire: list[Command] = []
        self.ms = 1_000_000_000
        self.typed = 0
        self.first, self.second = self.controller(), self.controller()
        self.answered: set[str] = set()
        self.results: Counter[str] = Counter()
        self.canary_rows: Counter[int] = Counter()
        self.steps: dict[int, tuple[int | None, int]] = {}

    # Who writes

    @initialize(first=st.sampled_from([Start, Start, Start, Rollback]), plan=st.sampled_from(PLANS))
    def begin(self, first: type[Command], plan: Plan) -> None:
        fields = {"canary": V2, "file": plan} if first is Start else {}
        self.append(of(first, command_id="first", **fields))

    @rule(
        canary=st.sampled_from([V2, V3]),
        file=st.sampled_from([None, *PLANS]),
        again=st.sampled_from([False, False, True]),
        flaw=FLAWS,
        at_once=AT_ONCE,
    )
    def start(self, canary: ModelRef, file: Plan | None, again: bool, flaw: Flaw, at_once: bool) -> None:
        self.write(of(Start, canary=canary, file=file, replace=again), flaw, at_once)

    @rule(kind=st.sampled_from([Undo, Retry, Rollback]), flaw=FLAWS, at_once=AT_ONCE)
    def go_back(self, kind: type[Command], flaw: Flaw, at_once: bool) -> None:
        self.write(of(kind), flaw, at_once)

    @rule(full=st.booleans(), flaw=FLAWS, at_once=AT_ONCE)
    def promote(self, full: bool, flaw: Flaw, at_once: bool) -> None:
        self.write(of(Promote, full=full), flaw, at_once)

    @rule(weight=st.sampled_from([0, 5, 10, 30, 60, 85, 100]), flaw=FLAWS, at_once=AT_ONCE)
    def set_weight(self, weight: float, flaw: Flaw, at_once: bool) -> None:
        self.write(of(SetWeight, weight=weight), flaw, at_once)

    @rule(flaw=FLAWS, at_once=AT_ONCE)
    def pause(self, flaw: Flaw, at_once: bool) -> None:
        self.write(of(Pause), flaw, at_once)

    @rule(flaw=FLAWS, at_once=AT_ONCE)
    def resume(self, flaw: Flaw, at_once: bool) -> None:
        self.write(of(Resume), flaw, at_once)

    @rule(flaw=FLAWS, at_once=AT_ONCE)
    def approve(self, flaw: Flaw, at_once: bool) -> None:
        self.write(of(Approve), flaw, at_once)

    @rule(kind=st.sampled_from([Unfreeze, Freeze]), seconds=st.sampled_from([5, 60, None]), flaw=FLAWS)
    def freeze(self, kind: type[Command], seconds: int | None, flaw: Flaw) -> None:
        until = {"until": seconds and self.moment(seconds)} if kind is Freeze else {}
        self.write(of(kind, **until), flaw)

    @rule(step=st.integers(1, 3))
    def advance_by_hand(self, step: int) -> None:
        self.write(of(Advance, step=step), Flaw.NONE)

    def write(self, command: Command, flaw: Flaw, at_once: bool = True) -> None:
        """Send what a person typed; every other command has no id of its own."""
        self.typed += 1
        revision = {Flaw.STALE: -1, Flaw.AHEAD: 1}.get(flaw, 0) + self.first.state.revision
        typed = replace(
            command,
            command_id=f"typed-{self.typed}" if self.typed % 2 else "",
            expected_revision=None if flaw is Flaw.BLIND else revision,
            expires=self.moment(-60 if flaw is Flaw.LATE else 60),
        )
        self.send(typed, at_once)

    def moment(self, seconds: int) -> datetime:
        return datetime.fromtimestamp(self.ms / 1_000 + seconds, UTC)

    @rule(steps=st.integers(1, 4))
    def climb(self, steps: int) -> None:
        for _ in range(steps):
            self.outcomes(rows=30)
            self.decide(lagging=False, at_once=True)

    @rule(lagging=st.booleans(), at_once=AT_ONCE)
    def decide(self, lagging: bool, at_once: bool) -> None:
        self.publish(lagging, self.decider(lagging).decide(self.canary_rows, self.ms), at_once)

    @rule(lagging=st.booleans(), kind=st.sampled_from([Pause, Pause, Rollback]), at_once=AT_ONCE)
    def decide_downwards(self, lagging: bool, kind: type[Command], at_once: bool) -> None:
        self.publish(lagging, self.decider(lagging).signed(kind, self.ms), at_once)

    def decider(self, lagging: bool) -> Controller:
        return self.second if lagging else self.first

    def publish(self, lagging: bool, decision: Command | None, at_once: bool) -> None:
        if decision is not None:
            self.send(decision, at_once)
            self.decider(lagging).published(decision, At(len(self.log), self.ms))

    def send(self, command: Command, at_once: bool) -> None:
        if at_once:
            self.append(command)
        else:
            self.wire.append(command)

    # What the network does

    @precondition(lambda self: self.wire)
    @rule(data=st.data(), lose=st.sampled_from([False, False, False, True]), keep=st.booleans())
    def deliver(self, data: st.DataObject, lose: bool, keep: bool) -> None:
        index = data.draw(st.integers(0, len(self.wire) - 1))
        command = self.wire[index] if keep else self.wire.pop(index)
        if not lose:
            self.append(command)

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        self.append(data.draw(st.sampled_from(self.log))[0])

    @rule(seconds=st.sampled_from([1, 10, 600, -3_600]))
    def tick(self, seconds: int) -> None:
        self.ms += seconds * 1_000

    # What readers do

    @rule(rows=st.sampled_from([1, 10, 30]))
    def outcomes(self, rows: int) -> None:
        self.canary_rows[self.first.state.revision] += rows if self.first.state.weight > 0 else 0

    @rule(records=st.integers(1, 5))
    def catch_up(self, records: int) -> None:
        self.second.read(self.log, min(len(self.log), self.second.position + records))

    @rule(lagging=st.booleans())
    def crash(self, lagging: bool) -> None:
        controller = self.decider(lagging)
        before = controller.state
        controller.restart(self.log)
        assert controller.state == before, "I26: a restart changes nothing"

    # What must hold

    def append(self, command: Command) -> None:
        at = At(len(self.log), self.ms)
        self.log.append((command, at))
        before = self.first.state
        self.steps.setdefault(before.revision, (before.attempt, before.step))
        rows, need = self.rows_by_revision(before), before.current_step.samples if before.current_step else 0
        effects = self.first.read(self.log, len(self.log))
        is_copy = bool(command.command_id) and command.command_id in self.answered
        check(Folded(before, command, at, self.first.state, effects, is_copy, rows, need))
        self.answered.add(command.command_id)
        self.results.update(effect.command_id for effect in effects)
        self.steps.setdefault(self.first.state.revision, (self.first.state.attempt, self.first.state.step))

    def rows_by_revision(self, state: State) -> int:
        """Return the canary's rows in the current step, by what each revision was when it came."""
        here = (state.attempt, state.step)
        return sum(rows for revision, rows in self.canary_rows.items() if self.steps[revision] == here)

    @invariant()
    def each_command_has_one_result(self) -> None:
        assert all(count == 1 for count in self.results.values()), "I23: one result per command id"

    @invariant()
    def a_step_keeps_its_samples(self) -> None:
        state = self.first.state
        if state.phase.has_attempt and state.step:
            assert self.first.rows(self.canary_rows) == self.rows_by_revision(state), "I18: samples of the step"

    def teardown(self) -> None:
        for controller in (self.first, self.second):
            fresh = self.controller()
            fresh.read(self.log, controller.position)
            assert controller.state == fresh.state, "I26: a state is the fold of what was read"
        self.second.read(self.log, len(self.log))
        assert self.second.state == self.first.state, "I26: two readers of one log agree"
