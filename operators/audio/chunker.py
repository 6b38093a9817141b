"""Regroups audio into chunks of one size.

Source: FR-002. No I/O; keeps less than one chunk.

    packets   |--a--|-----b-----|-c-|
    chunks    |---1---|---2---|---3---|rest     the rest leaves at the end of the stream

A chunk that lies within one packet is a view of it; only a chunk that crosses a border is copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from engine.operator import Emission, Operator
from engine.operator import Params as BaseParams
from engine.packet import DEFAULT_OUTPUT
from engine.payloads import Audio
from operators.audio.timeline import Timeline

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.operator import Context, Output
    from engine.packet import Packet


class AudioChunker(Operator):
    """Emits audio of exactly `chunk_size` frames, whatever the sizes that come in.

    Each chunk has the media time of its first frame. A change of sample rate, channels or dtype
    ends a chunk early, so that no chunk mixes formats. Payloads that are not audio pass through at
    once.
    """

    node_type = "AudioChunkerNode"
    accepts = frozenset({"audio"})
    emits = frozenset({"audio"})
    stateful = True

    class Params(BaseParams):
        chunk_size: int = Field(
            512, ge=1, le=1_048_576, description="frames (samples per channel) of a chunk"
        )

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._sample_rate = 0
        self._timeline = Timeline()
        self._held: list[npt.NDArray[Any]] = []
        self._held_frames = 0
        #: Media time of the first frame that is held.
        self._held_ns = 0

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        audio = packet.payload
        if not isinstance(audio, Audio):
            return [packet]
        outputs: list[Output] = []
        if self._held_frames and not self._continues(audio):
            outputs.append(self._take_held())
        self._sample_rate = audio.sample_rate
        self._timeline.enter(packet.timestamp_ns, audio.sample_rate, audio.frames)
        size = self.params.chunk_size
        if audio.frames == size and not self._held_frames:
            return [*outputs, packet]
        samples = audio.samples
        start = 0
        if self._held_frames and self._held_frames + audio.frames >= size:
            start = size - self._held_frames
            self._hold(samples[:start], 0)
            outputs.append(self._take_held())
        if not self._held_frames:
            stop = start + (audio.frames - start) // size * size
            outputs.extend(
                self._chunk(samples[at : at + size], self._timeline.time_ns(at))
                for at in range(start, stop, size)
            )
            start = stop
        self._hold(samples[start:], start)
        return outputs

    def flush(self, ctx: Context) -> Emission | None:
        return self._take_held() if self._held_frames else None

    def reset(self, ctx: Context) -> None:
        self._timeline.reset()
        self._held.clear()
        self._held_frames = 0

    def _continues(self, audio: Audio) -> bool:
        last = self._held[-1]
        return (
            audio.sample_rate == self._sample_rate
            and audio.channels == last.shape[1]
            and audio.samples.dtype == last.dtype
        )

    def _hold(self, samples: npt.NDArray[Any], at: int) -> None:
        """Keep a part of the current packet, which begins at its frame `at`."""
        if len(samples):
            if not self._held_frames:
                self._held_ns = self._timeline.time_ns(at)
            self._held.append(samples)
            self._held_frames += len(samples)

    def _take_held(self) -> Emission:
        samples = self._held[0] if len(self._held) == 1 else np.concatenate(self._held)
        self._held = []
        self._held_frames = 0
        return self._chunk(samples, self._held_ns)

    def _chunk(self, samples: npt.NDArray[Any], timestamp_ns: int) -> Emission:
        return Emission(DEFAULT_OUTPUT, Audio(samples, self._sample_rate), timestamp_ns)
