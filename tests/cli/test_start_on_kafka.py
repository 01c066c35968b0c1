"""`coalmine start` says what may be expected at the rate of the requests, on a real Kafka."""

import pytest

from .namespace import DIGEST, Namespace

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module", autouse=True)
def rollouts(namespace: Namespace) -> None:
    """The topics of the rollouts that are started here."""
    applied = namespace.call("topics", "apply", *(namespace.file(name) for name in ("busy", "quiet", "silent")))
    assert applied.exit_code == 0, applied.stderr


def requests(namespace: Namespace, rollout: str, count: int) -> None:
    """Write requests, all of them now."""
    for number in range(count):
        namespace.producer.produce(f"{rollout}.requests", value=b"{}", key=str(number))
    assert namespace.producer.flush(10) == 0


def begin(namespace: Namespace, rollout: str, *more: str) -> tuple[int, str]:
    result = namespace.call("start", rollout, "--canary", "c/2", "--digest", DIGEST, "--file", namespace.file(rollout),
                            "--no-wait", *more)  # fmt: skip
    return result.exit_code, result.stderr


def test_start_tells_when_the_promotion_is_due(namespace: Namespace) -> None:
    requests(namespace, "busy", 3_000)
    code, text = begin(namespace, "busy")

    assert code == 0, text
    assert "/s: a canary as good as stable: promoted after " in text


def test_start_asks_where_the_traffic_cannot_bring_an_answer_in_time(namespace: Namespace) -> None:
    requests(namespace, "quiet", 3)
    refused, text = begin(namespace, "quiet")
    begun, _ = begin(namespace, "quiet", "--yes")

    assert (refused, begun) == (1, 0)
    assert "error: at this rate the attempt will not end before its deadline; add --yes to go on" in text


def test_start_says_nothing_of_a_rate_where_there_is_no_traffic(namespace: Namespace) -> None:
    code, text = begin(namespace, "silent")

    assert code == 0, text
    assert "estimate" not in text
