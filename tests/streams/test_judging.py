"""What the judge of a rollout decides, writes and repeats; without a broker."""

from dataclasses import replace

import pytest

from coalmine.policies import (
    Advance,
    Freeze,
    Memory,
    ModelStatus,
    Phase,
    Promote,
    RecordedLook,
    Retry,
    Rollback,
    SetWeight,
    Undo,
    replay,
)
from coalmine.streams.analysis.looking import command_id, finding_record
from coalmine.streams.wire.codec import decode_command
from coalmine.streams.wire.messages import Event, OpenBreaker
from tests.streams.judge_world import BEGIN_MS, EVENT_PLAN, READY, World


def on_step_1() -> World:
    world = World().start()
    world.traffic(rows=1_000)
    world.tick()
    assert world.state.phase is Phase.PROGRESSING
    return world


def test_without_a_worker_the_attempt_is_pending_and_says_so() -> None:
    world = World(workers=()).start()
    world.traffic(rows=1_000)

    assert world.tick() is None
    assert "no live scoring worker" in world.judge.view(world.state, world.around()).message


def test_too_little_history_of_stable_keeps_the_attempt_pending_and_is_named() -> None:
    world = World().start()
    world.traffic(rows=200)

    assert world.tick() is None
    assert "400 of 1,000 rows" in world.judge.message(world.state)


def test_history_from_before_the_start_does_not_count() -> None:
    world = World()
    world.traffic(rows=5_000)
    world.start()

    world.tick()

    assert world.state.phase is Phase.PENDING


def test_step_1_begins_with_frozen_numbers_for_the_attempt_and_revision_that_were_judged() -> None:
    world = on_step_1()

    command = world.log[-1]
    assert isinstance(command, Advance)
    assert command.frozen is not None
    assert (command.step, command.attempt, command.expected_revision, command.frozen.rows) == (1, 0, 1, 2_000)


def test_until_a_command_is_read_back_nothing_new_is_decided() -> None:
    world = World().start()
    world.traffic(rows=1_000)
    first = world.judge.next_move(world.state, world.around())

    again = world.judge.next_move(world.state, world.around())

    assert first is not None
    assert again is None


def test_a_refused_model_ends_the_attempt_before_any_traffic() -> None:
    refused = replace(READY, canary_status=ModelStatus.REFUSED, reason="golden row 3 differs")
    world = World(workers=(refused,)).start()

    world.tick()

    assert world.state.phase is Phase.ROLLED_BACK
    assert "golden row 3 differs" in world.state.message
    assert all(state.weight == 0 for state in world.states)


def test_a_worker_that_cut_the_canary_is_answered_with_one_rollback() -> None:
    world = on_step_1()
    report = OpenBreaker(rollout="flights", attempt=0, revision=2, code="model_error", count=6)
    world.breaker = ("w", report)

    world.tick(ms=1)
    world.tick()

    rollbacks = [command for command in world.log if isinstance(command, Rollback)]
    assert [command.hard_limit for command in rollbacks] == ["breaker"]
    assert world.state.phase is Phase.ROLLED_BACK


def test_an_undo_is_promoted_without_evidence_once_the_workers_have_the_model() -> None:
    world = on_step_1().run()
    assert world.state.phase is Phase.PROMOTED
    former = world.state.stables[1]
    report = replace(READY, stable_digest=READY.canary_digest, canary_digest=former.digest)
    world.workers = (report,)
    world.read(Undo(rollout="flights"))

    world.tick()

    assert isinstance(world.log[-1], Promote)
    assert world.state.stable == former


def test_a_good_canary_is_promoted_step_by_step() -> None:
    world = on_step_1().run()

    assert [look.decision for look in world.looks if look.decision != "hold"] == ["advance", "promote"]
    assert [state.weight for state in world.states] == [0, 10, 50, 0]
    assert world.state.phase is Phase.PROMOTED


def test_a_bad_canary_is_rolled_back_and_the_command_names_its_look() -> None:
    world = on_step_1().run(fault_rate=0.3)

    last = world.log[-1]
    assert isinstance(last, Rollback)
    assert (last.look, last.command_id) == (world.looks[-1].look, world.looks[-1].command_id)
    assert world.looks[-1].verdict == "fail"


