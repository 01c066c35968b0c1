"""The judge of a rollout at the end of a plan and outside its windows; without a broker."""

from dataclasses import replace
from datetime import UTC, datetime

from coalmine.policies import Approve, Bake, Clock, Day, OnSuccess, Phase, Undo, Window
from tests.streams.judge_world import BEGIN_MS, PLAN, READY, World

BAKED = replace(PLAN, bake=Bake(hold_ms=2_000, holdback=5))
HOUR = 3_600_000


def begun(world: World) -> World:
    """Return a world with enough of stable's history after one tick."""
    world.start()
    world.traffic(rows=1_000)
    world.tick()
    return world


def hours_of(ms: int) -> Window:
    """Return the hour of the day that `ms` lies in, as a window."""
    hour = datetime.fromtimestamp(ms / 1000, UTC).hour
    return Window(days=tuple(Day), opens_minute=hour * 60, closes_minute=hour * 60 + 60, zone="UTC")


def test_a_good_canary_bakes_before_its_promotion() -> None:
    world = begun(World(plan=BAKED)).run()

    assert [state.weight for state in world.states] == [0, 10, 50, 95, 0]
    assert [look.decision for look in world.looks if look.decision != "hold"] == ["advance", "advance", "promote"]
    assert world.state.phase is Phase.PROMOTED


def test_the_view_of_a_bake_has_the_index_after_the_last_step() -> None:
    world = begun(World(plan=BAKED))
    while world.state.phase is not Phase.BAKING:
        world.traffic()
        world.tick()
    world.traffic()
    world.tick()

    view = world.judge.view(world.state, world.around())

    assert view.step is not None
    assert (view.phase, view.weight, view.step.index, view.step.of) == ("baking", 95, 3, 2)
    assert view.message.startswith("the bake at 95 %")


def test_a_canary_that_fails_in_the_bake_is_rolled_back() -> None:
    world = begun(World(plan=BAKED))
    while world.state.phase is not Phase.BAKING:
        world.traffic()
        world.tick()

    assert world.run(fault_rate=0.3).state.phase is Phase.ROLLED_BACK


def test_a_judge_that_dies_in_the_bake_decides_the_same() -> None:
    calm = begun(World(plan=BAKED)).run()
    deadly = begun(World(plan=BAKED))
    deadly.dies = ("stored", "look published", "command published")
    deadly.run(120)

    assert deadly.died
    assert [state.phase for state in deadly.states] == [state.phase for state in calm.states]


def test_where_a_person_decides_the_judge_asks_and_leaves_it_at_that() -> None:
    world = begun(World(plan=replace(PLAN, on_success=OnSuccess.APPROVAL))).run()

    assert world.state.phase.value == "awaiting_approval"
    assert "every check has passed on step 2 of 2, the last one; a person decides" in world.judge.message(world.state)
    world.read(Approve(rollout="flights"))
    assert world.state.phase is Phase.PROMOTED


def test_no_attempt_begins_outside_the_windows_and_the_judge_says_until_when() -> None:
    world = begun(World(plan=replace(PLAN, windows=(hours_of(BEGIN_MS + 2 * HOUR),))))

    assert world.state.phase.value == "pending"
    assert world.judge.message(world.state) == "pending: outside the windows until Wed 2023-11-15 00:00 UTC"
    world.wall_ms += 2 * HOUR
    world.tick()
    assert world.state.phase is Phase.PROGRESSING


def test_under_the_clock_of_events_their_time_opens_the_windows() -> None:
    analysis = replace(PLAN.analysis, clock=Clock.EVENT)
    world = World(plan=replace(PLAN, analysis=analysis, windows=(hours_of(BEGIN_MS + 2 * HOUR),))).start()
    world.traffic(rows=1_000, ts=BEGIN_MS + 2 * HOUR)

    world.tick()

    assert world.state.phase is Phase.PROGRESSING


def test_an_undo_knows_no_windows() -> None:
    world = begun(World(plan=replace(PLAN, windows=(hours_of(BEGIN_MS),)))).run()
    assert world.state.phase is Phase.PROMOTED
    former = world.state.stables[1]
    world.workers = (replace(READY, stable_digest=READY.canary_digest, canary_digest=former.digest),)
    world.wall_ms += 2 * HOUR
    world.read(Undo(rollout="flights"))

    world.tick()

    assert world.state.stable == former
