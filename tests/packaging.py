"""Builds the wheel and the sdist and tries each installation beside a foreign `models/` package.

Run by `make wheel-test`; not a pytest module because it builds virtual environments (about two minutes).
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent

PROBE = """
import coalmine, models, sys
from coalmine import policies, streams
import coalmine.models, coalmine.streams.wire.messages, coalmine.policies
assert models.FOREIGN, "a foreign package called models was shadowed"
for part in (policies, coalmine.models, coalmine.streams.wire.messages):
    assert part.__name__.startswith("coalmine."), part
from coalmine.demo.flights import data
assert data.FLIGHTS_FILE.stat().st_size > 500_000, "the flights are not in the package"
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command; print what it said and stop if it fails."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def try_installation(name: str, target: list[str], folder: Path) -> None:
    """Install `target` into a fresh environment and import it from a folder with a foreign `models` package."""
    home = folder / name
    venv.create(home / "env", with_pip=True)
    python = home / "env" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", *target, cwd=home)
    (home / "models").mkdir()
    (home / "models" / "__init__.py").write_text("FOREIGN = True\n")
    run(python, "-c", PROBE, cwd=home)
    version = run(home / "env" / "bin" / "coalmine", "version", cwd=home)
    print(f"{name}: installed, imported beside a foreign models package, {version.strip()}")


def main() -> None:
    """Build both archives and try wheel, sdist and editable installation."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "-q", "--outdir", folder, ROOT, cwd=folder)
        wheel, sdist = next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))
        try_installation("wheel", [str(wheel)], folder)
        try_installation("sdist", [str(sdist)], folder)
        try_installation("editable", ["-e", str(ROOT)], folder)
    print("3 passed, 0 failed")


if __name__ == "__main__":
    main()
