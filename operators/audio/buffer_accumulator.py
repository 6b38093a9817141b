"""Collects what is said between two pauses into one audio packet.

Source: FR-002. No I/O. Goes behind a voice activity detector: takes its markers and its audio on
the one input, and emits one packet per utterance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Audio
from operators.audio.utterance import UtteranceCutter, detached, marker_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from engine.operator import Context, Output
    from engine.packet import Packet
    from operators.audio.utterance import Piece


class AudioBufferAccumulator(Operator):
    """Emits one utterance, with some sound before it, when the detector says that it has ended.

    An utterance with less speech than `min_utterance_duration_ms` is dropped; at
    `max_utterance_duration_ms` it is emitted and another one goes on without a gap. The end of the
    stream ends an utterance too. Rate, channels and dtype are those of the input. Markers are
    consumed, payloads that are neither markers nor audio pass through.

    What it keeps is bounded by `max_utterance_duration_ms` and 3 s before an utterance.
    """

    node_type = "AudioBufferAccumulatorNode"
    accepts = frozenset({"audio", "json"})
    emits = frozenset({"audio"})
    stateful = True

    class Params(BaseParams):
        min_utterance_duration_ms: int = Field(
            250, ge=0, le=60_000, description="shorter speech is dropped"
        )
        max_utterance_duration_ms: int = Field(
            30_000, ge=100, le=600_000, description="longer utterances are emitted in parts"
        )

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._cutter = UtteranceCutter(self.params.max_utterance_duration_ms)
        self._parts: list[npt.NDArray[Any]] = []

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        payload = packet.payload
        if isinstance(payload, Audio):
            return self._collect(self._cutter.feed(payload), payload.samples.nbytes, ctx)
        marker = marker_of(payload)
        if marker is None:
            return [packet]
        self._cutter.mark(marker)
        return []

    def flush(self, ctx: Context) -> list[Output]:
        return self._collect(self._cutter.flush(), 0, ctx)

    def reset(self, ctx: Context) -> None:
        self._cutter.reset()
        self._parts = []

    def _collect(self, pieces: Iterable[Piece], packet_bytes: int, ctx: Context) -> list[Output]:
        outputs: list[Output] = []
        for piece in pieces:
            if piece.begins:
                self._parts = []
            if not piece.ends:
                self._parts.append(detached(piece.samples, packet_bytes))
                continue
            parts, self._parts = [*self._parts, piece.samples], []
            if piece.speech_frames * 1000 >= (
                self.params.min_utterance_duration_ms * piece.sample_rate
            ):
                frames = sum(len(part) for part in parts)
                samples = ctx.empty((frames, parts[0].shape[1]), parts[0].dtype)
                outputs.append(Audio(np.concatenate(parts, out=samples), piece.sample_rate))
        return outputs
