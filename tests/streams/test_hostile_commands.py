"""Whatever can be read from the control log is folded: applied or refused, but never the end of a reader."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coalmine.errors import DecodeError
from coalmine.policies import VERBS, At, Command, Phase, Refusal, State, advance
from coalmine.streams.wire.codec import decode_command, encode
from tests.policies.rollout.rollouts import PHASES, PLAN

STATES = {phase: build() for phase, build in PHASES.items()}
AT_MS = 1_700_000_000_000

numbers = st.one_of(
    st.sampled_from([0, -1, 1, 100, 1e305, -1e305, 1e-320, 100.00001, math.inf, math.nan, 2**64, 10**400]),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
)
texts = st.one_of(st.text(max_size=20), st.sampled_from(["x" * 10_000, "\x00", "analyzer", "analyzer-7", "flights"]))
moments = st.sampled_from(
    ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59", "9999-12-31T23:59:59", "1970-01-01T00:00:00Z"]
)
model = st.fixed_dictionaries({"uri": texts}, optional={"digest": texts})
reference = st.fixed_dictionaries(
    {"name": texts, "counts": st.lists(numbers, max_size=3)},
    optional={"edges": st.lists(numbers, max_size=2), "categories": st.lists(texts, max_size=2), "missing": numbers,
              "other": numbers},
)  # fmt: skip
references = st.lists(reference, max_size=3)
frozen = st.fixed_dictionaries(
    {"rows": numbers, "calls": numbers, "error_rate": numbers}, optional={"references": references}
)


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    """A plan that is sound but for one field."""
    name = draw(st.sampled_from(["name", "canary_timeout_ms", "load_timeout_ms", "request_deadline_ms", "steps"]))
    steps = st.tuples(st.fixed_dictionaries({"weight": numbers}, optional={"hold_ms": numbers, "samples": numbers}))
    value = draw({"name": texts, "steps": steps}.get(name, numbers))
    return {**msgspec.json.decode(encode(PLAN)), name: value}


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "command_id": texts, "issued_by": texts, "reason": texts, "expected_revision": numbers, "attempt": numbers,
    "expires": moments, "time": moments, "weight": numbers, "step": numbers, "look": numbers, "full": st.booleans(),
    "until": moments, "file": plans(), "canary": model, "replace": st.booleans(), "frozen": frozen,
    "to_revision": numbers, "hard_limit": texts, "references": references,
}  # fmt: skip
REQUIRED = {"set_weight": {"weight"}, "advance": {"step", "issued_by"}, "start": {"canary"}}


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A command in which some fields hold anything; most can be read, for a bad type is only one of the chances."""
    verb = draw(st.sampled_from(sorted(VERBS)))
    names = draw(st.sets(st.sampled_from(sorted(FIELDS)), max_size=2)) | REQUIRED.get(verb, set())
    told = {name: draw(FIELDS[name]) for name in sorted(names)}
    return json.dumps({"rollout": "flights", "command": verb, **told}).encode()


def read(value: bytes) -> Command | None:
    """Return the command in `value`, None if it is none; other exceptions go through."""
    try:
        return decode_command(value)
    except DecodeError:
        return None


def fold(state: State, command: Command) -> State:
    return advance(state, command, At(state.control_offset + 1, AT_MS))[0]


@settings(max_examples=150, deadline=None)
@example(b'{"rollout": "flights", "command": "set_weight", "weight": -1e305}')
@example(
    b'{"rollout": "flights", "command": "start", "canary": {"uri": "b"}, "replace": true,'
    b' "references": [{"name": "x", "edges": [0], "counts": [1, %s]}]}' % str(10**400).encode()
)
@given(bodies())
def test_no_command_that_can_be_read_makes_the_fold_raise(value: bytes) -> None:
    command = read(value)

    folded = [fold(state, command) for state in STATES.values() if command is not None]

    assert all(state.rollout == "flights" for state in folded)


@pytest.mark.parametrize("weight", [b"1e305", b"-1e305", b"1e300", b"100.5"])
def test_a_weight_beyond_all_measure_is_refused(weight: bytes) -> None:
    command = decode_command(b'{"rollout": "flights", "command": "set_weight", "weight": %s}' % weight)

    after, (effect,) = advance(STATES[Phase.PROGRESSING], command, At(1_000, AT_MS))

    assert isinstance(effect, Refusal)
    assert after.weight == STATES[Phase.PROGRESSING].weight
