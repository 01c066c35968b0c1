"""Plans, commands and states that the tests of the policies share."""

from dataclasses import replace

from coalmine.policies import (
    Advance,
    At,
    Bake,
    Command,
    Effect,
    FrozenNumbers,
    ModelRef,
    OnSuccess,
    Pause,
    Phase,
    Plan,
    Promote,
    Refusal,
    Rollback,
    Start,
    State,
    Step,
    Topics,
    advance,
    initial,
)

V1 = ModelRef(uri="flights/1", digest="sha256:" + "1" * 64)
V2 = ModelRef(uri="flights/2", digest="sha256:" + "2" * 64)
V3 = ModelRef(uri="flights/3", digest="sha256:" + "3" * 64)
FROZEN = FrozenNumbers(rows=5_000, calls=500, error_rate=0.01)
PLAN = Plan(
    name="flights",
    topics=Topics.of("flights"),
    stable=V1,
    steps=(Step(weight=10, samples=100), Step(weight=25, samples=200), Step(weight=50, samples=300)),
)


BAKED = replace(PLAN, bake=Bake(hold_ms=60_000, holdback=5.0))
ASKED = replace(PLAN, on_success=OnSuccess.APPROVAL)
APPROVED = replace(PLAN, steps=(Step(weight=10), Step(weight=25, approval=True), Step(weight=50, approval=True)))


def fold(*commands: Command, state: State | None = None) -> State:
    """Fold `commands` onto `state`, one a second, and insist that each is applied."""
    folded = initial("flights") if state is None else state
    for command in commands:
        offset = folded.control_offset + 1
        before = folded.revision
        folded, effects = advance(folded, command, At(offset, offset * 1_000))
        assert folded.revision == before + 1, effects
    return folded


def start(plan: Plan = PLAN) -> Start:
    return Start(rollout="flights", canary=V2, file=plan)


def enter(step: int, state: State) -> Advance:
    """Return the command by which automation enters `step` from `state`."""
    return Advance(
        rollout="flights",
        issued_by="analyzer",
        expected_revision=state.revision,
        attempt=state.attempt,
        step=step,
        look=7,
        frozen=FROZEN if state.frozen is None else None,
    )


def on_ramp(step: int, plan: Plan = PLAN) -> State:
    """Return the state of a rollout that automation has brought to `step`."""
    state = fold(start(plan))
    for index in range(1, step + 1):
        state = fold(enter(index, state), state=state)
    return state


def of(kind: type[Command], **fields: object) -> Command:
    """Return an operator's command, or that of whoever `fields` name."""
    return kind(rollout="flights", **{"issued_by": "operator:ann", **fields})  # type: ignore[arg-type]


def by_analyzer(kind: type[Command], state: State, **fields: object) -> Command:
    """Return what an analyzer that has just seen `state` decides."""
    judged = {"expected_revision": state.revision, "attempt": state.attempt}
    return of(kind, **{"issued_by": "analyzer", **judged, **fields})


def put(state: State, command: Command, ms: int | None = None) -> tuple[State, Effect]:
    """Fold one command and return the state and its only effect."""
    offset = state.control_offset + 1
    after, (effect,) = advance(state, command, At(offset, offset * 1_000 if ms is None else ms))
    return after, effect


def refuse(state: State, command: Command, ms: int | None = None) -> str:
    """Fold one command, insist that it is refused without a trace, and return the reason."""
    after, effect = put(state, command, ms)
    assert isinstance(effect, Refusal), effect
    assert after == replace(state, control_offset=after.control_offset, seen=after.seen)
    return effect.reason


def awaiting() -> State:
    state = on_ramp(2, APPROVED)
    return fold(enter(3, state), state=state)


def promoted() -> State:
    state = on_ramp(3)
    return fold(by_analyzer(Promote, state), state=state)


def rolled_back() -> State:
    return fold(of(Rollback), state=on_ramp(2))


PHASES = {
    Phase.IDLE: lambda: State(rollout="flights"),
    Phase.PENDING: lambda: on_ramp(0),
    Phase.PROGRESSING: lambda: on_ramp(1),
    Phase.PAUSED: lambda: fold(of(Pause), state=on_ramp(1)),
    Phase.AWAITING_APPROVAL: awaiting,
    Phase.BAKING: lambda: on_ramp(4, BAKED),
    Phase.PROMOTED: promoted,
    Phase.ROLLED_BACK: rolled_back,
}
