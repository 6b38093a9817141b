"""Tells sound from silence by its energy: a voice activity detector without a model.

Source: FR-002. No I/O. Stands for the node type RustVADNode. What exceeds the threshold counts as
speech, be it speech or noise; SileroVADNode knows better.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Audio, Json
from operators.audio.windows import Tally, Windows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from engine.operator import Context, Output
    from engine.packet import Packet


class EnergyVAD(Operator):
    """Emits, for every audio packet, what it knows about speech, and then the packet itself.

    The audio is looked at in frames of `frame_duration_ms`, whatever the sizes of the packets; one
    whose RMS amplitude exceeds `energy_threshold` is speech. The knowledge is a Json payload of
    schema "vad", with the fields that SileroVADNode gives it:

    - `has_speech`: the latest frame is speech;
    - `speech_probability`: RMS ÷ (RMS + threshold) of the latest frame: 0.5 at the threshold;
    - `is_speech_start`, `is_speech_end`: speech has started, or ended, by this packet. A packet in
      which several such things happen is preceded by one Json for each, in order;
    - `timestamp_ms`: media time of that start or end; otherwise of the packet's first sample;
    - `offset_samples`: where to cut an utterance that starts or ends here, counted from the
      packet's first sample; otherwise 0.

    The rate that counts is the packet's own: `sample_rate` is a declaration, and a packet that
    differs from it is looked at all the same, after one warning. The end of the stream ends speech.
    Payloads that are not audio pass through.
    """

    node_type = "RustVADNode"
    accepts = frozenset({"audio"})
    emits = frozenset({"audio", "json"})
    stateful = True
    hot = frozenset({"frame_duration_ms", "energy_threshold"})

    class Params(BaseParams):
        sample_rate: int | None = Field(
            None, ge=1_000, le=768_000, description="expected input rate, Hz; None: any"
        )
        frame_duration_ms: int = Field(30, ge=1, le=10_000, description="length of a frame")
        energy_threshold: float = Field(
            0.01, gt=0, le=1, description="RMS amplitude above which a frame is speech, 0…1"
        )

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._windows = Windows(self.params.frame_duration_ms, _MonoTally)
        self._probability = 0.0
        self._speaking = False
        self._warned = False

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        audio = packet.payload
        if not isinstance(audio, Audio):
            return [packet]
        self._check_rate(audio.sample_rate, ctx)
        markers = [
            marker
            for window in self._windows.feed(audio, packet.timestamp_ns)
            if (marker := self._listen(window)) is not None
        ]
        return [*(markers or [self._marker(0, packet.timestamp_ns)]), packet]

    def flush(self, ctx: Context) -> Json | None:
        """The end of speech, if there is any; a frame that is not complete decides nothing."""
        self._windows.flush()
        marker = None
        if self._speaking:
            offset = self._windows.received - self._windows.packet_begin
            marker = self._marker(offset, self._windows.end_ns, ends=True)
        self.reset(ctx)
        return marker

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._windows.window_ms = self.params.frame_duration_ms

    def reset(self, ctx: Context) -> None:
        self._windows.reset()
        self._probability = 0.0
        self._speaking = False

    def _check_rate(self, sample_rate: int, ctx: Context) -> None:
        declared = self.params.sample_rate
        if declared in (None, sample_rate) or self._warned:
            return
        self._warned = True
        ctx.logger.warning(
            "vad_sample_rate_differs",
            extra={"node_id": ctx.node_id, "declared_hz": declared, "packet_hz": sample_rate},
        )

    def _listen(self, window: Tally) -> Json | None:
        """What a frame turns: a start at its beginning, an end there that is certain behind it."""
        threshold = self.params.energy_threshold
        rms = math.sqrt(window.powers[0])
        self._probability = rms / (rms + threshold)
        speaking, before = rms > threshold, self._speaking
        self._speaking = speaking
        if speaking == before:
            return None
        offset = window.begin - self._windows.packet_begin
        if not speaking:
            offset += window.frames
        return self._marker(offset, window.timestamp_ns, starts=speaking, ends=not speaking)

    def _marker(
        self, offset: int, time_ns: int, *, starts: bool = False, ends: bool = False
    ) -> Json:
        value = {
            "has_speech": self._speaking and not ends,
            "speech_probability": self._probability,
            "is_speech_start": starts,
            "is_speech_end": ends,
            "timestamp_ms": time_ns // 1_000_000,
            "offset_samples": offset,
        }
        return Json(value, schema_type="vad")


class _MonoTally(Tally):
    """A frame of the mean of all channels."""

    def __init__(self, _: int, *window: int) -> None:
        super().__init__(1, *window)

    def add(self, samples: npt.NDArray[np.float64]) -> None:
        super().add(samples.mean(axis=1, keepdims=True))
