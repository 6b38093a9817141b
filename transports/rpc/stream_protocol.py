"""Which message of a stream may come when, and what it asks for.

Pure: no I/O, no clock. Source: FR-012.

               init             data_chunk, audio_chunk    control
    new        Open             error                      error
    open       error            Feed                       Close, Cancel
    closed     ignored          ignored                    Cancel (ignored otherwise)
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from protos.remotemedia.v1 import common_pb2, streaming_pb2
from transports.rpc.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class OpenCommand:
    """Open a session.

    Attributes:
        init: what was asked for.
    """

    init: streaming_pb2.StreamInit


@dataclass(frozen=True, slots=True)
class FeedCommand:
    """Give the session an input.

    Attributes:
        node_id: the node it is for.
        buffer: what is for its first port; None: `named` has it.
        named: input port → what is for it.
        sequence: the client's number for it.
        timestamp_ms: its media time; 0: none.
    """

    node_id: str
    buffer: common_pb2.DataBuffer | None
    named: Mapping[str, common_pb2.DataBuffer]
    sequence: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class CloseCommand:
    """No more input: let everything come out."""


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """Stop at once."""


Command: TypeAlias = OpenCommand | FeedCommand | CloseCommand | CancelCommand


class _Phase(enum.Enum):
    NEW = "new"
    OPEN = "open"
    CLOSED = "closed"


class StreamProtocol:
    """Reads the messages of one stream, in order."""

    def __init__(self) -> None:
        """Wait for the init."""
        self._phase = _Phase.NEW
        #: The lowest sequence the next audio chunk may have.
        self._audio_sequence = 0

    def receive(self, request: streaming_pb2.StreamRequest) -> Command | None:
        """What a message asks for; None: nothing, since the stream was closed before.

        Raises:
            InputError: it may not come now, or says nothing; the stream is then at its end.
        """
        kind = request.WhichOneof("request")
        if self._phase is _Phase.OPEN and kind == "data_chunk":  # nearly always
            return self._data(request.data_chunk)
        if self._phase is _Phase.CLOSED:
            cancels = kind == "control" and _is_cancel(request.control)
            return CancelCommand() if cancels else None
        if kind is None:
            raise InputError("the StreamRequest is empty: set init, data_chunk or control")
        if self._phase is _Phase.NEW:
            if kind != "init":
                raise InputError(f"the first message of a stream is init, got {kind}")
            self._phase = _Phase.OPEN
            return OpenCommand(request.init)
        if kind == "init":
            raise InputError("init was sent before: a stream has one; open another stream")
        if kind == "audio_chunk":
            return self._audio(request.audio_chunk)
        return self._control(request.control)

    def end(self) -> Command | None:
        """The client sends no more messages: what that asks for.

        Raises:
            InputError: it has not even sent an init.
        """
        phase, self._phase = self._phase, _Phase.CLOSED
        if phase is _Phase.NEW:
            raise InputError("the stream ended before its init")
        return CloseCommand() if phase is _Phase.OPEN else None

    def _data(self, chunk: streaming_pb2.DataChunk) -> FeedCommand:
        node_id, sequence = chunk.node_id, chunk.sequence
        has_buffer, named = chunk.HasField("buffer"), chunk.named_buffers
        if has_buffer == bool(named):
            which = "both buffer and named_buffers" if has_buffer else "no buffer"
            raise InputError(
                f"the chunk {sequence} for node {node_id[:100]!r} has {which}: set either buffer or"
                " named_buffers",
                node_id=node_id[:100],
                sequence=sequence,
            )
        buffer = chunk.buffer if has_buffer else None
        return FeedCommand(node_id, buffer, named, sequence, chunk.timestamp_ms)

    def _audio(self, chunk: streaming_pb2.AudioChunk) -> FeedCommand:
        sequence, expected = chunk.sequence, self._audio_sequence
        if sequence < expected:
            raise InputError(
                f"the audio chunk {sequence} comes too late: {expected} was expected",
                node_id=chunk.node_id[:100],
                sequence=sequence,
            )
        if not chunk.HasField("buffer"):
            raise InputError(
                f"the audio chunk {sequence} for node {chunk.node_id[:100]!r} has no buffer",
                node_id=chunk.node_id[:100],
                sequence=sequence,
            )
        self._audio_sequence = sequence + 1
        buffer = common_pb2.DataBuffer(audio=chunk.buffer)
        return FeedCommand(chunk.node_id, buffer, {}, sequence, chunk.timestamp_ms)

    def _control(self, control: streaming_pb2.StreamControl) -> Command:
        if _is_cancel(control):
            self._phase = _Phase.CLOSED
            return CancelCommand()
        if control.command != streaming_pb2.StreamControl.COMMAND_CLOSE:
            raise InputError(
                f"there is no stream command {control.command}; there are CLOSE (1) and CANCEL (2)"
            )
        self._phase = _Phase.CLOSED
        return CloseCommand()


def _is_cancel(control: streaming_pb2.StreamControl) -> bool:
    return control.command == streaming_pb2.StreamControl.COMMAND_CANCEL
