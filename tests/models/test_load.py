"""Loading a package: only what was promised, only what is allowed, and never without its golden rows."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import coalmine.models
from coalmine.errors import ModelError, Refused
from coalmine.models import load, store
from coalmine.models.linear import LINEAR_FILE
from coalmine.models.store import digest_of

from .packages import ROWS, linear, packed


def rewrite(directory: Path, **changes: Any) -> str:
    """Change the linear file and make the manifest agree, as an author would; return the new digest."""
    path, manifest = directory / LINEAR_FILE, directory / "coalmine.json"
    content = json.dumps(json.loads(path.read_bytes()) | changes).encode()
    path.write_bytes(content)
    document = json.loads(manifest.read_bytes())
    document["files"][0] |= {"size": len(content), "sha256": digest_of(content).removeprefix("sha256:")}
    manifest.write_text(json.dumps(document))
    return digest_of(manifest.read_bytes())


def test_a_package_answers_as_it_did_when_it_was_packed(tmp_path: Path) -> None:
    written = packed(tmp_path / "toy")

    model = load("toy", written.digest, tmp_path)

    assert model.manifest == written.manifest
    assert model.predict(ROWS).tolist() == written.predict(ROWS).tolist()


def test_the_digest_is_the_sha256_of_the_manifest(tmp_path: Path) -> None:
    model = packed(tmp_path)

    assert model.digest == digest_of((tmp_path / "coalmine.json").read_bytes())


def test_packing_the_same_model_again_gives_the_same_digest(tmp_path: Path) -> None:
    assert packed(tmp_path / "a").digest == packed(tmp_path / "b").digest
    assert packed(tmp_path / "c", linear(slope=3.0)).digest != packed(tmp_path / "a").digest


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}", "file://localhost{}"])
def test_an_address_is_a_directory_or_a_file_url(tmp_path: Path, form: str) -> None:
    packed(tmp_path / "my model")

    assert load(form.format(tmp_path / "my model")).manifest.name == "toy"


def test_a_file_url_may_be_relative_to_the_root(tmp_path: Path) -> None:
    packed(tmp_path / "my model")

    assert load("file:my%20model", root=tmp_path).manifest.name == "toy"


@pytest.mark.parametrize("uri", ["s3://bucket/toy", "https://host/toy", "file://host/toy"])
def test_other_addresses_are_told_to_be_copied(uri: str) -> None:
    with pytest.raises(ModelError, match="Copy the package to a directory") as error:
        load(uri)

    assert not isinstance(error.value, Refused)


@pytest.mark.parametrize("missing", ["coalmine.json", LINEAR_FILE])
def test_a_missing_file_is_a_matter_of_this_machine(tmp_path: Path, missing: str) -> None:
    packed(tmp_path)
    (tmp_path / missing).unlink()

    with pytest.raises(ModelError, match=missing) as error:
        load(str(tmp_path))

    assert not isinstance(error.value, Refused)


def test_another_package_than_the_one_asked_for_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(tmp_path)
    monkeypatch.setattr(store, "decode", lambda *_: pytest.fail("the manifest was parsed"))

    with pytest.raises(Refused, match="has digest sha256:"):
        load(str(tmp_path), "sha256:" + "0" * 64)


@pytest.mark.parametrize("name", ["coalmine.json", LINEAR_FILE])
def test_a_flipped_bit_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    digest = packed(tmp_path).digest
    content = (tmp_path / name).read_bytes()

    for position in range(len(content)):
        flipped = bytes([content[position] ^ 1])
        (tmp_path / name).write_bytes(content[:position] + flipped + content[position + 1 :])
        with pytest.raises(Refused):
            load(str(tmp_path), digest)


def test_a_longer_file_is_refused_without_being_read_to_its_end(tmp_path: Path) -> None:
    packed(tmp_path)
    with (tmp_path / LINEAR_FILE).open("ab") as file:
        file.truncate(1 << 40)

    with pytest.raises(Refused, match="is longer than"):
        load(str(tmp_path))


def test_a_model_that_answers_its_golden_rows_otherwise_never_serves(tmp_path: Path) -> None:
    packed(tmp_path)
    digest = rewrite(tmp_path, intercept=0.6)

    with pytest.raises(Refused, match="golden row 0 and 1 more are not answered within 1e-06"):
        load(str(tmp_path), digest)


def test_a_model_that_answers_nan_on_its_golden_rows_never_serves(tmp_path: Path) -> None:
    packed(tmp_path)
    rewrite(tmp_path, intercept=float("nan"))

    with pytest.raises(Refused, match="golden row 0"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"link": "identity"}, "link logit goes with output probability"),
        ({"link": "probit"}, "KeyError"),
        ({"weights": {"y": 1.0}}, "no such feature in the manifest: y"),
        ({"weights": {"colour": 1.0}}, "a string has effects, not weights"),
        ({"effects": {}}, "effects are needed for strings"),
        ({"effects": {"colour": {"red": 1.0}}}, "1 categories have no effect"),
        ({"hinges": {"x": [[1.0]]}}, "no linear model"),
        ({"intercept": "a"}, "no linear model"),
    ],
)
def test_a_file_that_is_no_linear_model_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    packed(tmp_path)
    rewrite(tmp_path, **changes)

    with pytest.raises(Refused, match=message):
        load(str(tmp_path))


def test_a_linear_model_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    packed(tmp_path)
    document = json.loads((tmp_path / "coalmine.json").read_bytes())
    expected = 0.5 + 2.0 * 1.0 - 1.0  # intercept, weight, effect of blue

    answers = load(str(tmp_path)).predict([(1.0, "blue")])

    assert answers[0] == pytest.approx(1 / (1 + 2.718281828459045**-expected))
    assert document["golden"]["rows"][1]["expected"] == pytest.approx(answers[0])


def test_a_missing_library_is_a_matter_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed(tmp_path)
    document = json.loads((tmp_path / "coalmine.json").read_bytes())
    (tmp_path / "coalmine.json").write_text(json.dumps(document | {"flavor": "sklearn"}))
    monkeypatch.setitem(sys.modules, "coalmine.models.sklearn_flavor", None)
    monkeypatch.delattr(coalmine.models, "sklearn_flavor", raising=False)

    with pytest.raises(ModelError, match="Install the library on this worker") as error:
        load(str(tmp_path))

    assert not isinstance(error.value, Refused)
