"""A node's params: from the document's spelling to the operator's own, validated.

Pure: no I/O, no clock. Source: FR-006, SC-008.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic import AliasChoices, ValidationError
from pydantic.alias_generators import to_camel, to_snake

from engine.errors import Problem
from engine.wording import path_of, quoted, sentence, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

#: Ends a sentence about an unknown name: takes the name, the known ones, and a noun for them.
Suggest: TypeAlias = Callable[[str, Iterable[str], str], str]

_NOT_THERE: Any = object()
_MUST: Final = "must be "


def normalize_params(
    model: type[BaseModel],
    raw: Mapping[str, Any],
    path: str,
    node_id: str,
    suggest: Suggest = suggestion,
) -> tuple[dict[str, Any], list[Problem]]:
    """Give params the names the model takes, and validate them.

    Args:
        model: the operator's params.
        raw: the params as the document has them, in snake_case, camelCase or a mixture.
        path: where they stand: "nodes[2].params".
        node_id: whose they are.
        suggest: ends a sentence about an unknown name.

    Returns:
        The params by the names the model takes, with the values of the document, so that another
        process validates the same thing; and the problems. Unknown params are left out with a
        warning, unless the model keeps them (`extra="allow"`).
    """
    params, written, problems = _rename(model, raw, path, node_id, suggest)
    try:
        model.model_validate(params)
    except ValidationError as error:
        said: dict[str, list[ErrorDetails]] = {}
        for item in error.errors(include_url=False):
            said.setdefault(_path(item, params, written, path), []).append(item)
        problems += [
            Problem(place, _sentence(items), node_id=node_id) for place, items in said.items()
        ]
    return params, problems


def _rename(
    model: type[BaseModel], raw: Mapping[str, Any], path: str, node_id: str, suggest: Suggest
) -> tuple[dict[str, Any], dict[str, str], list[Problem]]:
    """The params by the model's names, how each was written, and warnings."""
    keys = accepted_spellings(model)
    keeps_unknown = model.model_config.get("extra") == "allow"
    params: dict[str, Any] = {}
    written: dict[str, str] = {}
    problems: list[Problem] = []
    for name, value in raw.items():
        key = keys.get(name)
        if key is None and keeps_unknown:
            key = name
        if key is None:
            hint = suggest(name, dict.fromkeys(keys.values()), "params")
            text = f"is no param of this node and is ignored{hint}"
        elif key in params:
            text = f"is ignored: {written[key]!r} says the same"
        else:
            params[key] = value
            written[key] = name
            continue
        problems.append(Problem(f"{path}.{name}", text, "warning", node_id))
    return params, written, problems


def _path(
    error: ErrorDetails, params: Mapping[str, Any], written: Mapping[str, str], path: str
) -> str:
    """Where in the document an error is: pydantic also says which of several types it tried."""
    location: list[int | str] = []
    value: Any = params
    for index, part in enumerate(error["loc"]):
        missing = error["type"] == "missing" and index == len(error["loc"]) - 1
        found = _inside(value, part)
        if found is not _NOT_THERE:
            value = found
        if found is not _NOT_THERE or missing:
            location.append(written.get(str(part), part) if index == 0 else part)
    return path_of(location, path)


def _inside(value: Any, part: int | str) -> Any:
    """A member of an object or a list, or _NOT_THERE."""
    if isinstance(value, dict):
        return value.get(part, _NOT_THERE)
    if isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
        return value[part]
    return _NOT_THERE


def _sentence(errors: Sequence[ErrorDetails]) -> str:
    """What is wrong in one place: with a param of several types, each says its own."""
    texts = list(dict.fromkeys(sentence(error) for error in errors))
    got = f", got {quoted(errors[0]['input'])}"
    if len(texts) == 1 or not all(text.startswith(_MUST) and text.endswith(got) for text in texts):
        return "; ".join(texts)
    wanted = [text.removeprefix(_MUST).removesuffix(got).partition(", ")[0] for text in texts]
    return f"{_MUST}{' or '.join(dict.fromkeys(wanted))}{got}"


@functools.lru_cache(maxsize=1024)
def accepted_spellings(model: type[BaseModel]) -> Mapping[str, str]:
    """Every spelling a manifest may use for a param, and the key the model takes it by."""
    spellings: dict[str, str] = {}
    for name, field in model.model_fields.items():
        aliases = _aliases(field)
        by_name = model.model_config.get("populate_by_name") or model.model_config.get(
            "validate_by_name"
        )
        key = name if by_name or not aliases else aliases[0]
        for word in (name, *aliases):
            for spelling in (word, to_camel(word), to_snake(word)):
                # A param's own name counts before another's spelling of it.
                if spelling == word:
                    spellings[spelling] = key
                else:
                    spellings.setdefault(spelling, key)
    return spellings


def _aliases(field: FieldInfo) -> list[str]:
    """The keys a field is read from besides its name, the first one first."""
    alias = field.validation_alias if field.validation_alias is not None else field.alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return [choice for choice in choices if isinstance(choice, str)]
