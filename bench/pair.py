"""The two models of the benchmarks: logistic regressions of 20 features, each trained on its own synthetic rows."""

from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from coalmine.models import Feature, Linear, OutputKind, pack

from .traffic import FEATURES

__all__ = ["pack_pair", "pack_twins", "train"]

ROWS = 5_000
"""Training rows; enough for coefficients within 0.1 of the truth."""

GOLDEN_ROWS = 3


def train(seed: int) -> LogisticRegression:
    """Return a model fitted to rows drawn with `seed`; the truth behind all seeds is the same."""
    truth = np.random.default_rng(0).normal(size=len(FEATURES))
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(ROWS, len(FEATURES)))
    labels = rng.random(ROWS) < 1 / (1 + np.exp(-rows @ truth))
    return LogisticRegression().fit(rows, labels)


def pack_pair(directory: Path) -> tuple[Path, Path]:
    """Write stable and canary, trained apart, as packages below `directory` and return where they are."""
    return write(train(1), directory / "stable", "1"), write(train(2), directory / "canary", "2")


def pack_twins(directory: Path) -> tuple[Path, Path]:
    """Write one linear model twice: whatever differs between the two is chance.

    It answers with a weighted sum, which overflows for the requests that `Traffic` makes fail.
    """
    weights = np.random.default_rng(0).normal(size=len(FEATURES)) + 5.0
    model = Linear(logit=False, intercept=0.0, weights=dict(zip(FEATURES, weights.tolist(), strict=True)))
    kind = OutputKind.NUMBER
    return write(model, directory / "one", "1", kind), write(model, directory / "two", "2", kind)


def write(model: object, directory: Path, version: str, output: OutputKind = OutputKind.PROBABILITY) -> Path:
    golden = np.random.default_rng(3).normal(size=(GOLDEN_ROWS, len(FEATURES)))
    pack(
        model,
        directory,
        name="bench",
        version=version,
        features=[Feature(name=name) for name in FEATURES],
        output=output,
        golden=[tuple(row) for row in golden.tolist()],
    )
    return directory
