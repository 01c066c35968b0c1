"""The manifest of a model package: what the model eats, what it answers, which files it is, and how to check it.

Values only. `manifest_file` reads and writes the JSON form (`coalmine.json`); this module must not know of
files, libraries or flavors' inner workings.
"""

import math
from dataclasses import dataclass
from enum import Enum

from .cell import FeatureType, Row
from .histogram import Histogram

__all__ = [
    "Feature",
    "Flavor",
    "Golden",
    "GoldenRow",
    "Manifest",
    "Matrix",
    "OutputKind",
    "PackageFile",
]

MAX_FILE_BYTES = 1 << 30
"""Largest file of a package, in bytes: a worker holds it in memory while it parses it."""


class Flavor(Enum):
    """How the files of a package become a model."""

    LINEAR = "linear"
    SKLEARN = "sklearn"


class Matrix(Enum):
    """The input of the model: float64 (strings as the index of their category) or Python objects as they are."""

    NUMBERS = "numbers"
    OBJECTS = "objects"


class OutputKind(Enum):
    """What one answer is: any finite number, or the probability of class 1 (0..1)."""

    NUMBER = "number"
    PROBABILITY = "probability"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One input of the model.

    `nullable`: null (and a missing field) is a value the model knows. `categories`: the only strings allowed
    (empty: any). `minimum`, `maximum`: inclusive bounds of a number; None: no bound. `histogram`: how the feature was
    distributed in the rows the model was trained on; None: not known.
    """

    name: str
    type: FeatureType = FeatureType.NUMBER
    nullable: bool = False
    categories: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    histogram: Histogram | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a feature has no name")
        if self.categories and self.type is not FeatureType.STRING:
            raise ValueError(f"feature {self.name!r}: only a string can have categories")
        if len(set(self.categories)) != len(self.categories):
            raise ValueError(f"feature {self.name!r}: a category is listed twice")
        bounds = [bound for bound in (self.minimum, self.maximum) if bound is not None]
        if bounds and self.type is not FeatureType.NUMBER:
            raise ValueError(f"feature {self.name!r}: only a number can have bounds")
        if not all(map(math.isfinite, bounds)) or bounds != sorted(bounds):
            raise ValueError(f"feature {self.name!r}: bounds must be finite and the minimum below the maximum")
        if self.histogram is not None:
            self._check_histogram(self.histogram)

    def _check_histogram(self, histogram: Histogram) -> None:
        is_number = self.type is FeatureType.NUMBER
        if is_number and histogram.categories:
            raise ValueError(f"feature {self.name!r}: the histogram of a number has edges, not categories")
        if not is_number and not histogram.categories:
            raise ValueError(f"feature {self.name!r}: the histogram of a {self.type.value} needs categories")
        if self.type is FeatureType.BOOLEAN and set(histogram.categories) != {"false", "true"}:
            raise ValueError(f"feature {self.name!r}: the categories of a boolean are false and true")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFile:
    """One file of the package: a plain name beside the manifest, its size and its SHA-256 (64 hex digits)."""

    name: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith(".") or "/" in self.name or "\\" in self.name:
            raise ValueError(f"file name {self.name!r} is not a plain name beside the manifest")
        if not 0 < self.size <= MAX_FILE_BYTES:
            raise ValueError(f"file {self.name!r}: its size is not between 1 and {MAX_FILE_BYTES} bytes")
        if len(self.sha256) != 64 or not set(self.sha256) <= set("0123456789abcdef"):
            raise ValueError(f"file {self.name!r}: sha256 is not 64 lower-case hexadecimal digits")


@dataclass(frozen=True, slots=True)
class GoldenRow:
    """A row and the answer the author of the package saw."""

    features: Row
    expected: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.expected):
            raise ValueError("a golden row expects an answer that is not finite")


@dataclass(frozen=True, slots=True)
class Golden:
    """Rows every loaded model must answer again, within `tolerance` (absolute) of what is expected."""

    rows: tuple[GoldenRow, ...]
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError("golden: at least one row is needed to check the model after loading")
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError("golden: tolerance is not a finite number of at least 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that is known of a model before any of its files is parsed."""

    name: str
    version: str
    flavor: Flavor
    features: tuple[Feature, ...]
    output: OutputKind
    files: tuple[PackageFile, ...]
    golden: Golden
    matrix: Matrix = Matrix.NUMBERS

    def __post_init__(self) -> None:
        if not self.name or not self.version:
            raise ValueError("name and version must not be empty")
        names = [feature.name for feature in self.features]
        if not names or len(set(names)) != len(names):
            raise ValueError("features: at least one is needed and their names must differ")
        file_names = [file.name for file in self.files]
        if not file_names or len(set(file_names)) != len(file_names):
            raise ValueError("files: at least one is needed and their names must differ")
        if any(len(row.features) != len(names) for row in self.golden.rows):
            raise ValueError(f"golden: every row needs exactly {len(names)} features")
        if self.matrix is Matrix.NUMBERS:
            self._check_categories()

    def _check_categories(self) -> None:
        for feature in self.features:
            if feature.type is FeatureType.STRING and not feature.categories:
                raise ValueError(
                    f"feature {feature.name!r}: a string without categories cannot be a number;"
                    " list its categories or set matrix to objects"
                )
