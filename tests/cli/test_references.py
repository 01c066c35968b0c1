"""`start` brings along how the features of the canary were distributed in training, if a check asks for it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from coalmine.cli.start import references_of
from coalmine.models import Feature, FeatureType, Linear, OutputKind, Row, pack
from coalmine.policies import Analysis, Check, Metric, ModelRef, Plan, Reference, Role, Step, Topics

INPUTS = Check(name="inputs", metric=Metric.FEATURE_DRIFT, margin=0.1, limit=0.1, role=Role.INFO)
PLAN = Plan(
    name="r", topics=Topics.of("r"), stable=ModelRef(uri="a"), steps=(Step(weight=40),),
    analysis=Analysis(checks=(INPUTS,)),
)  # fmt: skip
ROWS: list[Row] = [(float(row), "JFK" if row % 4 else "EWR") for row in range(100)]


def packed(folder: Path, reference: list[Row], width: int = 1) -> ModelRef:
    origin = Feature(name="origin", type=FeatureType.STRING, categories=("EWR", "JFK"))
    numbers = [Feature(name=f"x{index}") for index in range(width)]
    model = Linear(logit=False, intercept=0.0, effects={"origin": {"EWR": 0.0, "JFK": 1.0}})
    rows: list[Row] = [(*(row[0] for _ in numbers), row[1]) for row in reference]
    golden: list[Row] = [(*(1.0 for _ in numbers), "JFK")]
    made = pack(model, folder, name="m", version="1", features=[*numbers, origin], output=OutputKind.NUMBER,
                golden=golden, reference=rows)  # fmt: skip
    return ModelRef(uri=str(folder), digest=made.digest)


def test_the_histograms_of_the_package_become_the_references(tmp_path: Path) -> None:
    numbers, origin = references_of(PLAN, packed(tmp_path, ROWS), tmp_path)

    assert numbers == Reference(name="x0", edges=tuple(range(9, 99, 10)), counts=(10,) * 10)
    assert origin == Reference(name="origin", categories=("JFK", "EWR"), counts=(75, 25))


def test_a_plan_that_asks_for_nothing_reads_nothing(tmp_path: Path) -> None:
    assert references_of(replace(PLAN, analysis=Analysis()), ModelRef(uri=str(tmp_path / "nowhere")), tmp_path) == ()


@pytest.mark.parametrize("readable", [True, False])
def test_a_package_without_histograms_is_warned_of(
    readable: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = packed(tmp_path, []) if readable else ModelRef(uri=str(tmp_path / "nowhere"), digest="sha256:" + "0" * 64)

    assert references_of(PLAN, canary, tmp_path) == ()
    assert "check inputs will have no data" in capsys.readouterr().err


def test_features_beyond_the_room_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = references_of(PLAN, packed(tmp_path, ROWS, width=200), tmp_path)

    assert len(references) == 90
    assert "check inputs watches the first 90 of 201 features" in capsys.readouterr().err


def test_a_histogram_that_is_too_large_is_left_out_with_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed(tmp_path, ROWS)
    manifest = json.loads((tmp_path / "coalmine.json").read_text())
    manifest["features"][0]["histogram"] = {"edges": list(range(80)), "counts": [1] * 81}
    (tmp_path / "coalmine.json").write_text(json.dumps(manifest))

    assert [held.name for held in references_of(PLAN, ModelRef(uri=str(tmp_path)), tmp_path)] == ["origin"]
    assert "leaves out feature x0: reference of x0: 81 counts for 81 bins" in capsys.readouterr().err
