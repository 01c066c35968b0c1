"""Requests become typed rows; every bad one is rejected with the code and field its producer needs."""

import json
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from coalmine.models import Feature, FeatureType, Flavor, Golden, GoldenRow, Manifest, OutputKind, PackageFile
from coalmine.streams.wire.request_decoder import RequestDecoder
from coalmine.streams.wire.requests import Requests

NOW = 1_700_000_000_000


def manifest(*features: Feature) -> Manifest:
    return Manifest(
        name="m",
        version="1",
        flavor=Flavor.LINEAR,
        features=features,
        output=OutputKind.NUMBER,
        files=(PackageFile(name="m.json", size=1, sha256="0" * 64),),
        golden=Golden((GoldenRow((0.0,) * len(features), 0.0),)),
    )


STABLE = manifest(
    Feature(name="amount", minimum=0, maximum=1e6),
    Feature(name="carrier", type=FeatureType.STRING, categories=("AA", "UA")),
    Feature(name="night", type=FeatureType.BOOLEAN, nullable=True),
)
CANARY = manifest(Feature(name="amount"), Feature(name="delay"))


@dataclass
class Record:
    value: bytes | None
    key: bytes | None = None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    offset: int = 7
    topic: str = "r.requests"
    partition: int = 2
    timestamp: int = NOW - 5


def request(**changes: Any) -> bytes:
    body: dict[str, Any] = {"id": "a", "features": {"amount": 1, "carrier": "AA", "night": True}}
    return json.dumps({**body, **changes}).encode()


def read(value: bytes | None, **record: Any) -> Requests:
    return RequestDecoder(STABLE, CANARY).read([Record(value, **record)], NOW)


def test_a_good_request_becomes_a_row_in_manifest_order() -> None:
    decoder = RequestDecoder(STABLE, CANARY)
    batch = decoder.read([Record(request(delay=1))], NOW)

    assert decoder.rows(batch, STABLE, [0]) == [(1.0, "AA", True)]
    assert (batch.ids, batch.srcs, batch.ts) == (["a"], ["r.requests/2@7"], [NOW - 5])


def test_features_that_only_the_canary_knows_pass_through_untyped() -> None:
    decoder = RequestDecoder(STABLE, CANARY)
    value = request(features={"amount": 1, "carrier": "AA", "delay": "not a number"})
    batch = decoder.read([Record(value)], NOW)

    assert decoder.rows(batch, CANARY, [0]) == [(1.0, "not a number")]


def test_an_array_of_features_is_read_in_manifest_order() -> None:
    numbers = manifest(Feature(name="b"), Feature(name="a"))
    decoder = RequestDecoder(numbers)
    batch = decoder.read([Record(b'{"features": [1, 2.5]}')], NOW)

    assert decoder.rows(batch, numbers, [0]) == [(1.0, 2.5)]


@pytest.mark.parametrize(
    ("value", "kafka_key", "expected"),
    [
        (request(key="k"), b"kafka", b"k"),
        (request(), b"kafka", b"kafka"),
        (request(), None, b"a"),
        (request(id=None), None, b"r.requests/2@7"),
    ],
)
def test_the_key_is_the_field_then_the_kafka_key_then_the_id(
    value: bytes, kafka_key: bytes | None, expected: bytes
) -> None:
    assert read(value, key=kafka_key).keys == [expected]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("user", request(user="u1")),
        ("segment.user", request(segment={"user": "u1"})),
        ("feature.carrier", request(features={"amount": 1, "carrier": "UA"})),
    ],
)
def test_the_routing_key_may_be_any_named_field(key: str, value: bytes) -> None:
    batch = RequestDecoder(STABLE, key=key).read([Record(value)], NOW)

    assert batch.keys in ([b"u1"], [b"UA"])


def test_names_of_features_need_not_be_identifiers() -> None:
    odd = manifest(Feature(name="dep-delay"), Feature(name="a b"), Feature(name="class"))
    decoder = RequestDecoder(odd, manifest(Feature(name="1x")))
    batch = decoder.read([Record(b'{"features": {"a b": 2, "dep-delay": 1, "class": 3, "1x": 4}}')], NOW)

    assert decoder.rows(batch, odd, [0]) == [(1.0, 2.0, 3.0)]
    assert batch.column("feature.a b") == ["2.0"]


def test_the_request_id_may_be_the_routing_key() -> None:
    batch = RequestDecoder(STABLE, key="id").read([Record(request(id="r-7", key="k"))], NOW)

    assert batch.keys == [b"r-7"]


@pytest.mark.parametrize("kafka_ms", [-1, NOW + 10**12])
def test_a_kafka_timestamp_that_nobody_can_believe_is_replaced_by_now(kafka_ms: int) -> None:
    assert read(request(), timestamp=kafka_ms).ts == [NOW]


def test_a_request_without_id_takes_the_id_of_its_cloud_event() -> None:
    assert read(request(id=None), headers=[("ce_id", b"event-1")]).ids == ["event-1"]


