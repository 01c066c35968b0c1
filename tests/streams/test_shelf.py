"""A worker's models are loaded beside the traffic, and what cannot be loaded says why."""

import threading
from pathlib import Path

import pytest

from coalmine.errors import ModelError, Refused
from coalmine.models import Feature, Linear, OutputKind, pack
from coalmine.policies import ModelRef
from coalmine.streams.scoring.shelf import RETRY_SECONDS, Shelf


class Loads:
    """A shelf and a way to wait for the end of its next load."""

    def __init__(self, root: Path) -> None:
        self.done = threading.Semaphore(0)
        self.shelf = Shelf(root, self.done.release)

    def want(self, ref: ModelRef, now: float = 0.0) -> str:
        """Ask for a canary, wait for the load, and return what the heartbeat then says."""
        self.shelf.want({"canary": ref}, now)
        assert self.done.acquire(timeout=20)
        return self.shelf.report()[0].status


@pytest.fixture
def loads(tmp_path: Path) -> Loads:
    return Loads(tmp_path)


def packed(folder: Path) -> ModelRef:
    linear = Linear(logit=False, intercept=0.0, weights={"x": 2.0})
    model = pack(linear, folder, name="m", version="1", features=[Feature(name="x")], output=OutputKind.NUMBER,
                 golden=[(1.0,)])  # fmt: skip
    return ModelRef(uri=folder.name, digest=model.digest)


def test_a_wanted_model_is_loaded_in_the_background_and_reported_ready(loads: Loads, tmp_path: Path) -> None:
    ref = packed(tmp_path / "v2")

    assert loads.want(ref) == "ready"
    assert loads.shelf.get(ref) is not None


def test_a_package_with_another_digest_is_refused_and_not_tried_again(loads: Loads, tmp_path: Path) -> None:
    wrong = ModelRef(uri=packed(tmp_path / "v2").uri, digest="sha256:" + "0" * 64)

    assert loads.want(wrong) == "refused"
    loads.shelf.want({"canary": wrong}, 1e9)
    assert loads.shelf.loading == set()


def test_a_new_attempt_tries_a_refused_package_again(loads: Loads, tmp_path: Path) -> None:
    ref = packed(tmp_path / "v2")
    (tmp_path / "v2" / "linear.json").write_text("damaged")
    assert loads.want(ref) == "refused"

    packed(tmp_path / "v2")
    loads.shelf.begin_attempt(ref)

    assert loads.want(ref) == "ready"


def test_a_package_that_is_not_there_is_tried_again_after_a_pause(loads: Loads, tmp_path: Path) -> None:
    missing = ModelRef(uri="v2")
    assert loads.want(missing) == "unavailable"

    packed(tmp_path / "v2")

    assert not loads.shelf.may_try(("v2", ""), RETRY_SECONDS / 2)
    assert loads.want(missing, RETRY_SECONDS) == "ready"


def test_loading_here_and_now_raises_what_keeps_the_model_from_serving(loads: Loads) -> None:
    with pytest.raises(ModelError) as caught:
        loads.shelf.load_now(ModelRef(uri="nowhere"))

    assert not isinstance(caught.value, Refused)


def test_a_canary_that_is_not_pinned_is_read_anew_in_a_new_attempt(loads: Loads, tmp_path: Path) -> None:
    pinned = packed(tmp_path / "v2")
    loose = ModelRef(uri=pinned.uri)
    assert loads.want(loose) == "ready"

    loads.shelf.begin_attempt(loose)

    assert loads.shelf.get(loose) is None


def test_models_that_nobody_wants_any_more_are_let_go(loads: Loads, tmp_path: Path) -> None:
    old, new = packed(tmp_path / "v1"), packed(tmp_path / "v2")
    loads.want(old)

    loads.want(new)

    assert (loads.shelf.get(old), loads.shelf.get(new) is None) == (None, False)
