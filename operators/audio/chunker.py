"""Regroups audio into chunks of one size.

Source: FR-002. No I/O; keeps less than one chunk.

    packets   |--a--|-----b-----|-c-|
    chunks    |---1---|---2---|---3---|rest     the rest leaves at the end of the stream

A chunk that lies within one packet is a view of it; only a chunk that crosses a border is copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import Field

from engine.operator import Emission, Operator
from engine.operator import Params as BaseParams
from engine.packet import DEFAULT_OUTPUT
from engine.payloads import Audio
from operators.audio.timeline import NS_PER_S, Timeline
from operators.taking_back import taken_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from engine.operator import Context, Output
    from engine.packet import Origin, Packet
    from engine.payloads import Control


class _Held(NamedTuple):
    """Samples that wait, the media time of the first, and the origin of their packet."""

    samples: npt.NDArray[Any]
    timestamp_ns: int
    origin: Origin


class AudioChunker(Operator):
    """Emits audio of exactly `chunk_size` frames, whatever the sizes that come in.

    Each chunk has the media time of its first frame. A change of sample rate, channels or dtype
    ends a chunk early, so that no chunk mixes formats. Payloads that are not audio pass through at
    once.

    With another `chunk_size` the first chunk that follows has it, also of what is held by then.
    Packets of which a part is held are dropped from it where a CancelSpeculation takes them back.
    """

    node_type = "AudioChunkerNode"
    accepts = frozenset({"audio"})
    emits = frozenset({"audio"})
    stateful = True
    hot = frozenset({"chunk_size"})

    class Params(BaseParams):
        chunk_size: int = Field(
            512, ge=1, le=1_048_576, description="frames (samples per channel) of a chunk"
        )

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._sample_rate = 0
        self._timeline = Timeline()
        self._held: list[_Held] = []
        self._held_frames = 0

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        audio = packet.payload
        if not isinstance(audio, Audio):
            return [packet]
        size = self.params.chunk_size
        outputs: list[Output] = [*self._surplus(size)] if self._held_frames >= size else []
        if self._held_frames and not self._continues(audio):
            outputs.append(self._take_held())
        self._sample_rate = audio.sample_rate
        self._timeline.enter(packet.timestamp_ns, audio.sample_rate, audio.frames)
        if audio.frames == size and not self._held_frames:
            return [*outputs, packet]
        samples = audio.samples
        start = 0
        if self._held_frames and self._held_frames + audio.frames >= size:
            start = size - self._held_frames
            self._hold(packet, samples[:start], 0)
            outputs.append(self._take_held())
        if not self._held_frames:
            stop = start + (audio.frames - start) // size * size
            outputs.extend(
                self._chunk(samples[at : at + size], self._timeline.time_ns(at))
                for at in range(start, stop, size)
            )
            start = stop
        self._hold(packet, samples[start:], start)
        return outputs

    def flush(self, ctx: Context) -> list[Output]:
        outputs: list[Output] = [*self._surplus(self.params.chunk_size)]
        return [*outputs, self._take_held()] if self._held_frames else outputs

    def control(self, control: Control, ctx: Context) -> None:
        span = taken_back(control)
        if span is not None:
            self._held = [held for held in self._held if not span(held.origin)]
            self._held_frames = sum(len(held.samples) for held in self._held)

    def reset(self, ctx: Context) -> None:
        self._timeline.reset()
        self._held.clear()
        self._held_frames = 0

    def _continues(self, audio: Audio) -> bool:
        last = self._held[-1].samples
        return (
            audio.sample_rate == self._sample_rate
            and audio.channels == last.shape[1]
            and audio.samples.dtype == last.dtype
        )

    def _hold(self, packet: Packet, samples: npt.NDArray[Any], at: int) -> None:
        """Keep a part of the current packet, which begins at its frame `at`."""
        if len(samples):
            self._held.append(_Held(samples, self._timeline.time_ns(at), packet.origin))
            self._held_frames += len(samples)

    def _take_held(self) -> Emission:
        parts = [held.samples for held in self._held]
        samples = parts[0] if len(parts) == 1 else np.concatenate(parts)
        timestamp_ns = self._held[0].timestamp_ns
        self._held = []
        self._held_frames = 0
        return self._chunk(samples, timestamp_ns)

    def _surplus(self, size: int) -> Iterator[Emission]:
        """The chunks in what is held, where they have become smaller meanwhile."""
        while self._held_frames >= size:
            rest, room = [], size
            chunk: list[_Held] = []
            for held in self._held:
                samples, timestamp_ns, origin = held
                part, left = samples[:room], samples[room:]
                room -= len(part)
                if len(part):
                    chunk.append(_Held(part, timestamp_ns, origin))
                if len(left):
                    left_ns = timestamp_ns + len(part) * NS_PER_S // self._sample_rate
                    rest.append(_Held(left, left_ns, origin))
            self._held = chunk
            yield self._take_held()
            self._held = rest
            self._held_frames = sum(len(held.samples) for held in rest)

    def _chunk(self, samples: npt.NDArray[Any], timestamp_ns: int) -> Emission:
        return Emission(DEFAULT_OUTPUT, Audio(samples, self._sample_rate), timestamp_ns)
