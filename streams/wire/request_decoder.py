"""Records of the requests topic to a batch of typed rows.

The decoder is built from the manifests of the loaded models: stable's decides what a bad request is, so a missing
feature or a wrong type is found while the JSON is parsed. Features that only the canary knows pass through as they
are; a row that only the canary refuses is the canary's fault, not the producer's.

The fast path is typed and says little when it fails; then `diagnosis` looks at the same bytes again, slowly, to
name the field and the code.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from coalmine.errors import DecodeError
from coalmine.models import Feature, FeatureType, Manifest

from .codec import MAX_HEADERS, MAX_ID_CHARACTERS, MAX_KEY_BYTES, check_limits, parse
from .diagnosis import MAX_AHEAD_MS, diagnose
from .messages import VERSION, RequestCode
from .requests import Rejected, RequestRecord, Requests, field_reader, passed_on

__all__ = ["RequestDecoder"]

Row = tuple[Any, ...]


def feature_type(feature: Feature) -> Any:
    """Return the type a decoder checks for one feature, bounds and categories included."""
    kind: Any
    if feature.type is FeatureType.NUMBER:
        kind = Annotated[float, msgspec.Meta(ge=feature.minimum, le=feature.maximum)]
    elif feature.type is FeatureType.BOOLEAN:
        kind = bool
    else:
        kind = str
    return kind | None if feature.nullable else kind


def features_struct(stable: Manifest, canary: Manifest | None) -> type[msgspec.Struct]:
    """Return a struct of stable's features, typed, then those that only the canary has, untyped and optional."""
    known = {f.name for f in stable.features}
    extra = [f for f in canary.features if f.name not in known] if canary else []
    names = {f"f{i}": f.name for i, f in enumerate([*stable.features, *extra])}
    types = [*map(feature_type, stable.features), *(Any for _ in extra)]
    optional = [*(f.nullable for f in stable.features), *(True for _ in extra)]
    members: list[Any] = [
        (attribute, kind, None) if absent else (attribute, kind)
        for attribute, kind, absent in zip(names, types, optional, strict=True)
    ]
    return msgspec.defstruct("Features", members, kw_only=True, rename=names)


def attributes_of(features: type[msgspec.Struct]) -> dict[str, str]:
    """Return the attribute of each feature by its name."""
    return dict(zip(features.__struct_encode_fields__, features.__struct_fields__, strict=True))


def request_struct(features: type[msgspec.Struct], key_name: str) -> type[msgspec.Struct]:
    """Return the struct of a whole request; `key_name` is the top-level field that holds the routing key."""
    identity: Any = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARACTERS)]
    key: Any = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY_BYTES)]
    segment: Any = Annotated[dict[str, str], msgspec.Meta(max_length=8)]
    members = [
        ("features", features | list[float | None] | msgspec.UnsetType, UNSET),
        ("id", identity | None, None),
        ("key", key | None, None),
        ("ts", int | datetime | None, None),
        ("segment", segment | None, None),
        ("meta", msgspec.Raw | msgspec.UnsetType, UNSET),
        ("v", int, 1),
        ("specversion", str | None, None),
        ("data", msgspec.Raw | msgspec.UnsetType, UNSET),
    ]
    return msgspec.defstruct("Request", members, rename={"key": key_name})


def key_reader(key: str, attributes: Mapping[str, str]) -> Callable[[Any], str | None] | None:
    """Return how to read a routing key that is not a top-level field of its own, None if it is one."""
    if key == "id":
        return operator.attrgetter("id")
    return field_reader(key, attributes) if key.startswith(("segment.", "feature.")) else None


