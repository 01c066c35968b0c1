"""Commands and records survive the wire; nothing but DecodeError comes out of bad bytes."""

import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.errors import DecodeError
from coalmine.policies import Command, ModelRef, Plan, Rollback, SetWeight, Start, Step, Topics
from coalmine.streams.wire.codec import (
    MAX_VALUE_BYTES,
    check_limits,
    decode_command,
    decoder,
    encode,
    encode_command,
)
from coalmine.streams.wire.messages import Evidence, Heartbeat, Outcome, Prediction

PLAN = Plan(name="flights", topics=Topics.of("flights"), stable=ModelRef(uri="a"), steps=(Step(weight=10),))

COMMANDS = [
    SetWeight(rollout="flights", weight=0.001),
    Rollback(rollout="flights", reason="it burns", expires=datetime(2026, 1, 1, tzinfo=UTC)),
    Start(rollout="flights", canary=ModelRef(uri="b", digest="sha256:00"), file=PLAN, replace=True),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_the_same_after_the_wire(command: Command) -> None:
    assert decode_command(encode_command(command)) == command


def test_a_command_typed_by_hand_needs_only_what_the_verb_needs() -> None:
    command = decode_command(b'{"rollout": "flights", "command": "set_weight", "weight": 25}')

    assert command == SetWeight(rollout="flights", weight=25)


BAD_COMMANDS: list[tuple[bytes | None, str, str]] = [
    (None, "bad_json", "no value"),
    (b"", "bad_json", "truncated"),
    (b"[1]", "bad_type", "Expected `object`"),
    (b'{"rollout": "x"}', "bad_type", "`command` must be one of"),
    (b'{"rollout": "x", "command": "destroy"}', "bad_type", "`command` must be one of"),
    (b'{"rollout": "x", "command": ["start"]}', "bad_type", "`command` must be one of"),
    (b'{"command": "pause"}', "bad_type", "missing required field `rollout`"),
    (b'{"rollout": "x", "command": "set_weight"}', "bad_type", "missing required field `weight`"),
    (b'{"rollout": "x", "command": "set_weight", "weight": "5"}', "bad_type", "Expected `float`, got `str`"),
    (b'{"rollout": "../x Y", "command": "pause"}', "bad_type", "name of a rollout"),
    (b'{"rollout": "", "command": "freeze"}', "bad_type", "name of a rollout"),
    (b'{"rollout": "x", "command": "pause", "v": 2}', "unsupported_version", "version 1"),
    (b'{"a":' * 100_000, "bad_json", "nested too deeply"),
    (b"\xff\xfe", "bad_json", "malformed"),
    (b" " * (MAX_VALUE_BYTES + 1), "too_large", "at most"),
]


@pytest.mark.parametrize(("value", "code", "words"), BAD_COMMANDS)
def test_what_is_no_command_is_refused_with_code_and_reason(value: bytes | None, code: str, words: str) -> None:
    with pytest.raises(DecodeError, match=words) as caught:
        decode_command(value)

    assert caught.value.code == code


def test_a_message_of_a_refused_enum_does_not_quote_the_value() -> None:
    plan = encode_command(COMMANDS[2]).replace(b'"by":"key"', b'"by":"my-secret"')

    with pytest.raises(DecodeError) as caught:
        decode_command(plan)

    assert "my-secret" not in caught.value.message


@pytest.mark.parametrize(("key", "headers"), [(b"k" * 1025, 0), (b"k", 65)])
def test_keys_and_headers_beyond_the_limits_are_refused(key: bytes, headers: int) -> None:
    with pytest.raises(DecodeError, match="at most") as caught:
        check_limits(b"{}", key, headers)

    assert caught.value.code == "too_large"


RECORDS = [Outcome, Prediction, Evidence, Heartbeat]


@given(st.binary(max_size=200), st.sampled_from(RECORDS))
def test_random_bytes_raise_nothing_but_a_decode_error(value: bytes, kind: type[Any]) -> None:
    with pytest.raises(DecodeError):
        decoder(kind)(value)


def test_readers_ignore_fields_they_do_not_know() -> None:
    outcome = Outcome(
        id="a", src="t/0@1", rollout="r", variant="stable", model_version="1", mode="live", ok=True,
        latency_ms=1.0, ts=1, revision=0, u=1, bucket=1,
    )  # fmt: skip
    richer = msgspec.json.encode({**msgspec.json.decode(encode(outcome)), "colour": "blue"})

    assert decoder(Outcome)(richer) == outcome


def test_a_record_of_another_version_is_refused() -> None:
    evidence = Evidence(rollout="r", revision=1, partition=0, offset=1, ts=1, sums={}, v=2)

    with pytest.raises(DecodeError, match="version 1") as caught:
        decoder(Evidence)(encode(evidence))

    assert caught.value.code == "unsupported_version"


SEED_RECORD = encode_command(COMMANDS[2])


def mutated(rng: random.Random, value: bytes) -> bytes:
    """Return `value` with a few bytes replaced, cut out or doubled."""
    data = bytearray(value)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        data[at : at + rng.randint(0, 3)] = bytes(rng.randrange(256) for _ in range(rng.randint(0, 3)))
    return bytes(data)


def leaks(decode: Any, value: bytes) -> str | None:
    """Return the name of an exception other than DecodeError that `decode` lets out."""
    try:
        decode(value)
    except DecodeError:
        return None
    except BaseException as error:  # noqa: BLE001 - the claim is about every exception there is
        return repr(error)
    return None


def test_a_hundred_thousand_damaged_commands_leak_no_other_exception() -> None:
    rng = random.Random(1)

    leaked = {leaks(decode_command, mutated(rng, SEED_RECORD)) for _ in range(100_000)}

    assert leaked == {None}
