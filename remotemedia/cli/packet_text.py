"""Packets and payloads as text: one line for people, one JSON object for programs. Pure."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from engine.payloads import Audio, Binary, Control, File, Json, Text, kind_of
from remotemedia.cli.payload_summary import summary, summary_line

if TYPE_CHECKING:
    from engine.packet import Packet
    from engine.payloads import Payload

#: Payloads that are told one by one; of the others a run tells how much there was.
TOLD: Final = (Text, Json, File, Control)


def one_line(payload: Payload) -> str:
    """A payload as one line for people."""
    match payload:
        case Text():
            return "\\n".join(payload.text.splitlines())
        case Json():
            return dump_json(payload.value)
        case Audio():
            return f"{payload.frames} frames of audio"
        case Binary():
            return f"{len(payload.data)} bytes, {payload.mime_type}"
        case _:
            return summary_line(payload)


def facts_of(payload: Payload) -> Any:
    """What a payload says, as JSON; of media its measures."""
    match payload:
        case Text():
            return payload.text
        case Json():
            return payload.value
        case Audio():
            return {
                "frames": payload.frames,
                "channels": payload.channels,
                "sample_rate": payload.sample_rate,
                "duration_ms": payload.duration_ns / 1e6,
            }
        case Binary():
            return {"bytes": len(payload.data), "mime_type": payload.mime_type}
        case _:
            return summary(payload)


def packet_data(packet: Packet) -> dict[str, Any]:
    """A packet as JSON-compatible data: its place and origin, its kind, and what it says.

    What it says stands under "text" or "value", of other kinds under the kind's name.
    """
    payload = packet.payload
    kind = kind_of(payload)
    data: dict[str, Any] = {
        "node": packet.source.node,
        "port": packet.source.port,
        "sequence": packet.sequence,
        "index": packet.index,
        "timestamp_ns": packet.timestamp_ns,
        "kind": kind,
        "value" if kind == "json" else kind: facts_of(payload),
    }
    if isinstance(payload, Text) and payload.language:
        data["language"] = payload.language
    return data


def dump_json(value: Any) -> str:
    """One line of standard JSON; what JSON cannot say (NaN, numpy's types) as near as it gets."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
    except (TypeError, ValueError):
        return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    item = getattr(value, "item", None)
    return _plain(item()) if callable(item) else str(value)
