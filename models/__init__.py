"""Models: packages, loading, and calling them batch by batch. Knows nothing of traffic or rollouts."""

from .cell import Cell, FeatureType, Row
from .engine import Answers, Call, FaultCode, answer
from .features import Misfit, violation
from .histogram import Histogram, histogram_of
from .linear import Linear
from .load import load
from .manifest import (
    Feature,
    Flavor,
    Golden,
    GoldenRow,
    Manifest,
    Matrix,
    OutputKind,
    PackageFile,
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
    "Histogram",
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
    "histogram_of",
    "load",
    "pack",
    "read",
    "violation",
]