def test_a_structured_cloud_event_is_unwrapped() -> None:
    event = {"specversion": "1.0", "id": "e1", "data": json.loads(request(id=None))}

    assert read(json.dumps(event).encode()).ids == ["e1"]


def test_trace_headers_are_kept_and_others_are_not() -> None:
    batch = read(request(), headers=[("traceparent", b"00-1"), ("cookie", b"secret")])

    assert batch.headers == {0: [("traceparent", b"00-1")]}


F = {"amount": 1, "carrier": "AA"}
BAD: list[tuple[bytes | None, str, str]] = [
    (None, "bad_json", "no value"),
    (b"", "bad_json", "truncated"),
    (b"\x00\x00\x00\x00\x05{}", "registry_framing", "Schema Registry"),
    (b"\xef\xbb\xbf{}", "bad_json", "byte order mark"),
    (b'{"id": "\xff", "features": {}}', "bad_json", "UTF-8"),
    (request().replace(b'"id"', b'"meta": "\xff", "id"'), "bad_json", "UTF-8"),
    (b'{"features": {"amount": NaN}}', "bad_json", "malformed"),
    (b'{"features": {"amount": 1e400}}', "bad_type", "out of range"),
    (b'{"x":' * 50_000, "bad_json", "nested"),
    (b"[]", "bad_type", "JSON object, not array"),
    (b'"text"', "bad_type", "JSON object, not string"),
    (b'{"inputs": []}', "missing_feature", "Open Inference"),
    (b"{}", "missing_feature", "`features` is missing"),
    (request(features={"carrier": "AA"}), "missing_feature", "feature 'amount' is missing"),
    (request(features=[1]), "missing_feature", "has 1 numbers; the model takes 3"),
    (request(features="x"), "bad_type", "object or an array, not string"),
    (request(features={**F, "amount": "1"}), "bad_type", "'amount' must be a number, not string"),
    (request(features={**F, "amount": True}), "bad_type", "'amount' must be a number, not boolean"),
    (request(features={**F, "amount": None}), "missing_feature", "'amount' must be a number, not null"),
    (request(features={**F, "amount": -1}), "out_of_range", "'amount' is outside 0 to 1000000"),
    (request(features={**F, "carrier": "ZZ"}), "unknown_category", "'carrier' has a value"),
    (request(features={**F, "night": 1}), "bad_type", "'night' must be true or false, not number"),
    (request(id=5), "bad_type", "`id` must be a string, not number"),
    (request(id=""), "out_of_range", "`id` must have 1 to 128"),
    (request(id="x" * 129), "out_of_range", "`id` must have 1 to 128"),
    (request(key=[1]), "bad_type", "`key` must be a string, not array"),
    (request(ts="yesterday"), "bad_type", "RFC 3339"),
    (request(ts="2013-03-01T05:17:00"), "bad_type", "time zone"),
    (request(ts=1.5), "bad_type", "epoch milliseconds"),
    (request(ts=-1), "out_of_range", "`ts`"),
    (request(ts=NOW + 86_400_001), "out_of_range", "a day ahead"),
    (request(segment={"a": 1}), "bad_type", "`segment` must be an object of strings"),
    (request(segment={str(i): "x" for i in range(9)}), "out_of_range", "at most 8"),
    (request(v=2), "unsupported_version", "`v` must be 1"),
    (b" " * 1_000_001, "too_large", "at most 1000000"),
]


@pytest.mark.parametrize(("value", "code", "words"), BAD)
def test_a_bad_request_is_rejected_with_code_and_field(value: bytes | None, code: str, words: str) -> None:
    batch = read(value)

    assert len(batch) == 0
    assert (batch.rejected[0].error.code, words in batch.rejected[0].error.message) == (code, True)


def test_a_rejected_request_keeps_its_id_where_the_json_can_be_read() -> None:
    assert read(request(features={})).rejected[0].id == "a"


def test_a_request_older_than_the_deadline_has_nothing_to_repair() -> None:
    batch = RequestDecoder(STABLE).read([Record(request(ts=NOW - 2001))], NOW, deadline_ms=2000)

    assert (batch.rejected[0].error.code, batch.rejected[0].dead_letter) == ("deadline_exceeded", False)


def test_the_message_of_a_rejected_request_never_quotes_its_values() -> None:
    secret = request(features={**F, "carrier": "4711-secret"}, id="b")

    assert "4711" not in read(secret).rejected[0].error.message


def damaged(rng: random.Random, value: bytes) -> bytes:
    data = bytearray(value)
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(data))
        data[at : at + rng.randint(0, 3)] = bytes(rng.randrange(256) for _ in range(rng.randint(0, 3)))
    return bytes(data)


def test_a_hundred_thousand_damaged_requests_are_read_or_rejected() -> None:
    rng = random.Random(2)
    seed = request(key="k", ts=NOW, segment={"a": "b"}, meta={"deep": [1, {"x": "é"}]})
    records = [Record(damaged(rng, seed), offset=i) for i in range(100_000)]

    batch = RequestDecoder(STABLE, CANARY).read(records, NOW)

    assert len(batch) + len(batch.rejected) == 100_000
    assert min(len(batch), len(batch.rejected)) > 1_000
