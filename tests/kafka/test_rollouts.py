"""Whole rollouts on a real Kafka: three scoring workers, an analyzer, traffic, and people who give commands.

The tests of this module share one installation and play in order, each an attempt of its own or a part of one.
"""

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.measure import wait_for
from bench.pair import pack_pair, train
from bench.rig import Site
from bench.scene import Scene, scene
from bench.traffic import FEATURES
from coalmine.models import Feature, OutputKind, load, pack
from coalmine.policies import (
    HEARTBEAT_LIFE_MS,
    Command,
    Memory,
    ModelRef,
    Pause,
    Phase,
    RecordedLook,
    Reference,
    Resume,
    Rollback,
    SetWeight,
    Start,
    State,
    Undo,
    replay,
)
from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.operator import Operator
from coalmine.streams.wire.messages import Event, Look
from tests.kafka.looks import states_at
from tests.policies.frozen.references import tenths

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

STEPS = """\
  - {weight: 10%, hold: 1s, samples: 100, margin_factor: 2}
  - {weight: 50%, hold: 1s, samples: 200}"""

ANALYSIS = """\
  every: 1s
  deadline: 48h
  checks:
    errors: {metric: error_rate, margin: 2pp}
    inputs: {metric: feature_drift}"""

RATE = 400.0
MOVED = FEATURES[7]
WORKERS = 3
CONFIRM_SECONDS = 5.0
NO_JUDGE = "no analyzer is alive: automatic decisions are off"


def pack_three(folder: Path) -> tuple[Path, Path]:
    """Write stable, a good canary, and beside them one that refuses one request in twenty."""
    features = [Feature(name=name, maximum=1.65 if name == FEATURES[0] else None) for name in FEATURES]
    golden = [tuple(row) for row in np.random.default_rng(3).uniform(-1, 1, size=(3, len(FEATURES))).tolist()]
    pack(train(4), folder / "picky", name="bench", version="3", features=features,
         output=OutputKind.PROBABILITY, golden=golden)  # fmt: skip
    return pack_pair(folder)


@pytest.fixture(scope="module")
def live(bootstrap: str) -> Iterator[Scene]:
    with scene(Site(bootstrap, None), STEPS, ANALYSIS, pack_three) as made:
        made.start_load(RATE)
        processes = [made.add_analyzer(), *(made.add_scorer() for _ in range(WORKERS))]
        for process in processes:
            made.installation.await_ready(process)
        yield made


@pytest.fixture
def operator(live: Scene) -> Iterator[Operator]:
    kafka = KafkaSettings({"bootstrap.servers": live.kafka.bootstrap})
    with Operator(kafka, live.installation.namespace) as made:
        made.fold()
        yield made


def ref(folder: Path) -> ModelRef:
    model = load(str(folder))
    return ModelRef(uri=str(folder), digest=model.digest, name=model.manifest.name, version=model.manifest.version)


def until(live: Scene, fact: Callable[[State], bool], seconds: float, what: str) -> State:
    wait_for(lambda: fact(live.installation.state()), seconds, what, live.alive(), 0.2)
    return live.installation.state()


def references() -> tuple[Reference, ...]:
    """Return the features of the traffic as they come, but for one that was a standard deviation lower once."""
    rng = np.random.default_rng(5)
    return tuple(tenths(name, rng.normal(-1.0 if name == MOVED else 0.0, size=10_000)) for name in FEATURES)


def start(live: Scene, canary: Path, hold_ms: int | None = None) -> State:
    """Start an attempt and wait until its canary gets traffic; with `hold_ms` it stays in the first step."""
    plan = live.installation.plan
    if hold_ms is not None:
        plan = dataclasses.replace(plan, steps=tuple(dataclasses.replace(s, hold_ms=hold_ms) for s in plan.steps))
    live.installation.send(
        Start(rollout="bench", canary=ref(canary), file=plan, issued_by="operator:test", references=references())
    )
    return until(live, lambda s: s.phase is Phase.PROGRESSING, 30, "the first step")


def events(live: Scene) -> list[Event]:
    decode = msgspec.json.Decoder(Event).decode
    return [decode(m.value()) for batch in live.log.read(live.installation.topics.events) for m in batch]


