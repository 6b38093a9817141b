"""ControlMessage ↔ Control.

Pure: no I/O, no clock. Spans are microseconds on the wire, like its other times without a unit in
their name, and nanoseconds of media time inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from engine.payloads import BatchHint, CancelSpeculation, Control, DeadlineWarning
from transports.rpc.conversion.faults import as_input_error
from transports.rpc.conversion.plain import dumps, loads
from transports.rpc.errors import InputError

if TYPE_CHECKING:
    from protos.remotemedia.v1 import common_pb2

#: How deep metadata may be nested: it is copied level by level on its way to the nodes.
METADATA_DEPTH_MAX: Final = 64


def control_from(message: common_pb2.ControlMessage, containers_max: int | None = None) -> Control:
    """The payload of a ControlMessage.

    Args:
        message: the message.
        containers_max: of its metadata, see `loads`.

    Raises:
        InputError: it says nothing, or something out of range, or its metadata is not JSON, or
            nested too deep.
        ResourceLimitError: its metadata has more lists and objects than it may have.
    """
    with as_input_error("control"):
        match message.WhichOneof("message_type"):
            case "cancel_speculation":
                span = message.cancel_speculation
                said: CancelSpeculation | BatchHint | DeadlineWarning = CancelSpeculation(
                    span.from_timestamp * 1_000, span.to_timestamp * 1_000
                )
            case "batch_hint":
                said = BatchHint(message.batch_hint.suggested_batch_size)
            case "deadline_warning":
                said = DeadlineWarning(message.deadline_warning.deadline_us)
            case _:
                raise InputError("control: none of its messages is set")
    metadata = None
    if message.metadata:
        metadata = loads(message.metadata, "control: metadata", containers_max)
        _check_depth(metadata)
    return Control(said, message.segment_id, message.timestamp_ms, metadata)


def _check_depth(metadata: Any) -> None:
    level = [metadata]
    for _ in range(METADATA_DEPTH_MAX):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise InputError(
        f"control: metadata is nested more than {METADATA_DEPTH_MAX} levels deep, the most it may"
        " be"
    )


def fill_control(message: common_pb2.ControlMessage, payload: Control) -> None:
    """Write a payload into an empty ControlMessage; a span as the whole microseconds it lies in.

    Raises:
        ValueError, TypeError: JSON cannot say its metadata.
    """
    message.segment_id = payload.segment_id
    message.timestamp_ms = payload.timestamp_ms
    message.metadata = "" if payload.metadata is None else dumps(payload.metadata)
    said = payload.message
    if isinstance(said, CancelSpeculation):
        message.cancel_speculation.SetInParent()
        message.cancel_speculation.from_timestamp = said.from_ns // 1_000
        message.cancel_speculation.to_timestamp = -(-said.to_ns // 1_000)
    elif isinstance(said, BatchHint):
        message.batch_hint.suggested_batch_size = said.suggested_batch_size
    else:
        message.deadline_warning.SetInParent()  # also where no time is left
        message.deadline_warning.deadline_us = said.deadline_us
