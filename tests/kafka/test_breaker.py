"""The circuit breaker over a worker's death, on a real Kafka: one scoring worker, its successor, and nobody who judges.

A canary that refuses most requests is cut by the worker it runs on; that worker is killed, and what it reported is all
that its successor can know of it.
"""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka
import msgspec
import numpy as np
import pytest

from bench.measure import wait_for
from bench.pair import pack_pair, train
from bench.rig import Site
from bench.scene import Scene, scene
from bench.traffic import FEATURES, Traffic, number_of
from coalmine.models import Feature, OutputKind, pack
from coalmine.streams.wire.messages import OpenBreaker, Outcome, Prediction

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

STEPS = "  - {weight: 50%, hold: 24h, samples: 100}"
"""A rollout that stays in its first step."""

LEAST = 0.5
"""What the canary demands of a feature; two requests in three have less. Of a call whose rows are all refused the
breaker counts one failure, so a canary that refuses everything would need many calls."""

BEFORE, AFTER = range(200), range(200, 400)
"""The numbers of the requests before the kill and after it."""


def pack_choosy(folder: Path) -> tuple[Path, Path]:
    """Write stable and a canary that loads, passes its golden rows, and refuses two requests in three."""
    stable, canary = pack_pair(folder)
    features = [Feature(name=name, minimum=LEAST if name == FEATURES[0] else None) for name in FEATURES]
    golden = [(LEAST, *row) for row in np.random.default_rng(3).uniform(-1, 1, size=(3, len(FEATURES) - 1)).tolist()]
    pack(train(2), canary, name="bench", version="2", features=features, output=OutputKind.PROBABILITY, golden=golden)
    return stable, canary


@pytest.fixture
def live(bootstrap: str) -> Iterator[Scene]:
    with scene(Site(bootstrap, None), STEPS, pack=pack_choosy) as made:
        made.installation.start(made.canary)
        made.installation.enter_first_step()
        yield made


def ask(live: Scene, numbers: range) -> None:
    """Send the requests with these numbers."""
    producer = confluent_kafka.Producer({"bootstrap.servers": live.kafka.bootstrap, "log_level": 0})
    traffic, now_ms = Traffic(), round(time.time() * 1000)
    for number in numbers:
        producer.produce(live.topics.requests, traffic.value(number, now_ms), traffic.key(number))
    assert producer.flush(30) == 0


def values(live: Scene, topic: str) -> list[bytes]:
    return [message.value() or b"" for batch in live.log.read(topic) for message in batch]


def reports(live: Scene, pid: int) -> list[OpenBreaker]:
    """Return the open breakers that a process has told of, a heartbeat at a time."""
    return [report for beat in live.installation.beats_of(pid) for report in beat.breakers]


def test_a_canary_that_was_cut_is_not_asked_again_by_the_worker_that_follows_a_killed_one(live: Scene) -> None:
    first = live.add_scorer()
    ask(live, BEFORE)
    live.installation.await_ready(first)
    live.settle()
    wait_for(lambda: bool(reports(live, first.pid)), 20, "a report of the open breaker", live.alive(), 0.1)

    first.kill()
    live.scorers.remove(first)
    ask(live, AFTER)
    second = live.add_scorer()
    live.installation.await_ready(second)
    live.settle()

    report = reports(live, first.pid)[0]
    assert (report.attempt, report.code) == (live.installation.state().attempt, "model_error")
    outcomes = [msgspec.json.decode(value, type=Outcome) for value in values(live, live.topics.outcomes)]
    told = [outcome for outcome in outcomes if outcome.variant == "canary"]
    assert "model_error" in {outcome.error_code for outcome in told if number_of(outcome.id) in BEFORE}
    assert {outcome.error_code for outcome in told if number_of(outcome.id) in AFTER} == {"breaker_open"}
    answers = [msgspec.json.decode(value, type=Prediction) for value in values(live, live.topics.predictions)]
    assert Counter(number_of(answer.id) for answer in answers) == Counter([*BEFORE, *AFTER])
    rescued = [answer for answer in answers if answer.variant == "canary" and number_of(answer.id) in AFTER]
    assert {(answer.fallback, answer.model_version) for answer in rescued} == {("breaker_open", "1")}
    assert set(map(str, reports(live, second.pid))) == {str(report)}
