"""What rows are made of: cells, and the types a cell can be of."""

from enum import Enum
from typing import TypeAlias

__all__ = ["Cell", "FeatureType", "Row"]

Cell: TypeAlias = float | str | bool | None
"""The value of one feature of one row."""

Row: TypeAlias = tuple[Cell, ...]
"""The features of one request, in the order of the manifest."""


class FeatureType(Enum):
    """What a cell of the feature may be."""

    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
