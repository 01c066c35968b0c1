"""The records of a run, read from its topics and judged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from confluent_kafka import Message
from numpy.typing import NDArray

from .checker import Checker, Verdict
from .columns import Answer, Request, Told
from .kafka_log import Log
from .laws import Cohort

__all__ = ["Collected", "RunTopics", "collect"]

LONGEST_ID = 128
"""Characters of an id that coalmine accepts; a request with a longer one is known by its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTopics:
    """Where the records of a run are; a rival has no dead letters."""

    requests: str
    predictions: str
    outcomes: str
    dead_letters: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """A run as its topics show it.

    `answered_ms`: the broker's append time (epoch ms) of every record of `predictions`, rising. `first_ms`,
    `last_ms`: of all outputs. `sizes`: mean bytes of a value by topic.
    """

    verdict: Verdict
    answered_ms: NDArray[np.int64]
    first_ms: int
    last_ms: int
    sizes: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """Time from the first to the last output."""
        return (self.last_ms - self.first_ms) / 1e3


def collect(log: Log, topics: RunTopics, revisions: Mapping[int, Cohort]) -> Collected:
    """Return everything about a run; its outputs must carry the broker's clock."""
    checker = Checker(revisions)
    for batch in filter(None, log.read(topics.requests)):
        checker.asked(topics.requests, batch[0].partition(), batch[0].offset(), map(request_of, batch))
    answered, told, sizes = Times(), Times(), {}
    decode_answer, decode_told = msgspec.json.Decoder(Answer).decode, msgspec.json.Decoder(Told).decode
    for batch in log.read(topics.predictions):
        checker.answered([decode_answer(value) for value in answered.add(batch)])
    for batch in log.read(topics.outcomes):
        checker.told([decode_told(value) for value in told.add(batch)])
    if topics.dead_letters is not None:
        for batch in log.read(topics.dead_letters):
            checker.buried(map(buried_place, batch))
    sizes = {topics.predictions: answered.mean_size, topics.outcomes: told.mean_size}
    times = np.sort(np.concatenate([answered.ms(), told.ms()]))
    return Collected(
        verdict=checker.verdict(),
        answered_ms=np.sort(answered.ms()),
        first_ms=int(times[0]) if len(times) else 0,
        last_ms=int(times[-1]) if len(times) else 0,
        sizes=sizes,
    )


class Times:
    """Append times and sizes of the records of a topic."""

    def __init__(self) -> None:
        self._ms: list[NDArray[np.int64]] = []
        self._bytes = 0

    def add(self, batch: Sequence[Message]) -> list[bytes]:
        """Note a batch and return its values."""
        self._ms.append(np.array([message.timestamp()[1] for message in batch], np.int64))
        values = [message.value() for message in batch]
        self._bytes += sum(map(len, values))
        return values

    def ms(self) -> NDArray[np.int64]:
        """Return the append times (epoch ms) in the order of reading."""
        return np.concatenate([np.empty(0, np.int64), *self._ms])

    @property
    def mean_size(self) -> float:
        """Mean bytes of a value; 0 without records."""
        return self._bytes / max(1, len(self.ms()))


decode_request = msgspec.json.Decoder(Request).decode


def request_of(message: Message) -> Request:
    """Return id and key of a request as far as they can be read; the key is that of the record where there is none."""
    try:
        request = decode_request(message.value() or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        request = Request()
    if request.id is not None and len(request.id) > LONGEST_ID:
        request.id = None
    if request.key is None and message.key() is not None:
        request.key = message.key().decode(errors="replace")
    return request


def buried_place(message: Message) -> tuple[int, int]:
    """Return partition and offset of the request that a dead letter came from."""
    headers: Iterable[tuple[str, bytes]] = message.headers() or ()
    facts = {name: value.decode() for name, value in headers if name.startswith("__coalmine.errors.")}
    return int(facts["__coalmine.errors.partition"]), int(facts["__coalmine.errors.offset"])
