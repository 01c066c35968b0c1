"""What exactly is wrong with a request: the slow second look at bytes that the typed decoder refused.

Messages name the field, its type and what to send. They never quote a value.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from coalmine.errors import DecodeError
from coalmine.models import Feature, FeatureType, Manifest, violation

from .codec import MAX_ID_CHARACTERS, MAX_KEY_BYTES, parse
from .messages import VERSION, RequestCode

__all__ = ["MAX_AHEAD_MS", "diagnose"]

MAX_AHEAD_MS = 86_400_000
"""How far a request's time may be ahead of the worker's clock: a day, so that no time zone slip is refused."""

decode_any = msgspec.json.Decoder(Any).decode

TYPE_NAMES = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
EXPECTED = {FeatureType.NUMBER: "a number", FeatureType.STRING: "a string", FeatureType.BOOLEAN: "true or false"}


def diagnose(value: bytes, manifest: Manifest, key_name: str) -> DecodeError:
    """Return the error that says why `value` is not a request for the model of `manifest`."""
    try:
        find_fault(value, manifest, key_name)
    except DecodeError as error:
        return error
    return failed(RequestCode.BAD_TYPE, "the request does not have the shape that the documentation of messages shows")


def failed(code: RequestCode, message: str) -> DecodeError:
    """Return an error of the validate stage."""
    return DecodeError(code.value, message, stage="validate")


def find_fault(value: bytes, manifest: Manifest, key_name: str) -> None:
    """Raise the DecodeError of the first fault in `value`; return if none is found."""
    if value[:1] == b"\x00":
        message = "the value has a Schema Registry prefix; send plain JSON"
        raise DecodeError(RequestCode.REGISTRY_FRAMING.value, message)
    body: object = parse(decode_any, value)
    try:
        value.decode()
    except UnicodeDecodeError as error:
        message = f"the value is not UTF-8 at byte {error.start}"
        raise DecodeError(RequestCode.BAD_JSON.value, message) from error
    if isinstance(body, dict) and "specversion" in body and isinstance(body.get("data"), dict):
        body = {"id": body.get("id"), **body["data"]}
    if not isinstance(body, dict):
        raise failed(RequestCode.BAD_TYPE, f"the value must be a JSON object, not {name_of(body)}")
    if body.get("v", VERSION) != VERSION:
        raise failed(RequestCode.UNSUPPORTED_VERSION, f"`v` must be {VERSION}; this worker knows no other version")
    check_envelope(body, key_name)
    check_features(body, manifest)


def check_envelope(body: Mapping[str, Any], key_name: str) -> None:
    """Raise for an id, key, time or segment of the wrong type or length."""
    for name, limit in (("id", MAX_ID_CHARACTERS), (key_name, MAX_KEY_BYTES)):
        text = body.get(name)
        if text is not None and not isinstance(text, str):
            raise failed(RequestCode.BAD_TYPE, f"`{name}` must be a string, not {name_of(text)}")
        if text is not None and not 1 <= len(text) <= limit:
            raise failed(RequestCode.OUT_OF_RANGE, f"`{name}` must have 1 to {limit} characters")
    ts = body.get("ts")
    if ts is not None and (isinstance(ts, bool) or not isinstance(ts, int | str)):
        raise failed(RequestCode.BAD_TYPE, f"`ts` must be epoch milliseconds or RFC 3339 text, not {name_of(ts)}")
    if isinstance(ts, str):
        check_timestamp(ts)
    segment = body.get("segment")
    if segment is None:
        return
    if not isinstance(segment, dict) or not all(isinstance(cell, str) for cell in segment.values()):
        raise failed(RequestCode.BAD_TYPE, "`segment` must be an object of strings")
    if len(segment) > 8:
        raise failed(RequestCode.OUT_OF_RANGE, f"`segment` has {len(segment)} members; at most 8 are read")


def check_timestamp(text: str) -> None:
    """Raise if `text` is not an RFC 3339 time."""
    try:
        msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        message = "`ts` is a string but not an RFC 3339 time such as 2013-03-01T05:17:00Z"
        raise failed(RequestCode.BAD_TYPE, message) from error


def check_features(body: Mapping[str, Any], manifest: Manifest) -> None:
    """Raise for the first feature that is missing, of the wrong type or outside its domain."""
    features = body.get("features")
    if features is None:
        hint = "; `inputs` of the Open Inference Protocol are not read" if "inputs" in body else ""
        raise failed(RequestCode.MISSING_FEATURE, f"`features` is missing{hint}; send an object of features")
    if isinstance(features, list):
        if len(features) != len(manifest.features):
            message = f"`features` has {len(features)} numbers; the model takes {len(manifest.features)}"
            raise failed(RequestCode.MISSING_FEATURE, message)
        features = {f.name: cell for f, cell in zip(manifest.features, features, strict=True)}
    if not isinstance(features, dict):
        raise failed(RequestCode.BAD_TYPE, f"`features` must be an object or an array, not {name_of(features)}")
    for feature in manifest.features:
        if feature.name in features:
            check_cell(feature, features[feature.name])
        elif not feature.nullable:
            raise failed(RequestCode.MISSING_FEATURE, f"feature '{feature.name}' is missing")


def check_cell(feature: Feature, cell: Any) -> None:
    """Raise if `cell` is not a value of `feature`."""
    code = violation(feature, cell)
    if code is None:
        return
    reasons = {
        RequestCode.OUT_OF_RANGE: f"is outside {feature.minimum} to {feature.maximum}",
        RequestCode.UNKNOWN_CATEGORY: "has a value that the model does not know",
    }
    wrong = f"must be {EXPECTED[feature.type]}, not {name_of(cell)}"
    raise failed(RequestCode(code), f"feature '{feature.name}' {reasons.get(RequestCode(code), wrong)}")


def name_of(value: object) -> str:
    """Return the JSON name of a value's type."""
    return "null" if value is None else TYPE_NAMES[type(value)]
