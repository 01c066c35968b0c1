"""What the operator's client writes can be read by every process, or is not written."""

from dataclasses import replace

import pytest

from coalmine.errors import CommandError
from coalmine.policies import ModelRef, Reference, Start
from coalmine.streams.operator import readable
from coalmine.streams.wire.codec import decode_command

START = Start(rollout="r", canary=ModelRef(uri="b"), references=(Reference(name="age", edges=(1.0,), counts=(2, 3)),))


def test_a_command_is_read_as_it_was_written() -> None:
    assert decode_command(readable(START)) == START


def test_a_command_that_is_too_large_is_not_written() -> None:
    with pytest.raises(CommandError, match="not sent, for nobody could read it: the value has 1"):
        readable(replace(START, reason="x" * 1_000_001))
