"""What may be sent: the forms an input has, and what is said of what is none.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

import numpy as np

from engine.errors import UsageError
from engine.packet import NO_METADATA
from engine.payloads import PAYLOAD_TYPES, Payload

#: What `stream` takes: a payload, or payloads by input port that belong together, for the only
#: ingress node; or a pair of a node's id and one of these.
Input: TypeAlias = Payload | Mapping[str, Payload] | tuple[str, Payload | Mapping[str, Payload]]

InputsT = TypeVar("InputsT")

_HINTS: dict[type, str] = {
    str: "use Text(...)",
    bytes: "use Binary(...)",
    dict: "use Json(...), or payloads by their ports for a group",
    list: "send its items one by one, or all by `stream`; use Json(...) for a JSON list",
    int: "use Json(...)",
    float: "use Json(...)",
    tuple: "name the node as the second argument: send(payload, node)",
    np.ndarray: "use Audio(samples, sample_rate), Video(pixels) or Tensor(array)",
    np.float32: "an array is one payload: use Audio(samples, sample_rate) or Tensor(array)",
}


def checked_inputs(inputs: InputsT) -> InputsT:
    """Inputs that can be iterated over.

    Raises:
        UsageError: they are one payload, or nothing to iterate over.
    """
    if isinstance(inputs, AsyncIterable) or (
        isinstance(inputs, Iterable) and not isinstance(inputs, (str, bytes, dict))
    ):
        return inputs
    if callable(inputs):
        raise UsageError(
            f"inputs must be an iterable of payloads, and {inputs!r:.100} is a function: call it"
        )
    raise UsageError(
        f"inputs must be an iterable of payloads, not one {type(inputs).__name__}: put it in a list"
    )


def split_input(item: Any) -> tuple[str | None, Any]:
    """The node an input is for, or None, and what is for it.

    Raises:
        UsageError: it is a tuple of another form.
    """
    if not isinstance(item, tuple):
        return None, item
    if len(item) != 2 or not isinstance(item[0], str):  # noqa: PLR2004 - a pair
        raise UsageError(f"an input is a payload or (node, payload), not {item!r:.100}")
    return item


def is_group(value: Any) -> bool:
    """Whether an input is payloads by their ports."""
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(type(payload) in PAYLOAD_TYPES for payload in value.values())
    )


def own_metadata(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """Metadata as it is now, whatever its sender does with it later."""
    return dict(metadata) if metadata else NO_METADATA


def not_an_input(value: Any) -> str:
    """What to say of a value that was sent and that is no payload."""
    kind = type(value)
    if inspect.isawaitable(value):
        hint = "await it first"
    elif isinstance(value, type) and value in PAYLOAD_TYPES:
        return f"{value.__name__} is a class: make a payload of it, {value.__name__}(...)"
    else:
        hint = _HINTS.get(kind, "use Audio, Video, Tensor, Text, Json, Binary, File or Table")
    return f"{kind.__name__} is not a payload: {hint}"
