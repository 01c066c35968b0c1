"""Fixtures that more than one part of the tests needs: a real Kafka and topics on it."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.kafka.broker import Broker, create_topics, missing

REQUIRED = os.environ.get("COALMINE_REQUIRE_KAFKA") == "1"
"""Set where a broker was promised: there a missing one is a failure, not a skip."""

NewTopics = Callable[..., str]


def pytest_configure() -> None:
    """Let Ctrl-C reach the tests and their processes: a shell ignores it for what it starts in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def no_broker(reason: str) -> None:
    """Skip the test, or fail it where a broker was promised."""
    if REQUIRED:
        pytest.fail(f"COALMINE_REQUIRE_KAFKA is set, but {reason}")
    pytest.skip(f"needs a real Kafka: {reason}")


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A Kafka of our own, one for each test process; who freezes it resumes it, who kills it starts it."""
    if reason := missing():
        no_broker(reason)
    with Broker() as running:
        yield running


@pytest.fixture(scope="session")
def bootstrap(request: pytest.FixtureRequest) -> str:
    """The address of a Kafka: that of `COALMINE_TEST_BOOTSTRAP`, else our own."""
    given = os.environ.get("COALMINE_TEST_BOOTSTRAP")
    if given:
        return given
    own: Broker = request.getfixturevalue("broker")
    return own.bootstrap


@pytest.fixture
def new_topic(bootstrap: str) -> NewTopics:
    """Make topics with names nobody else uses: `new_topic("requests", partitions=4, config={...}) -> name`."""
    run = uuid.uuid4().hex[:8]

    def create(name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        unique = f"{name}-{run}"
        create_topics(bootstrap, {unique: partitions}, config)
        return unique

    return create
