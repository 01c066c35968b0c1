"""What validation found, in the words of the author and at its place in the file."""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from coalmine.errors import Problem

from ..suggest import did_you_mean
from .document import Document, Path
from .schema import LATER_KEYS, keys_under
from .units import quoted

__all__ = ["problems_of"]

EXAMPLES = {
    "apiVersion": "apiVersion: coalmine.dev/v1",
    "kind": "kind: Rollout",
    "name": "name: my-rollout",
    "stable": "stable: {uri: my-model/1}",
    "uri": "uri: my-model/1",
    "weight": "weight: 10%",
    "metric": "metric: error_rate",
    "when": "when: {segment.NAME: VALUE}",
    "variant": "variant: stable",
    "zone": "zone: Europe/Berlin",
}
"""What to write for each key that must be there."""

BEGIN = "begin with apiVersion: coalmine.dev/v1, kind: Rollout, name: my-rollout, stable: {uri: my-model/1}"
"""What to write into an empty file."""

WRONG_TYPES = {
    "string_type": "is not text; put it in quotes",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_type": "is not a number",
    "finite_number": "is not a finite number",
    "bool_type": "is not true or false",
    "list_type": "is not a list; write [..., ...]",
    "dict_type": "is not a mapping; write {KEY: VALUE}",
    "model_type": "is not a mapping; write {KEY: VALUE}",
    "model_attributes_type": "is not a mapping; write {KEY: VALUE}",
    "string_too_short": "an empty text says nothing; write a value or remove the key",
    "too_short": "an empty list or mapping says nothing; write a value or remove the key",
}
"""Sentences for the findings of pydantic whose own words speak of Python."""


def problems_of(document: Document, error: ValidationError) -> Iterator[Problem]:
    """Yield a problem for everything validation found."""
    for detail in error.errors(include_url=False):
        path: Path = tuple(detail["loc"])
        if path and path[-1] == "[key]":
            yield document.at_key(path[:-1], sentence(detail))
        elif detail["type"] == "extra_forbidden":
            yield document.at_key(path, unknown_key(path))
        elif detail["input"] is None and path in document.keys:
            yield document.at_key(path, "nothing is written here; write a value or remove the key")
        elif detail["type"] == "missing":
            yield document.at_value(path, f"missing; write {EXAMPLES.get(str(path[-1]), str(path[-1]) + ': ...')}")
        else:
            yield document.at_value(path, sentence(detail))


def unknown_key(path: Path) -> str:
    """Say whether a key is of a later version or of none, and which key was probably meant."""
    key = str(path[-1])
    if key in LATER_KEYS:
        return f"{key} is not supported in this version; remove it"
    known = keys_under(path[:-1])
    near = did_you_mean(key, known)
    return f"unknown key{near}" if near else f"unknown key; known here: {', '.join(known)}"


def sentence(detail: Any) -> str:
    """Return what is wrong with a value."""
    found, kind = detail["input"], detail["type"]
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if found is None:
        return "nothing is written here; write a value" if detail["loc"] else f"the file is empty; {BEGIN}"
    if kind in ("string_too_short", "too_short"):
        return WRONG_TYPES[kind]
    if kind in WRONG_TYPES:
        return f"{quoted(found)} {WRONG_TYPES[kind]}"
    return f"{quoted(found)}: {detail['msg'][0].lower()}{detail['msg'][1:]}"