def looks(live: Scene, attempt: int) -> list[Look]:
    decode = msgspec.json.Decoder(Look).decode
    found = [decode(m.value()) for batch in live.log.read(live.installation.topics.looks) for m in batch]
    return [look for look in found if look.attempt == attempt]


def test_a_good_canary_is_promoted_step_by_step(live: Scene) -> None:
    start(live, live.canary)

    state = until(live, lambda s: s.phase is Phase.PROMOTED, 60, "the promotion")

    assert [cohort.weight for cohort in live.installation.revisions().values()] == [0, 0, 10, 50, 0]
    assert state.stable is not None
    assert state.stable.uri == str(live.canary)


def test_the_feature_that_is_not_as_in_training_is_named_and_no_other(live: Scene) -> None:
    last = looks(live, live.installation.state().attempt or 0)[-1]
    found = next(finding for finding in last.findings if finding.check == "inputs")

    assert found.status == "fail"
    assert f"moved: {MOVED} by " in found.reason
    assert "," not in found.reason.partition("(")[0]


def test_the_recorded_looks_replay_to_the_same_decisions(live: Scene) -> None:
    state = live.installation.state()
    assert state.attempt is not None
    assert state.plan is not None
    assert state.frozen is not None
    told = looks(live, state.attempt)
    states = states_at(live.log, live.installation.topics.control, "bench")
    recorded = [
        RecordedLook(number=look.look, now_ms=look.now_ms, state=states[look.control_offset],
                     increments=look.increments, missing=tuple(look.missing))
        for look in told
    ]  # fmt: skip

    again = list(replay(Memory.empty(state.plan, state.frozen), recorded))

    assert [judgement.decision.value for judgement in again] == [look.decision for look in told]
    assert [judgement.reason for judgement in again] == [look.reason for look in told]
    assert "promote" in {look.decision for look in told}


def test_undo_brings_the_former_stable_back_within_thirty_seconds(live: Scene) -> None:
    began = time.monotonic()
    live.installation.send(Undo(rollout="bench", issued_by="operator:test"))

    until(live, lambda s: s.stable is not None and s.stable.uri == str(live.stable), 30, "the former stable")

    assert time.monotonic() - began <= 30


def test_a_canary_that_refuses_one_request_in_twenty_is_rolled_back_on_errors(live: Scene) -> None:
    state = start(live, live.canary.parent / "picky")

    until(live, lambda s: s.phase is Phase.ROLLED_BACK, 60, "the rollback")

    told = looks(live, state.attempt or 0)
    assert told[-1].decision == "rollback"
    assert "errors" in told[-1].reason


CHANGES: list[tuple[Command, Phase, float]] = [
    (Pause(rollout="bench"), Phase.PAUSED, 10),
    (Resume(rollout="bench"), Phase.PROGRESSING, 10),
    (SetWeight(rollout="bench", weight=25), Phase.PAUSED, 25),
    (Rollback(rollout="bench"), Phase.ROLLED_BACK, 0),
]


def test_every_command_of_a_person_is_obeyed_by_all_workers_within_five_seconds(
    live: Scene, operator: Operator
) -> None:
    start(live, live.canary, hold_ms=3_600_000)

    for command, phase, weight in CHANGES:
        began = time.monotonic()
        folded = operator.send(dataclasses.replace(command, issued_by="operator:test"))
        confirmation = operator.confirm("bench", folded.at.offset, CONFIRM_SECONDS)
        assert folded.after is not None
        assert (folded.after.phase, folded.after.weight) == (phase, weight)
        assert (len(confirmation.confirmed), confirmation.is_complete) == (WORKERS, True)
        assert time.monotonic() - began <= CONFIRM_SECONDS


def test_the_last_prediction_under_the_old_weight_follows_a_command_by_less_than_a_second(
    live: Scene, operator: Operator
) -> None:
    before = start(live, live.canary, hold_ms=3_600_000)
    folded = operator.send(Rollback(rollout="bench", issued_by="operator:test"))
    assert folded.after is not None
    operator.confirm("bench", folded.at.offset, CONFIRM_SECONDS)
    revision = folded.after.revision
    wait_for(lambda: newest_revision(live) == revision, 20, "answers under the rollback", live.alive())

    old = [ms for ms, revision in answers(live) if revision == before.revision]

    assert max(old) - folded.at.ms <= 1_000


class Routed(msgspec.Struct):
    revision: int = -1


