"""Detects pauses.

Source: FR-002; as ffmpeg's filter silencedetect: silence is where no sample of any channel exceeds
the threshold, for at least so long; its defaults, −60 dB and 2 s, are ours. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Audio, Json
from operators.audio.levels import amplitude_of, as_float
from operators.audio.timeline import Timeline

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.operator import Context, Output
    from engine.packet import Packet


class SilenceDetector(Operator):
    """Says where silence starts and ends, to the sample, and hands the audio on.

    What it says is a Json payload of schema "silence", before the packet in which it became known:

    - `event`: "start", once silence has lasted `min_silence_ms`, or "end";
    - `is_silent`: whether there is silence behind this event;
    - `timestamp_ms`: media time at which silence started or ended;
    - `duration_ms`: how long it has lasted; at "start" `min_silence_ms`.

    The end of the stream ends silence. Without `pass_through` only the events leave. Payloads that
    are not audio pass through.
    """

    node_type = "SilenceDetectorNode"
    accepts = frozenset({"audio"})
    emits = frozenset({"audio", "json"})
    stateful = True
    hot = frozenset({"threshold_dbfs", "min_silence_ms", "pass_through"})

    class Params(BaseParams):
        threshold_dbfs: float = Field(
            -60.0, ge=-180, le=0, description="peak level up to which it is silent"
        )
        min_silence_ms: int = Field(
            2_000, ge=1, le=3_600_000, description="shorter pauses are not told"
        )
        pass_through: bool = Field(True, description="hand on the audio behind what is said of it")

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._timeline = Timeline()
        self._rate = 0
        #: Length of the silence under way in frames, when it started, and whether it was told.
        self._frames = 0
        self._since_ns = 0
        self._told = False

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        audio = packet.payload
        if not isinstance(audio, Audio):
            return [packet]
        outputs: list[Output] = []
        if audio.sample_rate != self._rate:
            outputs += self._end(self._timeline.end_ns)
            self._rate = audio.sample_rate
        self._timeline.enter(packet.timestamp_ns, audio.sample_rate, audio.frames)
        outputs += self._listen(audio.samples)
        if self.params.pass_through:
            outputs.append(packet)
        return outputs

    def flush(self, ctx: Context) -> list[Output]:
        return [*self._end(self._timeline.end_ns)]

    def reset(self, ctx: Context) -> None:
        self._timeline.reset()
        self._rate = self._frames = 0
        self._told = False

    @property
    def _frames_min(self) -> int:
        return max(1, -(-self._rate * self.params.min_silence_ms // 1000))

    def _listen(self, samples: npt.NDArray[Any]) -> list[Json]:
        """The events of a packet. Between two loud samples lies a gap, which may be silence."""
        frames = len(samples)
        threshold = amplitude_of(self.params.threshold_dbfs)
        loud = np.flatnonzero((np.abs(as_float(samples)) > threshold).any(axis=1))
        gaps = np.diff(loud, prepend=-1, append=frames) - 1
        # The first gap continues what was before it, and the last one goes on: both are looked at.
        telling = {0, len(loud), *np.flatnonzero(gaps >= self._frames_min).tolist()}
        events: list[Json] = []
        for index in sorted(telling):
            begin = int(loud[index - 1]) + 1 if index else 0
            events += self._extend(begin, int(gaps[index]))
            if index < len(loud):
                events += self._end(self._timeline.time_ns(begin + int(gaps[index])))
        return events

    def _extend(self, begin: int, frames: int) -> list[Json]:
        """Silence from frame `begin` of the packet, for so long."""
        if not frames:
            return []
        if not self._frames:
            self._since_ns = self._timeline.time_ns(begin)
        self._frames += frames
        if self._told or self._frames < self._frames_min:
            return []
        self._told = True
        return [self._event("start", self._since_ns, self._frames_min)]

    def _end(self, at_ns: int) -> list[Json]:
        frames, self._frames = self._frames, 0
        told, self._told = self._told, False
        if not told:
            return []
        return [self._event("end", at_ns, frames)]

    def _event(self, event: str, at_ns: int, frames: int) -> Json:
        value = {
            "event": event,
            "is_silent": event == "start",
            "timestamp_ms": at_ns // 1_000_000,
            "duration_ms": round(frames * 1000 / self._rate, 3),
        }
        return Json(value, schema_type="silence")
