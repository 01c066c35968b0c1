import runpy
from pathlib import Path


def test_the_page_on_rollout_files_is_what_the_classes_say() -> None:
    made = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "describe_rollout_file.py"))

    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](), "run docs/describe_rollout_file.py"