def answers(live: Scene) -> list[tuple[int, int]]:
    """Return append time and revision of every prediction."""
    decode = msgspec.json.Decoder(Routed).decode
    batches = live.log.read(live.topics.predictions)
    return [(m.timestamp()[1], decode(m.value()).revision) for batch in batches for m in batch]


def newest_revision(live: Scene) -> int:
    return max(revision for _, revision in answers(live))


FOREIGN: list[tuple[bytes, str]] = [
    (b'{"rollout": "bench", "command": "freeze"}', "applied"),
    (b'{"rollout": "bench", "command": "start", "canary": {"uri": "x"}}', "refused"),
    (b'{"rollout": "bench", "command": "unfreeze"}', "applied"),
    (b'{"rollout": "bench", "command": "resume"}', "refused"),
    (b'{"rollout": "bench", "command": "set_weight", "weight": "5"}', "refused"),
    (b'{"rollout": "bench", "command": "freeze", "expected_revision": 1}', "refused"),
    (b"not even JSON", "refused"),
]


def test_raw_json_of_a_foreign_producer_is_obeyed_or_answered_with_a_reason(live: Scene) -> None:
    before = live.installation.state()
    first = live.log.count(live.installation.topics.control)
    for value, _ in FOREIGN:
        live.installation.send_raw(value)
    names = [f"control@{first + i}" for i in range(len(FOREIGN))]

    def answered() -> list[Event]:
        return [e for e in events(live) if e.kind == "result" and e.id in names]

    wait_for(lambda: len(answered()) >= len(FOREIGN), 20, "an answer to each command", live.alive(), 0.2)

    assert [event.result for event in answered()] == [result for _, result in FOREIGN]
    assert all(event.reason for event in answered())
    assert live.installation.state().revision == before.revision + 2


def test_ten_copies_of_a_command_have_one_effect_and_one_answer(live: Scene) -> None:
    before = live.installation.state()
    copy = b'{"rollout": "bench", "command": "freeze", "command_id": "once"}'
    for _ in range(10):
        live.installation.send_raw(copy)
    last = live.log.count(live.installation.topics.control) - 1
    live.installation.send_raw(b'{"rollout": "bench", "command": "unfreeze"}')

    wait_for(lambda: any(e.id == f"control@{last + 1}" for e in events(live)), 20, "the answer", live.alive(), 0.2)

    assert live.installation.state().revision == before.revision + 2
    assert len([event for event in events(live) if event.command_id == "once"]) == 1


def test_the_command_line_does_not_miss_a_judge_while_one_is_alive(live: Scene) -> None:
    start(live, live.canary, hold_ms=3_600_000)

    told = [coalmine(live, verb, "bench") for verb in ("pause", "rollback")]

    assert [(done.returncode, NO_JUDGE in done.stderr) for done in told] == [(0, False), (0, False)]


def test_a_rollback_is_obeyed_with_no_judge_alive_and_the_command_line_says_so(live: Scene, operator: Operator) -> None:
    start(live, live.canary, hold_ms=3_600_000)
    live.analyzers.pop().kill()
    until_silent(live, operator)

    told = coalmine(live, "rollback", "bench")

    assert told.returncode == 0, told.stderr
    assert "rolled back" in told.stdout
    assert f"confirmed by {WORKERS} of {WORKERS} workers" in told.stdout
    assert NO_JUDGE in told.stderr
    assert live.installation.state().weight == 0


def until_silent(live: Scene, operator: Operator) -> None:
    """Wait until no analyzer counts as alive: a killed one says no farewell, its last heartbeat must grow old."""

    def is_silent() -> bool:
        operator.read_heartbeats()
        return not operator.picture.has_judge(operator.clock())

    wait_for(is_silent, HEARTBEAT_LIFE_MS / 1_000 + 5, "the silence of the analyzer", live.alive(), 0.2)


def coalmine(live: Scene, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        **os.environ,
        "COALMINE_KAFKA__BOOTSTRAP_SERVERS": live.kafka.bootstrap,
        "COALMINE_NAMESPACE": live.installation.namespace,
    }
    command = [str(Path(sys.executable).parent / "coalmine"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_after_all_that_every_request_was_answered_exactly_once(live: Scene) -> None:
    live.end_load()
    live.settle()

    codes = live.close()

    assert set(codes) == {0}
    assert live.collect().verdict.problems == {}
