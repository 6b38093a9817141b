"""Changes the sample rate of audio.

Source: FR-002. Computes with libsoxr (https://sourceforge.net/projects/soxr/), without I/O.
Stands for the node types FastResampleNode and RustResampleNode.

The stream is resampled as one signal: the output does not depend on how the input was cut into
packets, nothing is padded in between, and the filter's tail leaves at the end of the stream.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from engine.operator import Emission, Operator
from engine.operator import Params as BaseParams
from engine.packet import DEFAULT_OUTPUT
from engine.payloads import Audio
from operators.audio.levels import as_float32
from operators.audio.timeline import NS_PER_S, TOLERANCE_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from engine.operator import Context, Output
    from engine.packet import Packet

#: Name in manifests → soxr's recipe. Their delay in packets of 20 ms is 2 to 3, at 8 kHz 4 to 6.
_QUALITIES = {"Low": "LQ", "Medium": "MQ", "High": "HQ"}


class FastResample(Operator):
    """Resamples audio to `target_rate`, as float32 with `channels` channels.

    A packet that has that rate and those channels already passes through unchanged, whatever its
    dtype; so do payloads that are not audio. Several channels become one by their mean, one
    becomes several by repetition.

    The rate that counts is the packet's own: `source_rate` is a declaration, and a packet that
    differs from it is resampled all the same, after one warning. When rate or channels change in
    mid-stream, the tail of the old signal leaves before the new one begins. What comes out has the
    media time of the sound it was made of, however long the filter has held it.
    """

    node_type = "FastResampleNode"
    accepts = frozenset({"audio"})
    emits = frozenset({"audio"})
    stateful = True

    class Params(BaseParams):
        source_rate: int | None = Field(
            None, ge=1_000, le=768_000, description="expected input rate, Hz; None: any"
        )
        target_rate: int = Field(16_000, ge=1_000, le=768_000, description="output rate, Hz")
        quality: Literal["Low", "Medium", "High"] = Field(
            "Medium", description="steepness of the filter"
        )
        channels: int = Field(1, ge=1, le=64, description="output channels")

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._new_stream: Any = None
        self._stream: Any = None
        self._stream_channels = 0
        self._times = _Times(1, 1)
        self._source: tuple[int, int] | None = None
        self._warned = False

    async def initialize(self, ctx: Context) -> None:
        import soxr

        self._new_stream = soxr.ResampleStream

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        """Resample one packet; a filter that is still filling emits nothing.

        Raises:
            ValueError: the input's channels cannot be turned into the output's.
        """
        audio = packet.payload
        if not isinstance(audio, Audio):
            return [packet]
        self._check_source(audio.sample_rate, ctx)
        source = (audio.sample_rate, audio.channels)
        outputs: list[Output] = []
        if source != self._source:
            outputs = self._end_stream()
            self._begin_stream(*source)
        if self._stream is not None:
            self._times.enter(packet.timestamp_ns, audio.frames)
            outputs.extend(self._emit(self._stream.resample_chunk(self._mixed(audio))))
        elif audio.channels == self.params.channels:
            outputs.append(packet)
        elif audio.frames:
            outputs.append(self._spread(self._mixed(audio)))
        return outputs

    def flush(self, ctx: Context) -> list[Output]:
        return self._end_stream()

    def reset(self, ctx: Context) -> None:
        self._stream = None
        self._source = None

    def _check_source(self, sample_rate: int, ctx: Context) -> None:
        declared = self.params.source_rate
        if declared in (None, sample_rate) or self._warned:
            return
        self._warned = True
        ctx.logger.warning(
            "resample_source_rate_differs",
            extra={"node_id": ctx.node_id, "declared_hz": declared, "packet_hz": sample_rate},
        )

    def _begin_stream(self, sample_rate: int, channels: int) -> None:
        if self.params.channels not in (1, channels) and channels != 1:
            raise ValueError(
                f"cannot make {self.params.channels} channels of {channels}: set channels to 1"
                f" or to {channels}"
            )
        self._source = (sample_rate, channels)
        if sample_rate != self.params.target_rate:
            self._stream_channels = min(channels, self.params.channels)
            self._times = _Times(sample_rate, self.params.target_rate)
            self._stream = self._new_stream(
                sample_rate,
                self.params.target_rate,
                self._stream_channels,
                dtype="float32",
                quality=_QUALITIES[self.params.quality],
            )

    def _end_stream(self) -> list[Output]:
        stream, self._stream, self._source = self._stream, None, None
        if stream is None:
            return []
        nothing = np.empty((0, self._stream_channels), np.float32)
        return self._emit(stream.resample_chunk(nothing, last=True))

    def _mixed(self, audio: Audio) -> npt.NDArray[np.float32]:
        """The samples as float32 of shape (frames, channels), mixed down if one is wanted."""
        if self.params.channels == 1 or audio.channels == 1:
            return audio.mono()[:, np.newaxis]
        return as_float32(audio.samples)

    def _emit(self, samples: npt.NDArray[np.float32]) -> list[Output]:
        """What the filter gave, each stretch with its media time."""
        outputs: list[Output] = []
        start = 0
        for frames, time_ns in self._times.leave(len(samples)):
            # The array itself where it is all of one stretch: a view of it would be copied.
            part = samples if frames == len(samples) else samples[start : start + frames]
            outputs.append(Emission(DEFAULT_OUTPUT, self._spread(part), time_ns))
            start += frames
        return outputs

    def _spread(self, samples: npt.NDArray[np.float32]) -> Audio:
        if samples.shape[1] < self.params.channels:
            samples = np.repeat(samples, self.params.channels, axis=1)
        return Audio(samples, self.params.target_rate)


class _Times:
    """Media times of what a filter gives, which comes later than what it was made of.

    Where the input's time jumps another stretch begins; what waits are the stretches that the
    filter still holds.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self._source_rate = source_rate
        self._target_rate = target_rate
        #: Frames that have come in, and gone out.
        self._entered = 0
        self._left = 0
        #: (first frame in, media time) of the latest stretch.
        self._latest: tuple[int, int] | None = None
        #: (first frame out, media time) of the stretches from the one that leaves on.
        self._stretches: deque[tuple[int, int]] = deque()

    def enter(self, timestamp_ns: int, frames: int) -> None:
        """Take a packet's media time and its length."""
        if not frames:
            return
        if self._latest is None or abs(timestamp_ns - self._expected_ns()) > TOLERANCE_NS:
            self._latest = (self._entered, timestamp_ns)
            first = self._entered * self._target_rate // self._source_rate
            self._stretches.append((first, timestamp_ns))
        self._entered += frames

    def leave(self, frames: int) -> Iterator[tuple[int, int]]:
        """Lengths and media times of the stretches of the next frames that go out."""
        end = self._left + frames
        while self._left < end:
            while len(self._stretches) > 1 and self._stretches[1][0] <= self._left:
                self._stretches.popleft()
            first, time_ns = self._stretches[0]
            stop = min(end, self._stretches[1][0]) if len(self._stretches) > 1 else end
            at_ns = time_ns + (self._left - first) * NS_PER_S // self._target_rate
            yield stop - self._left, at_ns
            self._left = stop

    def _expected_ns(self) -> int:
        assert self._latest is not None
        entered, time_ns = self._latest
        return time_ns + (self._entered - entered) * NS_PER_S // self._source_rate
