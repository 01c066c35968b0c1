"""The flavor `linear`: a sum of weights, hinges and category effects in one JSON file, a few microseconds a call.

`linear.json` is `{"link": "logit" | "identity", "intercept", "weights": {feature: weight}, "hinges": {feature:
[[knot, weight], ...]}, "effects": {feature: {category: weight}}}`. The answer is link⁻¹(intercept + Σ weight · x
+ Σ weight · max(0, x - knot) + Σ effect of the category). Scaling of features is folded into the weights.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .cell import FeatureType, Row
from .features import Encoder
from .manifest import Feature, Manifest, Matrix, OutputKind
from .model import Model
from .store import Package

__all__ = ["LINEAR_FILE", "Linear", "encode", "load", "wrap"]

LINEAR_FILE = "linear.json"
"""The only file of a linear package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """The numbers of a linear model, by feature name. `effects` needs every category of its feature."""

    logit: bool
    intercept: float
    weights: Mapping[str, float] = field(default_factory=dict)
    hinges: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    effects: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def encode(linear: Linear) -> bytes:
    """Return the bytes of `linear.json`."""
    document = {
        "link": "logit" if linear.logit else "identity",
        "intercept": linear.intercept,
        "weights": dict(linear.weights),
        "hinges": {name: [list(hinge) for hinge in hinges] for name, hinges in linear.hinges.items()},
        "effects": {name: dict(effects) for name, effects in linear.effects.items()},
    }
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def load(package: Package) -> Model:
    """Return the model of a verified package.

    Raises
    ------
    ValueError, KeyError, TypeError
        When the file is not a linear model of the manifest's features; the caller refuses the package.
    """
    document = json.loads(package.files[LINEAR_FILE])
    linear = Linear(
        logit={"logit": True, "identity": False}[document["link"]],
        intercept=float(document["intercept"]),
        weights=document["weights"],
        hinges=document["hinges"],
        effects=document["effects"],
    )
    return wrap(package.manifest, package.digest, linear)


def wrap(manifest: Manifest, digest: str, linear: Linear) -> Model:
    """Return `linear` as a model; raises ValueError when it does not fit the manifest."""
    return _LinearModel(manifest, digest, linear)


class _LinearModel:
    """A linear model as arrays: weights per column, knots of hinged columns, one table per category column."""

    def __init__(self, manifest: Manifest, digest: str, linear: Linear) -> None:
        self.manifest = manifest
        self.digest = digest
        self._encoder = Encoder(manifest)
        self._intercept = linear.intercept
        self._logit = linear.logit
        _check(manifest, linear)
        features = manifest.features
        self._weights = np.array([float(linear.weights.get(f.name, 0.0)) for f in features])
        self._hinges = [
            (index, *np.array(linear.hinges[f.name], dtype=np.float64).reshape(-1, 2).T)
            for index, f in enumerate(features)
            if f.name in linear.hinges
        ]
        self._tables = [
            (index, np.array([float(linear.effects[f.name][name]) for name in f.categories]))
            for index, f in enumerate(features)
            if f.type is FeatureType.STRING
        ]

    def predict(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Return one number a row, shape (len(rows),)."""
        matrix = self._encoder.matrix(rows)
        total: NDArray[np.float64] = matrix @ self._weights
        total += self._intercept
        for index, knots, weights in self._hinges:
            total += np.maximum(matrix[:, index, None] - knots, 0.0) @ weights
        for index, table in self._tables:
            total += table[matrix[:, index].astype(np.intp)]
        # tanh cannot overflow where exp(-total) can.
        return 0.5 + 0.5 * np.tanh(0.5 * total) if self._logit else total


def _check(manifest: Manifest, linear: Linear) -> None:
    if manifest.matrix is not Matrix.NUMBERS:
        raise ValueError("a linear model needs matrix numbers")
    if (manifest.output is OutputKind.PROBABILITY) is not linear.logit:
        raise ValueError("link logit goes with output probability, identity with number")
    for feature in manifest.features:
        _check_feature(feature, linear)
    unknown = {*linear.weights, *linear.hinges, *linear.effects} - {f.name for f in manifest.features}
    if unknown:
        raise ValueError(f"no such feature in the manifest: {', '.join(sorted(unknown))}")


def _check_feature(feature: Feature, linear: Linear) -> None:
    if feature.nullable:
        raise ValueError(f"feature {feature.name!r}: a linear model has no answer to null")
    is_text = feature.type is FeatureType.STRING
    if is_text and (feature.name in linear.weights or feature.name in linear.hinges):
        raise ValueError(f"feature {feature.name!r}: a string has effects, not weights")
    if is_text is not (feature.name in linear.effects):
        raise ValueError(f"feature {feature.name!r}: effects are needed for strings, and only there")
    missing = set(feature.categories) - linear.effects.get(feature.name, {}).keys()
    if missing:
        raise ValueError(f"feature {feature.name!r}: {len(missing)} categories have no effect")