@pytest.mark.parametrize("place", ["stored", "look published", "command published"])
@pytest.mark.parametrize("fault_rate", [0.0, 0.3])
def test_a_judge_that_dies_anywhere_decides_the_same_and_only_once(place: str, fault_rate: float) -> None:
    calm = on_step_1().run(fault_rate=fault_rate)
    deadly = on_step_1()
    deadly.dies = {place}

    deadly.run(ticks=200, fault_rate=fault_rate)

    contents = {(look.look, look.decision, look.command_id, str(look.increments)) for look in deadly.looks}
    applied = [state.revision for state in deadly.states]
    assert deadly.died
    assert deadly.state.phase is calm.state.phase
    assert len(contents) == len({look.look for look in deadly.looks})
    assert applied == list(range(1, len(applied) + 1))


def test_the_move_in_the_table_is_published_again_byte_for_byte() -> None:
    world = on_step_1()
    world.dies = {"stored"}
    world.run(ticks=1)
    world.dies = ()

    move = world.judge.next_move(world.state, world.around())

    stored = world.judge.entry
    assert move is not None
    assert stored is not None
    assert (move.look, move.entry) == (stored.look, None)


def test_after_a_restart_no_look_is_taken_before_the_evidence_is_back() -> None:
    world = on_step_1()
    world.traffic()
    world.tick()
    world.evidence, kept = world.evidence[:2], world.evidence
    world.restart()
    world.tick()

    early = world.tick()
    for offset, record in enumerate(kept):
        world.judge.add(record, offset)

    assert early is None
    assert "caught up" in world.judge.message(world.state)
    assert world.tick() is not None


def test_outcomes_of_a_revision_that_is_not_known_yet_wait() -> None:
    world = on_step_1()
    ahead = replace(world.state, revision=world.state.revision + 1)
    world.states.append(ahead)
    world.traffic()
    world.states.pop()

    before = world.judge.sums(world.state)
    after = world.judge.sums(ahead)

    assert ahead.revision not in before
    assert after[ahead.revision]["canary"].rows == 80


def test_looks_come_at_the_interval_of_the_plan() -> None:
    world = on_step_1()
    world.traffic()

    moves = [world.tick(ms=250) is not None for _ in range(12)]

    assert moves == [True, False, False, False] * 3


def test_a_clock_that_was_set_back_an_hour_does_not_blind_the_judge() -> None:
    world = on_step_1()
    world.traffic()
    world.tick()
    world.wall_ms -= 3_600_000

    moves = [world.tick(ms=250) is not None for _ in range(8)]

    assert moves == [True, False, False, False] * 2


def test_under_the_clock_of_events_their_time_alone_makes_a_look_due() -> None:
    world = World(plan=EVENT_PLAN).start()
    world.traffic(rows=1_000, ts=BEGIN_MS)
    world.tick()

    times = []
    for ts in (1_000, 1_500, 2_000):
        world.traffic(ts=BEGIN_MS + ts)
        move = world.tick(ms=50_000)
        times.append(move and move.look and move.look.now_ms - BEGIN_MS)

    assert times == [1_000, None, 2_000]


def test_a_tally_that_falls_behind_holds_the_ramp_and_is_named() -> None:
    world = on_step_1()
    world.lag = 1_000_000
    world.run(ticks=8)

    assert world.state.step == 1
    assert world.looks[-1].missing == ["the tally of partition 0 is behind", "the tally of partition 1 is behind"]


def test_old_evidence_holds_the_ramp() -> None:
    world = on_step_1()
    world.traffic()

    world.tick(ms=world.plan.analysis.freshness_ms + 2_000)

    assert "s old" in world.looks[-1].missing[0]
    assert world.looks[-1].decision == "hold"


