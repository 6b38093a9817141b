"""Collects what is said between two pauses.

Source: FR-002. No I/O. Goes behind a voice activity detector: takes its markers and its audio on
the one input, and emits one packet per utterance, or the parts of each while it is being spoken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Audio
from operators.audio.utterance import Part, UtteranceCutter, as_part, detached, marker_of
from operators.taking_back import taken_back

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from engine.interruption import Lineage
    from engine.operator import Context, Output
    from engine.packet import Packet
    from engine.payloads import Control
    from operators.audio.utterance import Piece


class _Kept(NamedTuple):
    """Samples of the utterance under way, and the origin of their packet."""

    samples: npt.NDArray[Any]
    origin: Lineage | None


class AudioBufferAccumulator(Operator):
    """Emits one utterance, with some sound before it, when the detector says that it has ended.

    With `stream` its parts come while it is being spoken, so that what follows can work on it
    meanwhile: one packet when `min_utterance_duration_ms` have been spoken, one for each packet
    that comes in, and a last one at the end (it may be empty). Metadata `utterance_part` says
    "begin", "middle" or "end"; together they have the samples of the whole utterance.

    An utterance with less speech than `min_utterance_duration_ms` is dropped; at
    `max_utterance_duration_ms` it is emitted and another one goes on without a gap. The end of the
    stream ends an utterance too. Rate, channels and dtype are those of the input. Markers are
    consumed, payloads that are neither markers nor audio pass through.

    What it keeps is bounded by `max_utterance_duration_ms` and 3 s before an utterance.

    Other params hold for the utterance under way, too. An utterance lacks the packets that a
    CancelSpeculation takes back before it is emitted; one of which nothing is left is not. Markers
    that wait for their audio are taken back as well.
    """

    node_type = "AudioBufferAccumulatorNode"
    accepts = frozenset({"audio", "json"})
    emits = frozenset({"audio"})
    stateful = True
    hot = frozenset({"min_utterance_duration_ms", "max_utterance_duration_ms", "stream"})

    class Params(BaseParams):
        min_utterance_duration_ms: int = Field(
            250, ge=0, le=60_000, description="shorter speech is dropped"
        )
        max_utterance_duration_ms: int = Field(
            30_000, ge=100, le=600_000, description="longer utterances are cut"
        )
        stream: bool = Field(False, description="emit an utterance's parts while it is spoken")

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._cutter = UtteranceCutter(self.params.max_utterance_duration_ms)
        self._parts: list[_Kept] = []
        #: Parts of the utterance under way have been emitted.
        self._begun = False
        #: The last packet, without its samples: what is emitted keeps its metadata.
        self._last: Packet | None = None

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        payload = packet.payload
        if isinstance(payload, Audio):
            self._last = packet.with_payload(_NO_AUDIO)
            return self._collect(
                self._cutter.feed(payload, packet.origin), payload.samples.nbytes, ctx
            )
        marker = marker_of(payload)
        if marker is None:
            return [packet]
        self._cutter.mark(marker, packet.origin)
        return []

    def flush(self, ctx: Context) -> list[Output]:
        return self._collect(self._cutter.flush(), 0, ctx)

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._cutter.utterance_ms_max = self.params.max_utterance_duration_ms

    def control(self, control: Control, ctx: Context) -> None:
        span = taken_back(control)
        if span is not None:
            self._cutter.take_back(span)
            self._parts = [
                part for part in self._parts if part.origin is None or not span(part.origin)
            ]

    def reset(self, ctx: Context) -> None:
        self._cutter.reset()
        self._parts = []
        self._begun = False

    def _collect(self, pieces: Iterable[Piece], packet_bytes: int, ctx: Context) -> list[Output]:
        outputs: list[Output] = []
        for piece in pieces:
            if piece.begins:
                self._parts, self._begun = [], False
            samples = detached(piece.samples, 0 if piece.ends else packet_bytes)
            self._parts.append(_Kept(samples, piece.origin))
            spoken_ms = piece.speech_frames * 1000 // piece.sample_rate
            if self._begun or spoken_ms >= self.params.min_utterance_duration_ms:
                outputs += self._emit(piece, ctx)
            if piece.ends:
                self._parts, self._begun = [], False
        return outputs

    def _emit(self, piece: Piece, ctx: Context) -> list[Output]:
        """Emit what was collected: at the end, or at once if parts are wanted."""
        if not (piece.ends or self.params.stream):
            return []
        audio = self._joined(piece.sample_rate, ctx)
        if not (audio.frames or self._begun):  # all of it was taken back
            return []
        begun, self._begun = self._begun, True
        if self._last is None or (piece.ends and not begun):
            return [audio]
        part = Part.END if piece.ends else Part.MIDDLE if begun else Part.BEGIN
        return [as_part(self._last, audio, part)]

    def _joined(self, sample_rate: int, ctx: Context) -> Audio:
        parts, self._parts = [part.samples for part in self._parts], []
        frames = sum(len(part) for part in parts)
        samples = ctx.empty((frames, parts[0].shape[1]), parts[0].dtype)
        return Audio(np.concatenate(parts, out=samples), sample_rate)


_NO_AUDIO = Audio(np.zeros((0, 1), np.float32), 1)