class RequestDecoder:
    """Reads requests for the models that are loaded.

    Parameters
    ----------
    stable, canary
        Manifests; stable's features are required, the canary's own are passed through.
    key
        The field that holds the routing key: a top-level name, `id`, `segment.<name>` or `feature.<name>`.
    """

    def __init__(self, stable: Manifest, canary: Manifest | None = None, key: str = "key") -> None:
        self.stable = stable
        self.features = features_struct(stable, canary)
        self.attributes = attributes_of(self.features)
        self.key_reader = key_reader(key, self.attributes)
        self.key_name = "key" if self.key_reader else key
        self.decode_json: Callable[[bytes], Any] = msgspec.json.Decoder(
            request_struct(self.features, self.key_name)
        ).decode
        self.categories = {f.name: frozenset(f.categories) for f in stable.features if f.categories}

    def rows(self, batch: Requests, manifest: Manifest, indices: Sequence[int]) -> list[Row]:
        """Return the cells that `manifest` names, in its order, for the rows `indices` of the batch."""
        names = [self.attributes[f.name] for f in manifest.features]
        requests = batch.requests
        if tuple(names) == self.features.__struct_fields__:  # five times as fast as naming each
            return [astuple(requests[i].features) for i in indices]
        if len(names) == 1:
            return [(getattr(requests[i].features, names[0]),) for i in indices]
        read = operator.attrgetter(*names)
        return [read(requests[i].features) for i in indices]

    def read(self, records: Sequence[RequestRecord], now_ms: int, deadline_ms: int | None = None) -> Requests:
        """Return the batch of `records` (one topic; a partition's in offset order).

        `now_ms` is epoch ms; a request older than `deadline_ms` is rejected as `deadline_exceeded`.
        """
        batch = Requests(self.attributes)
        partition, prefix = -1, ""
        for record in records:
            if record.partition != partition:
                partition = record.partition
                prefix = f"{record.topic}/{partition}@"
            src = prefix + str(record.offset)
            try:
                self.read_one(record, src, batch, now_ms, deadline_ms)
            except DecodeError as error:
                # Its traceback would hold this frame, and so the whole batch, until the collector comes by.
                error.__cause__ = error.__context__ = None
                batch.rejected.append(self.reject(record, src, error.with_traceback(None)))
        return batch

    def read_one(self, record: RequestRecord, src: str, batch: Requests, now_ms: int, deadline_ms: int | None) -> None:
        """Append one record to the batch; raise DecodeError naming the field that is wrong."""
        kafka_key, headers = record.key, record.headers
        request = self.decode(record.value, kafka_key, len(headers))
        ts = request.ts
        if type(ts) is not int or not 0 <= ts <= now_ms:
            ts = event_time(ts, record.timestamp, now_ms)
        if deadline_ms is not None and now_ms - ts > deadline_ms:
            message = f"the request is {now_ms - ts} ms old; the deadline is {deadline_ms} ms"
            raise DecodeError(RequestCode.DEADLINE_EXCEEDED.value, message, stage="validate")
        identity = request.id or event_id(headers) or src
        key = self.routing_key(request, kafka_key, identity)
        if headers and (passed := passed_on(headers)):
            batch.headers[len(batch.ids)] = passed
        batch.srcs.append(src)
        batch.ids.append(identity)
        batch.keys.append(key)
        batch.kafka_keys.append(key if kafka_key is None else kafka_key)
        batch.ts.append(ts)
        batch.requests.append(request)
        batch.records.append(record)

    def decode(self, value: bytes | None, key: bytes | None, header_count: int) -> Any:
        """Return the typed request in `value`; raise DecodeError with the precise code."""
        value = check_limits(value, key, header_count)
        try:
            request = self.decode_json(value)
            if request.specversion is not None and request.data is not UNSET:
                request = self.unwrap(request)
            if request.meta is not UNSET:
                str(bytes(request.meta), "utf-8")  # raw members are not checked by the parser
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise diagnose(value, self.stable, self.key_name) from error
        if type(request.features) is not self.features or request.v != VERSION or self.categories:
            self.finish(request, value)
        return request

    def unwrap(self, event: Any) -> Any:
        """Return the request inside a structured CloudEvent; the event's id counts where the request has none."""
        request = self.decode_json(bytes(event.data))
        if request.id is None:
            request.id = event.id
        return request

    def finish(self, request: Any, value: bytes) -> None:
        """Settle what the typed decoder leaves open: features as an array, categories, the version."""
        features = request.features
        manifest = self.stable.features
        if request.v != VERSION or features is UNSET:
            raise diagnose(value, self.stable, self.key_name)
        if isinstance(features, list):
            if len(features) != len(manifest):
                raise diagnose(value, self.stable, self.key_name)
            cells = {f.name: cell for f, cell in zip(manifest, features, strict=True)}
            try:
                features = request.features = msgspec.convert(cells, self.features)
            except msgspec.ValidationError as error:
                raise diagnose(value, self.stable, self.key_name) from error
        for name, allowed in self.categories.items():
            if (cell := getattr(features, self.attributes[name])) is not None and cell not in allowed:
                message = f"feature '{name}' has a value that the model does not know"
                raise DecodeError(RequestCode.UNKNOWN_CATEGORY.value, message, stage="validate")

    def routing_key(self, request: Any, kafka_key: bytes | None, identity: str) -> bytes:
        """Return the bytes to hash: the request's key field, else the Kafka key, else the request id."""
        key = self.key_reader(request) if self.key_reader else request.key
        if key is not None:
            encoded: bytes = key.encode()
            if len(encoded) > MAX_KEY_BYTES:
                message = f"the routing key has {len(encoded)} bytes; at most {MAX_KEY_BYTES} are read"
                raise DecodeError(RequestCode.TOO_LARGE.value, message, stage="validate")
            return encoded
        return kafka_key if kafka_key is not None else identity.encode()

    def reject(self, record: RequestRecord, src: str, error: DecodeError) -> Rejected:
        """Return the rejected record with the best id that can be read of it."""
        repairable = error.code != RequestCode.DEADLINE_EXCEEDED.value
        return Rejected(record, identify(record, src), record.timestamp, error, dead_letter=repairable)


class _Identity(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARACTERS)] | None = None


read_identity = msgspec.json.Decoder(_Identity).decode


def identify(record: RequestRecord, src: str) -> str:
    """Return the id of a request that could not be read: from its JSON if that much is sound, else `ce_id` or src."""
    try:
        value = check_limits(record.value, record.key, len(record.headers))
        identity = parse(read_identity, value).id
    except DecodeError:
        identity = None
    return identity or event_id(record.headers[:MAX_HEADERS]) or src


def event_id(headers: Sequence[tuple[str, bytes]]) -> str | None:
    """Return the CloudEvents id in the headers, None if there is none or it cannot be one of ours."""
    raw = dict(headers).get("ce_id") if headers else None
    if not raw or len(raw) > MAX_ID_CHARACTERS:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def event_time(ts: int | datetime | None, kafka_ms: int, now_ms: int) -> int:
    """Return the event's epoch ms; raise DecodeError `out_of_range` for one that would poison event time.

    Kafka's own time stands in where the request has none, if its writer's clock can be believed.
    """
    if ts is None:
        return kafka_ms if 0 <= kafka_ms <= now_ms + MAX_AHEAD_MS else now_ms
    if isinstance(ts, datetime):
        if ts.tzinfo is None:
            raise DecodeError(RequestCode.BAD_TYPE.value, "`ts` has no time zone; end it with Z", stage="validate")
        ts = round(ts.timestamp() * 1000)
    if not 0 <= ts <= now_ms + MAX_AHEAD_MS:
        message = "`ts` must be epoch milliseconds, not negative and at most a day ahead"
        raise DecodeError(RequestCode.OUT_OF_RANGE.value, message, stage="validate")
    return ts
