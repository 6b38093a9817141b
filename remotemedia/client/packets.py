"""Payloads on the wire, as packets like those of a local session.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from engine.errors import TransportError, UsageError
from engine.packet import NO_METADATA, Origin, Packet, Source
from engine.payloads import PAYLOAD_TYPES
from engine.session.inputs import not_an_input
from protos.remotemedia.v1 import common_pb2
from transports.rpc.conversion.buffers import InputRules, fill, receive
from transports.rpc.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.payloads import Payload

#: What a server sends is taken as it is.
_ANYTHING: Final = InputRules()


def buffer_of(
    payload: Payload, metadata: Mapping[str, str] = NO_METADATA, timestamp_ns: int = 0
) -> common_pb2.DataBuffer:
    """What carries a payload.

    Args:
        payload: the data.
        metadata: what travels with it.
        timestamp_ns: its media time, which only a Video carries itself.

    Raises:
        UsageError: it is no payload, or the wire cannot say it.
    """
    if type(payload) not in PAYLOAD_TYPES:
        raise UsageError(not_an_input(payload))
    buffer = common_pb2.DataBuffer()
    packet = Packet(payload, Source(""), "", 0, Origin("", 0, timestamp_ns, 0, metadata=metadata))
    try:
        fill(buffer, packet)
    except (ValueError, TypeError) as error:
        raise UsageError(f"the payload cannot be sent: {error}") from error
    return buffer


class Incoming:
    """Makes packets of what one session gives."""

    def __init__(self, session_id: str) -> None:
        """Begin.

        Args:
            session_id: the session.
        """
        self._session_id = session_id
        #: Outputs of each node for the newest sequence that it has answered.
        self._sequences: dict[str, int] = {}
        self._counts: Counter[str] = Counter()

    def packet(self, node_id: str, buffer: common_pb2.DataBuffer, sequence: int = 0) -> Packet:
        """An output.

        Args:
            node_id: the node that gave it.
            buffer: what it gave.
            sequence: the number of the input that caused it.

        Raises:
            TransportError: it makes no sense.
        """
        try:
            received = receive(buffer, _ANYTHING)
        except InputError as error:
            raise TransportError(
                f"the server sent an output of node {node_id!r} that cannot be read:"
                f" {error.message}",
                node_id=node_id,
            ) from error
        if self._sequences.get(node_id) != sequence:
            self._sequences[node_id] = sequence
            self._counts[node_id] = 0
        index = self._counts[node_id]
        self._counts[node_id] += 1
        origin = Origin(
            self._session_id, sequence, received.timestamp_ns or 0, 0, metadata=received.metadata
        )
        return Packet(received.payload, Source(node_id), "", index, origin)
