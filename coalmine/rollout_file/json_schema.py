"""The rollout file as a JSON Schema, for editors. Made of the same classes that read the file.

It knows keys, words, units and what each metric takes; what only a comparison of two values can tell (rising weights, a
tolerance above its margin) it does not: `coalmine lint` does.
"""

from typing import Any

from .schema import RolloutFile

__all__ = ["SCHEMA_ID", "json_schema"]

SCHEMA_ID = "https://coalmine.dev/schemas/rollout.v1.schema.json"
"""The name of this schema; nothing is read from there."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a rollout file."""
    made = plain(RolloutFile.model_json_schema())
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, "title": "coalmine rollout"}
    return {**head, **made}


def plain(schema: Any) -> Any:
    """Return a schema without what speaks of Python: names of classes, and null for keys that may be left out."""
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: plain(value) for name, value in schema.items() if not is_noise(name, value)}
    choices = [choice for choice in kept.pop("anyOf", []) if choice != {"type": "null"}]
    if "patternProperties" in kept:
        kept["additionalProperties"] = False
    if len(choices) == 1:
        return {**choices[0], **kept}
    return {**kept, "anyOf": choices} if choices else kept


def is_noise(name: str, value: object) -> bool:
    """Tell whether a member of a schema says nothing to an author."""
    return (name == "title" and isinstance(value, str)) or (name == "default" and value is None)
