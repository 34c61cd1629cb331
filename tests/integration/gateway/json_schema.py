"""As much of JSON Schema 2020-12 as our OpenAPI uses. A word that it does not know is an error, not a pass."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
}
_SILENT = {"title", "description", "default", "examples", "example", "format", "contentMediaType"}


def faults(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str = "") -> list[str]:
    """Where a value is not what the schema says; empty when it is. root: the document that `$ref` points into."""
    return [fault for word, said in schema.items() for fault in _of_word(word, said, schema, value, root, at)]


def _of_word(
    word: str, said: Any, schema: Mapping[str, Any], value: Any, root: Mapping[str, Any], at: str
) -> Iterator[str]:
    if word in _SILENT:
        return
    if word == "$ref":
        yield from faults(value, resolved(said, root), root, at)
    elif word in ("anyOf", "oneOf"):
        fitting = [one for one in said if not faults(value, one, root, at)]
        if not fitting or (word == "oneOf" and len(fitting) > 1):
            yield f"{at}: fits {len(fitting)} of {word}"
    elif word in ("properties", "items", "additionalProperties"):
        for place, inner, below in _inside(word, said, schema, value):
            yield from [f"{at}{place}: not allowed"] if below is False else faults(inner, below, root, at + place)
    elif not _holds(word, said, value):
        yield f"{at}: {word}"


def _inside(word: str, said: Any, schema: Mapping[str, Any], value: Any) -> Iterator[tuple[str, Any, Any]]:
    """(pointer, value, schema or False) of what is inside a value, as far as this word speaks of it."""
    if word == "items":
        yield from ((f"/{number}", item, said) for number, item in enumerate(value if isinstance(value, list) else ()))
    for name, inner in (value if isinstance(value, dict) else {}).items():
        if word == "properties" and name in said:
            yield f"/{name}", inner, said[name]
        elif word == "additionalProperties" and name not in schema.get("properties", {}) and said is not True:
            yield f"/{name}", inner, said


def resolved(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


def _holds(word: str, said: Any, value: Any) -> bool:
    if word == "type":
        return _is_a(said, value)
    if word == "required":
        return not isinstance(value, dict) or all(name in value for name in said)
    if word in ("enum", "const"):
        return value in said if word == "enum" else bool(value == said)
    if word == "pattern":
        return not isinstance(value, str) or re.search(said, value) is not None
    if word in ("minLength", "maxLength"):
        return not isinstance(value, str) or (len(value) >= said if word == "minLength" else len(value) <= said)
    if word in ("minItems", "maxItems"):
        return not isinstance(value, list) or (len(value) >= said if word == "minItems" else len(value) <= said)
    if word == "minimum":
        return not isinstance(value, (int, float)) or value >= said
    raise NotImplementedError(f"the schema says {word}, which this test does not know")


def _is_a(said: str, value: Any) -> bool:
    if said in ("integer", "number"):
        return not isinstance(value, bool) and isinstance(value, int if said == "integer" else (int, float))
    return isinstance(value, _TYPES[said])
