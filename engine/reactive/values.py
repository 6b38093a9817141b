"""Packets ↔ plain values, for chains that work on values; and what to say of what is neither.

Pure: no I/O, no clock.

    Text ↔ str      Json ↔ dict, list, number, bool, None      other payloads are their own values
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reactivex import Notification, Observable

from engine.operator import Emission
from engine.packet import Packet
from engine.payloads import PAYLOAD_TYPES, Json, Text, not_an_output

if TYPE_CHECKING:
    from engine.operator import Output

#: What an adapter takes from a chain.
OUTPUT_TYPES: Final = PAYLOAD_TYPES | {Packet, Emission}

_JSON_TYPES: Final = (dict, list, int, float, bool, type(None))


def value_of(packet: Packet) -> Any:
    """What a packet carries as a plain value."""
    payload = packet.payload
    if type(payload) is Text:
        return payload.text
    if type(payload) is Json:
        return payload.value
    return payload


def output_of(value: Any) -> Output:
    """A plain value as what a node hands out; what cannot be one is left to the adapter's error."""
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, tuple) and type(value) not in OUTPUT_TYPES:
        value = list(value)
    if isinstance(value, list) and any(type(item) in OUTPUT_TYPES for item in value):
        return value  # type: ignore[return-value]
    return Json(value) if isinstance(value, _JSON_TYPES) else value


def not_an_item(value: Any) -> str:
    """What to say of a value that a chain emitted and that is no payload."""
    kind = type(value).__name__
    if isinstance(value, list | tuple):
        return (
            f"a {kind} is not a payload: behind what collects (buffer, pairwise, zip) put collect()"
            " or a mapper that makes one payload of it, or let the chain work on values"
        )
    if isinstance(value, Observable):
        return (
            f"a {kind} is not a payload: behind what makes observables (window, group_by) put"
            " merge_all, concat_all, switch_latest or flat_map"
        )
    if isinstance(value, Notification):
        return f"a {kind} is not a payload: map it to one, or put dematerialize behind it"
    return not_an_output(value)
