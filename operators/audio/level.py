"""Meters the level of audio.

Source: FR-002; levels as in AES17-2020, true peak as in ITU-R BS.1770-4. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from engine.operator import Operator
from engine.payloads import Audio, Json
from operators.audio.levels import ratio_db, rms_dbfs
from operators.audio.true_peak import TruePeak
from operators.audio.windows import MeterParams, Tally, Windows

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.operator import Context, Output
    from engine.packet import Packet


class AudioLevel(Operator):
    """Says how loud each packet, or each `window_ms` of the stream, is.

    What it says is a Json payload of schema "audio_level":

    - `rms_dbfs`: RMS level over all channels, 0 for a sine of full scale (AES17);
    - `peak_dbfs`: level of the largest sample;
    - `true_peak_dbtp`: level of the wave between the samples (only with `true_peak`);
    - `channels`: the same for each channel, in order;
    - `timestamp_ms`, `duration_ms`: media time and length of what was measured.

    Digital silence reads −200. With `pass_through` the audio follows what is said of it, on the
    same port. Payloads that are not audio pass through.
    """

    node_type = "AudioLevelNode"
    accepts = frozenset({"audio"})
    emits = frozenset({"audio", "json"})
    stateful = True
    hot = frozenset({"window_ms", "pass_through", "true_peak"})

    class Params(MeterParams):
        true_peak: bool = Field(False, description="measure between the samples, too")

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._true_peak = TruePeak()
        self._windows = Windows(self.params.window_ms, self._new_tally)

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        audio = packet.payload
        if not isinstance(audio, Audio):
            return [packet]
        outputs: list[Output] = [
            window.report() for window in self._windows.feed(audio, packet.timestamp_ns)
        ]
        if self.params.pass_through:
            outputs.append(packet)
        return outputs

    def flush(self, ctx: Context) -> list[Output]:
        return [window.report() for window in self._windows.flush()]

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._windows.window_ms = self.params.window_ms
        if self.params.true_peak != before.true_peak:
            self._true_peak.reset()  # what it has in its filter is from before

    def reset(self, ctx: Context) -> None:
        self._windows.reset()
        self._true_peak.reset()

    def _new_tally(self, *window: int) -> _LevelTally:
        return _LevelTally(self._true_peak if self.params.true_peak else None, *window)


class _LevelTally(Tally):
    """Levels of one window; the filter of the true peak runs on from one to the next."""

    def __init__(self, true_peak: TruePeak | None, *window: int) -> None:
        super().__init__(*window)
        self.true_peaks = np.zeros(len(self.peaks))
        self._true_peak = true_peak

    def add(self, samples: npt.NDArray[np.float64]) -> None:
        super().add(samples)
        if self._true_peak is not None:
            np.maximum(self.true_peaks, self._true_peak.feed(samples), out=self.true_peaks)

    def report(self) -> Json:
        """What is said of the window."""
        channels = [self._levels(slice(index, index + 1)) for index in range(len(self.peaks))]
        value = {**self._levels(slice(None)), "channels": channels, **self.times}
        return Json(value, schema_type="audio_level")

    def _levels(self, channels: slice) -> dict[str, float]:
        """What is said of some channels together."""
        said = {
            "rms_dbfs": rms_dbfs(float(self.powers[channels].mean())),
            "peak_dbfs": ratio_db(float(self.peaks[channels].max())),
        }
        if self._true_peak is not None:
            said["true_peak_dbtp"] = ratio_db(float(self.true_peaks[channels].max()))
        return said
