"""What a packet's payload is as a value, for operators that count, compare and combine.

No I/O. Source: FR-002.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from engine.payloads import PAYLOAD_TYPES, Control, Json, Text, kind_of
from operators.flow.json_path import MISSING, look_up

if TYPE_CHECKING:
    from engine.packet import Packet
    from engine.payloads import Payload
    from operators.flow.json_path import Path

#: A span of time in a param, in seconds of the session's clock.
Seconds = Annotated[float, Field(ge=0.001, le=86_400, allow_inf_nan=False)]


def is_control(packet: Packet) -> bool:
    """Whether a packet is about the stream itself: no value, passed on as it is."""
    return type(packet.payload) is Control


def value_of(packet: Packet, path: Path = ()) -> Any:
    """A text's string, a Json's value or the one a path leads to, else the payload itself.

    Raises:
        TypeError: a path is given and the payload is not Json.
        ValueError: the path leads to nothing.
    """
    payload = packet.payload
    if isinstance(payload, Json):
        value = look_up(payload.value, path)
        if value is MISSING:
            raise ValueError(
                f"the JSON value has no field {'.'.join(path)!r}; put a SelectNode before this node"
                " to let only values through that have it"
            )
        return value
    if path:
        raise TypeError(f"{kind_of(payload)} has no field {'.'.join(path)!r}: only json has fields")
    return payload.text if isinstance(payload, Text) else payload


def as_payload(value: Any) -> Payload:
    """A payload as it is; anything else as Json, apart from the value it was made of.

    A function may go on changing what it returned; an emitted packet never changes.
    """
    if type(value) in PAYLOAD_TYPES:
        payload: Payload = value
        return payload
    return Json(copy.deepcopy(value) if isinstance(value, dict | list) else value)
