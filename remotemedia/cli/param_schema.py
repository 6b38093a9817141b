"""Params in words: what a JSON schema says of a value, the way a person would say it. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

if TYPE_CHECKING:
    from pydantic import BaseModel

_NOUNS: Final = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "object": "object",
    "null": "null",
    "array": "list",
}
#: Longer defaults and patterns are cut.
_CHARS_MAX: Final = 60


def schema_of(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """The schema of each param, by the key the model takes it by; references are resolved.

    A model of which pydantic makes no schema has its fields with what their annotations say.
    """
    try:
        whole = model.model_json_schema()
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        return {
            name: {"title": str(info.annotation), "description": info.description}
            for name, info in model.model_fields.items()
        }
    parts = whole.get("$defs", {})
    return {name: _resolved(item, parts) for name, item in whole.get("properties", {}).items()}


def _resolved(schema: Any, parts: dict[str, Any], depth: int = 0) -> Any:
    if depth > 8:  # noqa: PLR2004 - a model that contains itself is shown this far
        return {}
    if isinstance(schema, list):
        return [_resolved(item, parts, depth) for item in schema]
    if not isinstance(schema, dict):
        return schema
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    rest = {key: _resolved(item, parts, depth + 1) for key, item in schema.items() if key != "$ref"}
    return {**_resolved(parts[name], parts, depth + 1), **rest} if name in parts else rest


def type_text(schema: dict[str, Any]) -> str:
    """What a value may be, with its bounds."""
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if "enum" in schema:
        values = [json.dumps(value, ensure_ascii=False) for value in schema["enum"]]
        return f"one of {', '.join(values)}"
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(type_text(item) for item in schema[word]))
    kind = schema.get("type")
    if kind == "array":
        return _list_text(schema)
    if schema.get("properties"):
        return f"object of {', '.join(schema['properties'])}"
    noun = _NOUNS.get(str(kind), "anything")
    return " ".join(part for part in (noun, _bounds(schema)) if part)


def _list_text(schema: dict[str, Any]) -> str:
    items = schema.get("items")
    inside = f" of ({type_text(items)})" if isinstance(items, dict) and items else ""
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is None and most is None:
        return f"list{inside}"
    return f"list{inside} with {_span(least, most)} items"


def _bounds(schema: dict[str, Any]) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    words = []
    if low is not None:
        words.append(f"from {low}")
    if above is not None:
        words.append(f"above {above}")
    if high is not None:
        words.append(f"to {high}" if low is not None else f"{'and ' * bool(words)}at most {high}")
    if below is not None:
        words.append(f"{'and ' * bool(words)}below {below}")
    if "minLength" in schema or "maxLength" in schema:
        words.append(f"of {_span(schema.get('minLength'), schema.get('maxLength'))} characters")
    if "pattern" in schema:
        words.append(f"like {cut(schema['pattern'])}")
    return " ".join(words)


def _span(least: int | None, most: int | None) -> str:
    if least is not None and most is not None:
        return f"{least} to {most}" if least != most else f"{least}"
    return f"at least {least}" if least is not None else f"at most {most}"


def default_text(value: Any) -> str:
    """A default, cut to a readable length."""
    return cut(json.dumps(value, ensure_ascii=False, default=str))


def cut(text: str) -> str:
    """A text that is not longer than there is room for."""
    return text if len(text) <= _CHARS_MAX else f"{text[: _CHARS_MAX - 1]}…"
