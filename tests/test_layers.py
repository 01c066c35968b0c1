"""The architecture as a test: who may import whom, and what `coalmine --help` may load."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("policies", "models", "streams")

ALLOWED_PARTS = {
    "policies": {"errors", "policies"},
    "models": {"errors", "models"},
    "streams": {"errors", "policies", "models", "streams"},
}
"""What each part may import of coalmine; `policies` and `models` do not know each other."""

ALLOWED_LIBRARIES = {
    "policies": {"numpy", "scipy", "xxhash"},
    "models": {"numpy", "sklearn", "skops", "msgspec", "orjson"},
    "streams": {"numpy", "msgspec", "orjson", "faust", "mode", "aiokafka", "confluent_kafka", "yarl", "xxhash"},
}
SHELL_FORBIDDEN = {"faust", "mode", "aiokafka", "confluent_kafka"}


def files(part: str) -> list[Path]:
    return sorted((ROOT / part).rglob("*.py"))


def shell_files() -> list[Path]:
    linked = [ROOT / "coalmine" / part for part in PARTS]
    return [p for p in sorted((ROOT / "coalmine").rglob("*.py")) if not any(d in p.parents for d in linked)]


def imports(path: Path) -> Iterator[str]:
    """Yield every absolute module name that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def violations(part: str, paths: list[Path]) -> list[str]:
    """Return the imports of `paths` that `part` must not have, as `file: module`."""
    found = []
    for path in paths:
        for name in imports(path):
            top, _, rest = name.partition(".")
            if top == "coalmine":
                inside = rest.partition(".")[0]
                allowed = (inside in ALLOWED_PARTS[part] and inside != part) or name == "coalmine"  # its version
            else:
                allowed = top in ALLOWED_LIBRARIES[part] or top in sys.stdlib_module_names
            if not allowed:
                found.append(f"{path.relative_to(ROOT)}: {name}")
    return found


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_only_what_stands_to_its_left(part: str) -> None:
    assert violations(part, files(part)) == []


POLICIES = ("wording", "plan", "stats", "frozen", "rollout", "scorecard", "checks", "judging", "planning")
"""The folders of `policies` (and the words all of them use), each with what it may know before it."""

BELOW = {
    "policies": {folder: set(POLICIES[:place]) for place, folder in enumerate(POLICIES)},
    "streams": {
        "wire": set(),
        "kafka": set(),
        "transport": {"kafka"},
        "control": {"kafka", "wire"},
        "scoring": {"kafka", "wire", "transport", "control", "worker"},
        "analysis": {"kafka", "wire", "transport", "control", "worker"},
    },
}
"""What each folder of a part may know of the others; scoring and analysis do not know each other."""


@pytest.mark.parametrize("part", BELOW)
def test_a_folder_knows_only_those_below_it(part: str) -> None:
    below = BELOW[part]
    found = {
        (folder, node.module.partition(".")[0])
        for folder in below
        for path in files(f"{part}/{folder}")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level == 2 and node.module
    }

    assert {path.parent.name for path in (ROOT / part).glob("*/__init__.py")} <= below.keys()
    assert {(folder, other) for folder, other in found if other not in below[folder]} == set()
    assert len(found) > len(below)


def test_the_layer_test_catches_a_forbidden_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    bad = tmp_path / "bad.py"
    bad.write_text("import faust\nfrom coalmine.streams import messages\n")

    assert violations("policies", [bad]) == ["bad.py: faust", "bad.py: coalmine.streams"]


def test_no_file_imports_a_part_by_its_bare_name() -> None:
    everything = [*shell_files(), *(path for part in PARTS for path in files(part))]
    bare = [f"{path}: {name}" for path in everything for name in imports(path) if name.split(".")[0] in PARTS]

    assert bare == []


def test_kafka_libraries_stay_in_streams() -> None:
    found = [f"{path}: {n}" for path in shell_files() for n in imports(path) if n.split(".")[0] in SHELL_FORBIDDEN]

    assert found == []


PURE = {"time", "random", "os", "socket", "logging", "pathlib", "threading", "asyncio", "subprocess", "io"}


def test_policies_know_no_clock_and_no_input_or_output() -> None:
    found = [f"{path}: {name}" for path in files("policies") for name in imports(path) if name.split(".")[0] in PURE]

    assert found == []


HEAVY = ("numpy", "scipy", "sklearn", "skops", "faust", "aiokafka", "confluent_kafka", "pydantic")


def loaded_by(statement: str) -> set[str]:
    """Return the heavy libraries that a fresh interpreter has loaded after `statement`."""
    program = f"import sys; {statement}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_command_line_starts_without_heavy_libraries() -> None:
    assert loaded_by("import coalmine.cli") == set()


def test_the_faces_of_the_parts_do_not_load_faust_or_scikit_learn() -> None:
    statement = "import coalmine.policies, coalmine.models, coalmine.streams.wire.messages"

    assert loaded_by(statement) & {"faust", "aiokafka", "confluent_kafka", "sklearn", "skops"} == set()
