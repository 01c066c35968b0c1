"""What all mappings of a rollout file have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticUndefined

__all__ = ["Part", "entry"]


class Part(BaseModel):
    """A mapping of the file: unknown keys are errors, nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def entry(description: str, default: Any = PydanticUndefined, **more: Any) -> Any:
    """Return a key with what it means; `default` is written as an author would, so that one text serves all readers.

    None stands for "not given". Without a default the key must be given.
    """
    written = default is not PydanticUndefined and default is not None
    return Field(default, description=description, validate_default=written, **more)
