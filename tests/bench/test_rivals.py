"""The main rival is fair: it does the whole work, on a real Kafka, and the verifier says so."""

from pathlib import Path

import pytest

from bench.backlog import build
from bench.installation import unique
from bench.kafka_log import Log
from bench.measure import measure
from bench.pair import pack_pair
from bench.runs import RivalRun

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return pack_pair(tmp_path_factory.mktemp("models"))


def test_the_bare_loop_answers_every_request_exactly_once(
    bootstrap: str, tmp_path: Path, models: tuple[Path, Path]
) -> None:
    log, requests, events = Log(bootstrap), unique("backlog-"), 3_000
    build(log, requests, 4, events)
    run = RivalRun(log, "bare", "bench.bare", requests, 4, models, tmp_path, unique("run-"))

    figures = measure(log, run, requests, events, None)

    assert figures.verdict.is_exact, figures.verdict.summary()
    assert figures.verdict.answered == events
