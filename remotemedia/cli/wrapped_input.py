"""The `input_data` that a manifest is wrapped together with, as payloads. Source: FR-006, US1.

[item, …]                 items of the only ingress node
{"node": item or […], …}  the same for several: every key is an ingress node
item                      one item of the only ingress node

"text"                    Text
{"text": "…"}             Text, unless the node takes JSON and no text
{"json": …}               Json
{"binary_b64": "…"}       Binary
{"audio": {"samples": […], "sample_rate": 16000, "channels": 1}}    Audio, interleaved
anything else             Json, as it is
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import MediaError, UsageError
from engine.payloads import Audio, Binary, Json, Text
from engine.registry import resolve

if TYPE_CHECKING:
    from collections.abc import Generator

    from engine.payloads import Payload
    from engine.plan import Plan

FIELD = "input_data"


@dataclass(frozen=True, slots=True)
class WrappedInput:
    """Items on their way into an ingress node.

    Attributes:
        node: the ingress node.
        items: what it is fed.
        duration_s: always None: how long it lasts is not known.
    """

    node: str
    items: tuple[Payload, ...]
    duration_s: float | None = None

    @property
    def name(self) -> str:
        """For people: what goes where."""
        return f"{FIELD} → {self.node}"

    def payloads(self) -> Generator[Payload]:
        """The items, one after the other."""
        yield from self.items


def wrapped_inputs(input_data: Any, plan: Plan) -> list[WrappedInput]:
    """Say what feeds which ingress node.

    Args:
        input_data: as the document has it.
        plan: has the ingress nodes.

    Raises:
        UsageError: there are several ingress nodes, and it does not say which is meant.
        MediaError: an item looks like audio or bytes and is none.
    """
    by_node = (
        isinstance(input_data, dict) and bool(input_data) and set(input_data) <= set(plan.ingress)
    )
    if by_node:
        return [_input_of(node, item, plan) for node, item in input_data.items()]
    if len(plan.ingress) == 1:
        return [_input_of(plan.ingress[0], input_data, plan)]
    nodes = ", ".join(plan.ingress) or "known to the server alone"
    raise UsageError(
        f"the manifest's {FIELD} does not say which node it is for; the ingress nodes are {nodes}:"
        " make it an object with their names as keys, or use --input NODE=FILE"
    )


def _input_of(node: str, data: Any, plan: Plan) -> WrappedInput:
    kinds = _accepted(node, plan)
    items = data if isinstance(data, list | tuple) else [data]
    payloads = [_payload(item, kinds, f"{FIELD}[{index}]") for index, item in enumerate(items)]
    return WrappedInput(node, tuple(payloads))


def _accepted(node: str, plan: Plan) -> frozenset[str] | None:
    targets = {item.id: item.target for stage in plan.stages for item in stage.nodes}
    return resolve(targets[node]).accepts


def _payload(item: Any, kinds: frozenset[str] | None, path: str) -> Payload:
    if isinstance(item, str):
        return Text(item)
    if not (isinstance(item, dict) and len(item) == 1):
        return Json(item)
    ((key, value),) = item.items()
    match key, value:
        case "json", _:
            payload: Payload = Json(value)
        case "text", str() if _takes_text(kinds):
            payload = Text(value)
        case "binary_b64", str():
            payload = _binary(value, path)
        case "audio", {"samples": _}:
            payload = _audio(value, path)
        case _:
            payload = Json(item)
    return payload


def _takes_text(kinds: frozenset[str] | None) -> bool:
    return kinds is None or "text" in kinds or "json" not in kinds


def _binary(text: str, path: str) -> Binary:
    try:
        return Binary(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise MediaError(f"{path}.binary_b64 is not base64: {error}") from error


def _audio(value: dict[str, Any], path: str) -> Audio:
    import numpy as np

    channels: Any = value.get("channels", 1)
    rate: Any = value.get("sample_rate", value.get("sampleRate"))
    try:
        samples = np.asarray(value["samples"], np.float32).reshape(-1, channels)
        return Audio(samples, rate)
    except (TypeError, ValueError, OverflowError) as error:
        raise MediaError(
            f"{path}.audio is no audio: {error}; it has samples (numbers, interleaved),"
            " sample_rate in Hz and channels"
        ) from error
