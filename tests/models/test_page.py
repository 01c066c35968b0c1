"""What docs/models.md tells people to type works as it stands there."""

import re
from pathlib import Path

import pytest

from coalmine.models import load

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_example_packs_a_model_with_histograms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)

    exec(compile(code, str(PAGE), "exec"), {})

    model = load("models/v2", root=tmp_path)
    assert model.predict([(1_000.0, 60.0)])[0] > 0.9
    assert all(feature.histogram for feature in model.manifest.features)
