"""The fold of the control log as bytes; the rules of the state machine have tests of their own."""

from coalmine.errors import DecodeError
from coalmine.policies import At, Phase, advance
from coalmine.streams.control.fold import ControlFold, Folded
from coalmine.streams.kafka.reader import LogRecord
from coalmine.streams.wire.codec import decode_command


def record(offset: int, value: bytes | None) -> LogRecord:
    return LogRecord(offset, 1_700_000_000_000 + offset, True, b"flights", value, ())


def fold_all(values: list[bytes | None]) -> tuple[ControlFold, list[Folded]]:
    told: list[Folded] = []
    fold = ControlFold(decode_command, advance, told.append)
    for offset, value in enumerate(values):
        fold.fold(record(offset, value))
    return fold, told


def test_rollouts_of_one_log_are_folded_apart() -> None:
    fold, _ = fold_all([b'{"rollout": "flights", "command": "freeze"}', b'{"rollout": "other", "command": "rollback"}'])

    assert fold.state("flights").freeze_until_ms is not None
    assert fold.state("other").freeze_until_ms is None
    assert fold.state("never-named").phase is Phase.IDLE
    assert fold.offset == 2


def test_a_command_without_an_id_is_named_after_its_place_in_the_log() -> None:
    _, told = fold_all([b'{"rollout": "flights", "command": "pause"}'])

    assert told[0].command is not None
    assert told[0].command.command_id == "control@0"
    assert [effect.command_id for effect in told[0].effects] == ["control@0"]
    assert told[0].at == At(0, 1_700_000_000_000)


def test_what_is_no_command_changes_nothing_and_is_told() -> None:
    junk = [b"\xff", None, b"[" * 100_000, b'{"rollout": "flights", "command": "explode"}']

    fold, told = fold_all([*junk])

    assert [type(folded.error) for folded in told] == [DecodeError] * 4
    assert fold.states == {}
    assert fold.offset == 4
