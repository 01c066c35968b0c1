"""From outcomes on the wire to the screen: predictions that move, one error code, fallbacks. All but the broker."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec
import pytest

from coalmine.cli.findings import explain
from coalmine.errors import DecodeError
from coalmine.policies import Analysis, Check, Metric, Phase, Plan, Reference, Role, counting_of
from coalmine.streams.analysis.evidence import check
from coalmine.streams.analysis.partition_tally import PartitionTally
from coalmine.streams.wire.codec import encode
from coalmine.streams.wire.messages import Call, Evidence, FindingRecord, Outcome
from tests.streams.judge_world import PARTITIONS, PLAN, World
from tests.streams.outcome_log import Record

DRIFT = Check(name="drift", metric=Metric.PREDICTION_DRIFT, margin=0.1, tolerance=0.05, role=Role.SIGNAL)
BROKEN = Check(name="broken", metric=Metric.ERROR_CODE, margin=0.05, code="bad_output")
INPUTS = Check(name="inputs", metric=Metric.FEATURE_DRIFT, margin=0.1, limit=0.1, role=Role.SIGNAL)
RESCUED = Check(name="rescued", metric=Metric.FALLBACK_RATE, margin=0.05, limit=0.05, role=Role.SIGNAL)


AGE = Reference(name="age", edges=(5.0,), counts=(5_000, 5_000))


def judged_by(*checks: Check) -> Plan:
    return replace(PLAN, analysis=Analysis(every_ms=1_000, checks=(*PLAN.analysis.checks, *checks)))


@dataclass
class Wire(World):
    """A world whose evidence comes from encoded outcomes. The canary's scores are raised to the power `bend`.

    Of its rows the shares `broken` fail by themselves and `blocked` are no evidence, with the code of each. Of requests
    the share `fast` has an age of more than 5, where half had it in training.
    """

    bend: float = 1.0
    broken: float = 0.0
    blocked: float = 0.0
    fast: float = 0.5
    tallies: list[PartitionTally] = field(default_factory=lambda: [PartitionTally(p, {}) for p in range(PARTITIONS)])

    def traffic(self, rows: int = 400, fault_rate: float = 0.0, ts: int | None = None) -> None:
        for tally in self.tallies:
            first = tally.next_offset
            records = [Record(first + n, encode(self.outcome(tally.partition, first + n))) for n in range(rows)]
            tally.fold(records, counting_of(self.plan.analysis))
            self.offsets[tally.partition] = tally.next_offset
            for record in tally.publication("flights", self.wall_ms, tally.next_offset):
                read = msgspec.json.decode(encode(record), type=Evidence)
                check(read)
                self.evidence.append(read)
                self.judge.add(read, len(self.evidence) - 1)

    def outcome(self, partition: int, offset: int) -> Outcome:
        mine = self.random.random() * 100 < self.state.weight
        fails, blocked = (mine and self.random.random() < share for share in (self.broken, self.blocked))
        score = self.random.random()
        return Outcome(
            id=f"{partition}-{offset}", src=f"flights.requests/{partition}@{offset}", rollout="flights",
            variant="canary" if mine else "stable", model_version="1", mode="live", ok=not (fails or blocked),
            latency_ms=1.0, ts=self.wall_ms, revision=self.state.revision, u=0, bucket=offset % 64,
            prediction=score**self.bend if mine else score, call=Call(1, 2.0), evidence=not blocked,
            error_code="not_ready" if blocked else "bad_output" if fails else None,
            key_hash=f"{offset:016x}" if fails or blocked else None,
            features=self.asked() if self.state.references and offset % 10 == 0 else None,
        )  # fmt: skip

    def asked(self) -> dict[str, list[int]]:
        return {AGE.name: AGE.count([float(5 + (self.random.random() < self.fast)) for _ in range(10)])}

    def last(self, name: str) -> FindingRecord:
        return next(finding for finding in self.looks[-1].findings if finding.check == name)

    def screen(self, name: str) -> str:
        view = self.judge.view(self.state, self.around())
        return explain(view, self.looks[-1], self.plan, datetime.fromtimestamp(self.wall_ms / 1000, UTC), name)


def test_scores_that_moved_hold_the_ramp_and_the_screen_says_so() -> None:
    world = Wire(plan=judged_by(DRIFT), bend=2.0)

    world.start().run(20)

    assert (world.state.phase, world.state.step, world.looks[-1].decision) == (Phase.PROGRESSING, 1, "hold")
    assert world.last("drift").status == "fail"
    assert "distance: 0.2" in world.screen("drift")
    assert "most changed: at most 0.0" in world.screen("drift")


def test_scores_that_did_not_move_go_up_to_the_end() -> None:
    world = Wire(plan=judged_by(DRIFT))

    assert world.start().run(40).state.phase is Phase.PROMOTED


def test_a_judge_that_dies_at_every_look_comes_to_the_same_end() -> None:
    world = Wire(plan=judged_by(DRIFT), bend=2.0, dies=("stored",))

    world.start().run(30)

    assert len(world.died) > 5
    assert (world.state.step, world.last("drift").status) == (1, "fail")


def test_rows_that_fail_with_a_code_take_the_canary_back() -> None:
    world = Wire(plan=judged_by(BROKEN), broken=0.2)

    world.start().run(20)

    assert world.state.phase is Phase.ROLLED_BACK
    assert world.last("broken").status == "fail"


def test_fallbacks_of_batches_that_are_no_evidence_hold_the_ramp() -> None:
    world = Wire(plan=judged_by(RESCUED), blocked=0.3)

    world.start().run(20)

    assert (world.state.phase, world.state.step, world.last("rescued").status) == (Phase.PROGRESSING, 1, "fail")


def test_without_fallbacks_it_goes_up_to_the_end() -> None:
    world = Wire(plan=judged_by(RESCUED))

    world.start().run(20)

    assert world.state.phase is Phase.PROMOTED


def test_requests_unlike_those_of_training_hold_the_ramp_and_the_screen_names_the_feature() -> None:
    world = Wire(plan=judged_by(INPUTS), fast=0.9)

    world.start(references=(AGE,)).run(20)

    assert (world.state.phase, world.state.step, world.last("inputs").status) == (Phase.PROGRESSING, 1, "fail")
    assert "moved: age by 40 %" in world.screen("inputs")
    assert "    age: 40 % in total variation (PSI 0.8" in world.screen("inputs")
    assert "e-value over 1,000,000 of 20 [####################] that any is above 10 %" in world.screen("inputs")


def test_requests_like_those_of_training_hold_nothing() -> None:
    world = Wire(plan=judged_by(INPUTS))

    assert world.start(references=(AGE,)).run(20).state.phase is Phase.PROMOTED


def test_a_start_by_hand_brings_no_references_and_the_check_says_what_is_missing() -> None:
    world = Wire(plan=judged_by(INPUTS))

    assert world.start().run(20).state.phase is Phase.PROMOTED
    assert "pack it with reference" in world.screen("inputs")


HOSTILE = [
    {"features": {"age": [-1]}},
    {"features": {"age": 1}},
    {"predicted": {"classes": {"late": 2}}},
    {"predicted": {"classes": {"late": -1}}},
    {"predicted": {"cells": "not base64"}},
    {"predicted": {"cells": "////////////////"}},
    {"predicted": {"cells": "gICA"}},
    {"predicted": {"cells": "AQ=="}},
    {"predicted": {"cells": "//8BAQ=="}},
    {"predicted": {"other": 2}},
    {"predicted": []},
]


@pytest.mark.parametrize("sums", HOSTILE)
def test_predictions_that_no_tally_has_counted_are_no_evidence(sums: dict[str, object]) -> None:
    record = Evidence(rollout="flights", revision=1, partition=0, offset=1, ts=1, sums={"stable": {"rows": 1, **sums}})

    with pytest.raises(DecodeError):
        check(record)
