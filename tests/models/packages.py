"""Small packages for the tests of loading."""

from collections.abc import Sequence
from pathlib import Path

from coalmine.models import Feature, FeatureType, Linear, Model, OutputKind, Row, pack

NUMBER = Feature(name="x")
COLOUR = Feature(name="colour", type=FeatureType.STRING, categories=("red", "blue"))
ROWS: list[Row] = [(0.0, "red"), (1.0, "blue")]


def linear(logit: bool = True, slope: float = 2.0) -> Linear:
    return Linear(logit=logit, intercept=0.5, weights={"x": slope}, effects={"colour": {"red": 1.0, "blue": -1.0}})


def packed(directory: Path, model: object = None, reference: Sequence[Row] = ()) -> Model:
    return pack(
        model or linear(),
        directory,
        name="toy",
        version="1",
        features=[NUMBER, COLOUR],
        output=OutputKind.PROBABILITY,
        golden=ROWS,
        reference=reference,
    )
