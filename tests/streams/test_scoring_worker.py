"""What a scoring worker knows before its first record, with stand-ins for the topics it follows."""

import asyncio
from pathlib import Path

from coalmine.models import Feature, Linear, OutputKind, pack
from coalmine.policies import ModelRef, Plan, Start, Step, Topics
from coalmine.streams.kafka.client import KafkaSettings
from coalmine.streams.kafka.follower import OnRecord
from coalmine.streams.kafka.reader import LogRecord
from coalmine.streams.scoring.scoring_worker import ScoringSettings, ScoringWorker
from coalmine.streams.wire.codec import encode, encode_command
from coalmine.streams.wire.messages import Fallback, Heartbeat, OpenBreaker

PLAN = Plan(name="r", topics=Topics.of("r"), stable=ModelRef(uri="v1"), steps=(Step(weight=50),))
REPORT = OpenBreaker(rollout="r", attempt=0, revision=1, code="model_error", count=6)
START = encode_command(Start(rollout="r", canary=ModelRef(uri="v2"), file=PLAN))
BEAT = encode(
    Heartbeat(worker="other", host="h", version="0", role="score", time="", control_offset=0, breakers=[REPORT])
)


class Followed:
    """A topic whose records arrive no sooner than somebody waits for them."""

    def __init__(self, on_record: OnRecord, value: bytes) -> None:
        self.on_record = on_record
        self.value = value

    def start(self) -> None:
        pass

    async def caught_up(self) -> None:
        self.on_record(LogRecord(0, 0, True, b"r", self.value, ()))


async def prepared(root: Path) -> ScoringWorker:
    kafka = KafkaSettings({"bootstrap.servers": "127.0.0.1:1"})
    worker = ScoringWorker(PLAN, ScoringSettings(kafka=kafka, namespace="n", model_root=root), same_partitions=True)
    topics = {"control": Followed(worker.fold.fold, START), "workers": Followed(worker.on_heartbeat, BEAT)}
    vars(worker).update(topics)
    await worker.prepare()
    return worker


def test_a_worker_waits_for_the_reports_of_others_before_it_takes_traffic(tmp_path: Path) -> None:
    linear = Linear(logit=False, intercept=0.0, weights={"x": 2.0})
    for version in ("v1", "v2"):
        pack(linear, tmp_path / version, name="m", version=version, features=[Feature(name="x")],
             output=OutputKind.NUMBER, golden=[(1.0,)])  # fmt: skip

    worker = asyncio.run(prepared(tmp_path))

    assert worker.state.attempt == REPORT.attempt
    assert worker.guard.open == REPORT
    assert worker.guard.blocked() is Fallback.BREAKER_OPEN
