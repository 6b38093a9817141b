"""Changes the sample rate of audio.

Source: FR-002. Computes with libsoxr (https://sourceforge.net/projects/soxr/), without I/O.
Stands for the node types FastResampleNode and RustResampleNode.

The stream is resampled as one signal: the output does not depend on how the input was cut into
packets, nothing is padded in between, and the filter's tail leaves at the end of the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Audio

if TYPE_CHECKING:
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
    mid-stream, the tail of the old signal leaves before the new one begins.
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
            outputs.extend(self._emit(self._stream.resample_chunk(self._mixed(audio))))
        elif audio.channels == self.params.channels:
            outputs.append(packet)
        else:
            outputs.extend(self._emit(self._mixed(audio)))
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
        samples = audio.samples
        if samples.dtype == np.float32:
            return samples
        return (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)

    def _emit(self, samples: npt.NDArray[np.float32]) -> list[Output]:
        if not len(samples):
            return []
        if samples.shape[1] < self.params.channels:
            samples = np.repeat(samples, self.params.channels, axis=1)
        return [Audio(samples, self.params.target_rate)]
