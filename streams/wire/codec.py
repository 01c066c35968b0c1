"""Bytes to records and back, for everything but requests (those need the manifests of models: `request_decoder`).

Whatever the bytes, nothing but `DecodeError` leaves a decoder. Error messages name fields and types, never values.
"""

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar, cast

import msgspec

from coalmine.errors import DecodeError
from coalmine.policies import VERBS, Command

from .messages import VERSION, RequestCode

__all__ = [
    "MAX_HEADERS",
    "MAX_ID_CHARACTERS",
    "MAX_KEY_BYTES",
    "MAX_VALUE_BYTES",
    "check_limits",
    "decode_command",
    "decoder",
    "encode",
    "encode_command",
    "parse",
]

MAX_VALUE_BYTES = 1_000_000
"""A value above 1 MB is refused before it is parsed: 300,000 keys in one object cost 69 ms of a worker."""

MAX_KEY_BYTES = 1_024
MAX_ID_CHARACTERS = 128
MAX_HEADERS = 64

T = TypeVar("T")

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
"""Encode a record of `messages` as UTF-8 JSON."""


def check_limits(value: bytes | None, key: bytes | None, header_count: int) -> bytes:
    """Return the value if the record is within the limits; raise DecodeError `too_large` or `bad_json` if not."""
    if value is None:
        raise DecodeError(RequestCode.BAD_JSON.value, "the record has no value; send a JSON object")
    if len(value) > MAX_VALUE_BYTES:
        message = f"the value has {len(value)} bytes; at most {MAX_VALUE_BYTES} are read"
        raise DecodeError(RequestCode.TOO_LARGE.value, message)
    if key is not None and len(key) > MAX_KEY_BYTES:
        message = f"the key has {len(key)} bytes; at most {MAX_KEY_BYTES} are read"
        raise DecodeError(RequestCode.TOO_LARGE.value, message)
    if header_count > MAX_HEADERS:
        message = f"the record has {header_count} headers; at most {MAX_HEADERS} are read"
        raise DecodeError(RequestCode.TOO_LARGE.value, message)
    return value


def parse(decode: Callable[[bytes], T], value: bytes) -> T:
    """Return `decode(value)`; raise DecodeError for bytes that are not JSON or not of the decoder's type.

    msgspec lets RecursionError (deep nesting) and UnicodeDecodeError (bad UTF-8) through; they end here.
    """
    try:
        return decode(value)
    except msgspec.ValidationError as error:
        raise DecodeError(RequestCode.BAD_TYPE.value, without_values(str(error))) from error
    except RecursionError as error:
        raise DecodeError(RequestCode.BAD_JSON.value, "the JSON is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DecodeError(RequestCode.BAD_JSON.value, not_json(value, error)) from error


def check_version(version: object, what: str) -> None:
    """Raise DecodeError `unsupported_version` for a version of `what` that this reader does not know."""
    if version != VERSION:
        message = f"this reader knows version {VERSION} of {what} only"
        raise DecodeError(RequestCode.UNSUPPORTED_VERSION.value, message)


def without_values(message: str) -> str:
    """Return a msgspec message without the offending value, which it quotes only for enums."""
    if "enum value" in message:
        return "not one of the allowed values" + message[message.rfind(" - at") :]
    return message


def not_json(value: bytes, error: Exception) -> str:
    """Say why `value` is not JSON without quoting it."""
    if value[:3] == b"\xef\xbb\xbf":
        return "the value begins with a byte order mark; send plain UTF-8"
    if isinstance(error, UnicodeDecodeError):
        return f"the value is not UTF-8 at byte {error.start}"
    return str(error)


def decoder(kind: type[T]) -> Callable[[bytes], T]:
    """Return a function from bytes to `kind`, a record with a version, that raises nothing but DecodeError."""
    decode = msgspec.json.Decoder(kind).decode

    def decode_value(value: bytes) -> T:
        record: Any = parse(decode, check_limits(value, None, 0))
        check_version(record.v, kind.__name__)
        return cast("T", record)

    return decode_value


decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def decode_command(value: bytes | None) -> Command:
    """Return the command in the value of a control record; raise DecodeError saying what is wrong with it."""
    body = parse(decode_object, check_limits(value, None, 0))
    check_version(body.get("v", VERSION), "commands")
    verb = body.get("command")
    if not isinstance(verb, str) or verb not in VERBS:
        message = f"`command` must be one of {', '.join(sorted(VERBS))}"
        raise DecodeError(RequestCode.BAD_TYPE.value, message, stage="validate")
    try:
        return msgspec.convert(body, VERBS[verb])
    except (msgspec.ValidationError, RecursionError) as error:
        message = f"{verb}: {without_values(str(error))}"
        raise DecodeError(RequestCode.BAD_TYPE.value, message, stage="validate") from error


def encode_command(command: Command) -> bytes:
    """Return the JSON of a command: its verb, and the fields that differ from their defaults."""
    body: dict[str, object] = {"v": VERSION, "command": command.verb()}
    for item in fields(command):
        value = getattr(command, item.name)
        if item.default is MISSING or value != item.default:
            body[item.name] = value
    return encode(body)
