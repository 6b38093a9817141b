"""ControlMessage ↔ Control.

Pure: no I/O, no clock. Spans are microseconds on the wire, like its other times without a unit in
their name, and nanoseconds of media time inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.payloads import BatchHint, CancelSpeculation, Control, DeadlineWarning
from transports.rpc.conversion.faults import as_input_error
from transports.rpc.conversion.plain import dumps, loads
from transports.rpc.errors import InputError

if TYPE_CHECKING:
    from protos.remotemedia.v1 import common_pb2


def control_from(message: common_pb2.ControlMessage) -> Control:
    """The payload of a ControlMessage.

    Raises:
        InputError: it says nothing, or something out of range, or its metadata is not JSON.
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
    metadata = loads(message.metadata, "control: metadata") if message.metadata else None
    return Control(said, message.segment_id, message.timestamp_ms, metadata)


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
