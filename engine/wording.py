"""The sentences problems are told in: nearest names, paths into a document, pydantic's findings.

Pure: no I/O, no clock. Source: FR-006.
"""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic_core import ErrorDetails

#: A value quoted in a sentence is cut to this many characters.
QUOTED_CHARS_MAX = 60
#: At most this many names are listed where none is near.
LISTED_MAX = 12
#: A word longer than this is nobody's typing error; comparing it would only take time.
COMPARED_CHARS_MAX = 100

_KINDS = {
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
}


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice most like a word, or None where none is like it."""
    if len(word) > COMPARED_CHARS_MAX:
        return None
    matches = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return matches[0] if matches else None


def suggestion(word: str, choices: Iterable[str], noun: str) -> str:
    """The end of a sentence that says which name was probably meant, or which there are.

    Args:
        word: what was written.
        choices: what could have been written.
        noun: what the choices are, in the plural: "ports".
    """
    known = list(choices)
    match = nearest(word, known)
    if match is not None:
        return f"; did you mean {match!r}?"
    if not known:
        return f"; there are no {noun}"
    more = ", …" if len(known) > LISTED_MAX else ""
    return f"; the {noun} are {', '.join(known[:LISTED_MAX])}{more}"


def nodes_named(node_ids: Iterable[str]) -> str:
    """Nodes in a sentence: "node 'a'", "nodes 'a', 'b'"."""
    ids = list(node_ids)
    return f"{'node' if len(ids) == 1 else 'nodes'} {', '.join(map(repr, ids))}"


def path_of(location: Sequence[int | str], root: str = "") -> str:
    """Write a location as a path into the document: `nodes[2].params.threshold`.

    Args:
        location: keys and list indices, outermost first.
        root: path of what the location starts in.
    """
    path = root
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def quoted(value: Any) -> str:
    """A value the way the document would write it, cut to a readable length."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= QUOTED_CHARS_MAX else f"{text[:QUOTED_CHARS_MAX]}…"


def sentence(error: ErrorDetails) -> str:
    """What pydantic found, said in the words of the document."""
    kind = error["type"]
    if kind == "missing":
        return "is required and missing"
    message = error["msg"]
    if kind in {"value_error", "assertion_error"}:
        text = message.partition(", ")[2]
        # A validator of the whole object has said itself what it is about.
        whole = isinstance(error["input"], dict | list)
        return text if whole else f"{text}, got {quoted(error['input'])}"
    if kind in _KINDS:
        text = _KINDS[kind]
    else:
        text = message[:1].lower() + message[1:]
        for subject in ("input should ", "string should ", "list should ", "value should "):
            text = text.replace(subject, "must ", 1) if text.startswith(subject) else text
    return f"{text}, got {quoted(error['input'])}"
