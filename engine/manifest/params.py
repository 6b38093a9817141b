"""A node's params: from the document's spelling to the operator's own, validated.

Pure: no I/O, no clock. Source: FR-006, SC-008.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import AliasChoices, ValidationError
from pydantic.alias_generators import to_camel, to_snake

from engine.errors import Problem
from engine.wording import path_of, sentence, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

#: Ends a sentence about an unknown name: takes the name, the known ones, and a noun for them.
Suggest: TypeAlias = Callable[[str, Iterable[str], str], str]


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
        for item in error.errors(include_url=False):
            problems.append(Problem(_path(item, written, path), sentence(item), node_id=node_id))
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


def _path(error: ErrorDetails, written: Mapping[str, str], path: str) -> str:
    location = error["loc"]
    if not location:
        return path
    first = written.get(str(location[0]), location[0])
    return path_of((first, *location[1:]), path)


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
