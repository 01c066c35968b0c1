"""Models: packages, loading, and calling them batch by batch. Knows nothing of traffic or rollouts."""

from .engine import Answers, Call, FaultCode, answer
from .features import Misfit, violation
from .linear import Linear
from .load import load
from .manifest import (
    Cell,
    Feature,
    FeatureType,
    Flavor,
    Golden,
    GoldenRow,
    Manifest,
    Matrix,
    OutputKind,
    PackageFile,
    Row,
)
from .model import Model
from .pack import pack
from .store import Package, read

__all__ = [
    "Answers",
    "Call",
    "Cell",
    "FaultCode",
    "Feature",
    "FeatureType",
    "Flavor",
    "Golden",
    "GoldenRow",
    "Linear",
    "Manifest",
    "Matrix",
    "Misfit",
    "Model",
    "OutputKind",
    "Package",
    "PackageFile",
    "Row",
    "answer",
    "load",
    "pack",
    "read",
    "violation",
]
