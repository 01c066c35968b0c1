"""What is known of requests after they were read: the good ones as columns, the rejected ones with their errors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from coalmine.errors import DecodeError

from .codec import MAX_HEADERS

__all__ = ["Headers", "Rejected", "RequestRecord", "Requests", "field_reader", "passed_on"]

PASSED_HEADERS = frozenset({"traceparent", "tracestate", "baggage"})
"""Headers that go from a request to its answer untouched."""

Headers = list[tuple[str, bytes]]


class RequestRecord(Protocol):
    """What is read of a consumed record; `intake.Record` is one. `timestamp` is epoch ms."""

    @property
    def topic(self) -> str:
        """Topic of the requests."""
        ...

    @property
    def partition(self) -> int:
        """Partition of the record."""
        ...

    @property
    def offset(self) -> int:
        """Offset in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Kafka's time of the record, epoch ms."""
        ...

    @property
    def key(self) -> bytes | None:
        """Kafka key, as bytes."""
        ...

    @property
    def value(self) -> bytes | None:
        """The request itself, as bytes."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Names and bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Rejected:
    """A request that gets an error record; `dead_letter` is False where there is nothing to repair (too old)."""

    record: RequestRecord
    id: str
    ts: int
    error: DecodeError
    dead_letter: bool = True


@dataclass(slots=True)
class Requests:
    """The good requests of one poll as columns, a partition's in offset order, and the rejected ones.

    `keys` are the bytes that are hashed, `kafka_keys` the keys of the answers, `ts` epoch ms of the event.
    `headers` holds only the rows that carry headers to pass on. `attributes` maps the name of a feature to that of
    its attribute in the decoded features: names of features need not be identifiers.
    """

    attributes: Mapping[str, str]
    srcs: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    kafka_keys: list[bytes] = field(default_factory=list)
    ts: list[int] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    records: list[RequestRecord] = field(default_factory=list)
    headers: dict[int, Headers] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def column(self, name: str) -> list[str | None]:
        """Return `segment.<name>` or `feature.<name>` of every row as text, None where absent."""
        read = field_reader(name, self.attributes)
        return [read(request) for request in self.requests]

    def cells(self, name: str, rows: Sequence[int]) -> list[Any]:
        """Return a feature of some rows as it was sent, None where absent; KeyError if no model has it."""
        requests = self.requests
        cells = [getattr(requests[row].features, self.attributes[name]) for row in rows]
        return [None if cell is msgspec.UNSET else cell for cell in cells]


def passed_on(headers: Sequence[tuple[str, bytes]]) -> Headers:
    """Return the headers of a request that its answer carries too; only as many are looked at as a request may have."""
    return [(name, data) for name, data in headers[:MAX_HEADERS] if name in PASSED_HEADERS]


def field_reader(name: str, attributes: Mapping[str, str]) -> Callable[[Any], str | None]:
    """Return a function from a decoded request to the text of `segment.<name>` or `feature.<name>`."""
    kind, _, member = name.partition(".")
    attribute = attributes.get(member, "")

    def segment(request: Any) -> str | None:
        return request.segment.get(member) if request.segment else None

    def feature(request: Any) -> str | None:
        value = getattr(request.features, attribute, None)
        return None if value is None or value is msgspec.UNSET else str(value)

    return segment if kind == "segment" else feature