def test_a_freeze_lets_looks_be_taken_but_no_move_up_be_asked_for() -> None:
    world = on_step_1()
    world.read(Freeze(rollout="flights"))
    world.run(ticks=10)

    assert {look.decision for look in world.looks} == {"hold", "advance"}
    assert [look.command_id for look in world.looks] == [None] * len(world.looks)
    assert world.state.step == 1


def test_a_pause_by_hand_leaves_only_the_rollback() -> None:
    world = on_step_1()
    world.read(SetWeight(rollout="flights", weight=20))

    world.run(ticks=20)
    good = world.state
    world.run(ticks=20, fault_rate=0.3)

    assert (good.phase, good.weight) == (Phase.PAUSED, 20)
    assert world.state.phase is Phase.ROLLED_BACK


def test_a_retry_begins_with_an_empty_memory() -> None:
    world = on_step_1().run(fault_rate=0.3)
    world.read(Retry(rollout="flights"))
    world.traffic(rows=1_000)
    world.tick()
    looks = len(world.looks)

    world.run()

    assert world.looks[looks].look == 1
    assert world.state.phase is Phase.PROMOTED


def test_the_id_of_a_decision_is_the_same_for_every_judge_and_new_after_a_refusal() -> None:
    state = on_step_1().state

    first = command_id(state, "advance")
    second = command_id(replace(state, seen=(*state.seen, first)), "advance")

    assert command_id(replace(state, message="another"), "advance") == first
    assert len({first, second, command_id(state, "rollback")}) == 3


def test_a_verdict_is_told_when_it_changes() -> None:
    world = on_step_1().run(ticks=2).run(fault_rate=0.3)

    assert [event.reason.split(":")[0] for event in world.events] == ["undecided", "fail"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fault_rate", [0.0, 0.02, 0.3])
def test_replaying_the_looks_of_a_finished_run_gives_the_same_decisions(seed: int, fault_rate: float) -> None:
    world = on_step_1()
    world.random.seed(seed)
    world.run(ticks=60, fault_rate=fault_rate)
    states = {state.control_offset: state for state in world.states}
    state = states[world.looks[0].control_offset]
    assert state.plan is not None
    assert state.frozen is not None

    recorded = [
        RecordedLook(number=look.look, now_ms=look.now_ms, state=states[look.control_offset],
                     increments=look.increments, missing=tuple(look.missing))
        for look in world.looks
    ]  # fmt: skip
    again = list(replay(Memory.empty(state.plan, state.frozen), recorded))

    assert [(j.decision.value, j.verdict.value, j.reason) for j in again] == [
        (look.decision, look.verdict, look.reason) for look in world.looks
    ]
    assert [[finding_record(f) for f in j.findings] for j in again] == [look.findings for look in world.looks]


def test_a_replay_of_changed_looks_differs() -> None:
    world = on_step_1().run(fault_rate=0.3)
    state = world.states[1]
    assert state.plan is not None
    assert state.frozen is not None
    recorded = [RecordedLook(number=1, now_ms=look.now_ms, state=state, increments=()) for look in world.looks]

    again = list(replay(Memory.empty(state.plan, state.frozen), recorded))

    assert [j.decision.value for j in again] != [look.decision for look in world.looks]


def test_the_view_shows_step_samples_and_both_variants() -> None:
    world = on_step_1()
    world.traffic()
    world.tick()

    view = world.judge.view(world.state, world.around())

    assert view.step is not None
    assert (view.step.index, view.step.need, view.step.have) == (1, 200, 80)
    assert (view.variants["canary"]["rows"], view.actual_weight) == (80, 10)
    assert view.workers is not None
    assert (view.workers.ready, view.workers.of) == (1, 1)


def test_every_command_in_the_table_is_one_the_log_can_read() -> None:
    world = on_step_1()
    world.dies = {"stored"}
    world.run(ticks=60)

    entry = world.judge.entry
    assert entry is not None
    assert entry.command is None or decode_command(entry.command.encode()).rollout == "flights"


def test_events_of_verdicts_have_ids_of_their_looks() -> None:
    world = on_step_1().run()

    assert all(isinstance(event, Event) and event.id == f"look@flights/0/{event.look}" for event in world.events)
