"""Detects that audio was driven into its limits.

Source: FR-002. No I/O. A sample of full scale is nothing unusual; several in a row are what is left
of a wave whose top was cut off, as the overload indicators of recorders and mixing desks count it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import Field

from engine.operator import Operator
from engine.payloads import Audio, Json
from operators.audio.levels import ratio_db
from operators.audio.windows import MeterParams, Tally, Windows

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.operator import Context, Output
    from engine.packet import Packet

#: The largest sample of int16, as a part of full scale.
_FULL_SCALE = 32_767 / 32_768


class Clipped(NamedTuple):
    """What was found in a stretch of one channel.

    Attributes:
        samples: of runs that are long enough, counted when they are.
        longest: the longest run up to here that touches the stretch.
        open: length of the run at its end, which may go on.
    """

    samples: int
    longest: int
    open: int


def count_clipped(loud: npt.NDArray[np.bool_], before: int, run_min: int) -> Clipped:
    """Count samples in runs of loud ones.

    Args:
        loud: whether each sample reaches the limit, at least one.
        before: length of the run that the stretch continues.
        run_min: shorter runs do not count.
    """
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False))
    begins, ends = edges[::2], edges[1::2]
    lengths = ends - begins
    if not len(lengths):
        return Clipped(0, 0, 0)
    continues = bool(loud[0]) and before > 0
    totals = lengths.copy()
    if continues:
        totals[0] += before
    # A run that was long enough before has had its earlier samples counted then.
    counted = totals.copy()
    if continues and before >= run_min:
        counted[0] = lengths[0]
    samples = int(counted[totals >= run_min].sum())
    return Clipped(samples, int(totals.max()), int(totals[-1]) if loud[-1] else 0)


class ClippingDetector(Operator):
    """Says whether each packet, or each `window_ms` of the stream, is clipped.

    What it says is a Json payload of schema "clipping":

    - `is_clipping`: more than `saturation_ratio_threshold` percent of the samples are clipped;
    - `clipped_samples`: samples, over all channels, in runs of at least `consecutive_min` that
      reach `saturation_threshold`; a run counts when it has become so long;
    - `saturation_ratio`: the same in percent of all samples;
    - `longest_run`: length of the longest run;
    - `channels`: clipped samples of each channel;
    - `crest_factor_db`: peak over RMS, 3.01 for a sine; lower where it is limited; 0 in silence;
    - `timestamp_ms`, `duration_ms`: media time and length of what was measured.

    Sums over the stream do not depend on how it was packed. With `pass_through` the audio follows.
    Payloads that are not audio pass through.
    """

    node_type = "ClippingDetectorNode"
    accepts = frozenset({"audio"})
    emits = frozenset({"audio", "json"})
    stateful = True
    hot = frozenset(
        {
            "window_ms",
            "pass_through",
            "saturation_threshold",
            "saturation_ratio_threshold",
            "consecutive_min",
        }
    )

    class Params(MeterParams):
        saturation_threshold: float = Field(
            _FULL_SCALE, gt=0, le=1, description="magnitude from which a sample is at its limit"
        )
        saturation_ratio_threshold: float = Field(
            0.0, ge=0, le=100, description="percent of clipped samples that are no clipping yet"
        )
        consecutive_min: int = Field(
            3, ge=1, le=10_000, description="samples in a row that are clipping"
        )

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._windows = Windows(self.params.window_ms, self._new_tally)
        self._runs = _Runs(self.params.saturation_threshold, self.params.consecutive_min)

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        audio = packet.payload
        if not isinstance(audio, Audio):
            return [packet]
        outputs: list[Output] = [
            self._report(window) for window in self._windows.feed(audio, packet.timestamp_ns)
        ]
        if self.params.pass_through:
            outputs.append(packet)
        return outputs

    def flush(self, ctx: Context) -> list[Output]:
        return [self._report(window) for window in self._windows.flush()]

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._windows.window_ms = self.params.window_ms
        params = self.params
        self._runs.change(params.saturation_threshold, params.consecutive_min)

    def reset(self, ctx: Context) -> None:
        self._windows.reset()
        self._runs.open = []

    def _new_tally(self, *window: int) -> _ClippingTally:
        return _ClippingTally(self._runs, *window)

    def _report(self, window: _ClippingTally) -> Json:
        clipped = sum(window.clipped)
        ratio = 100.0 * clipped / (window.frames * len(window.clipped))
        value = {
            "is_clipping": ratio > self.params.saturation_ratio_threshold,
            "clipped_samples": clipped,
            "saturation_ratio": round(ratio, 6),
            "longest_run": window.longest,
            "channels": window.clipped,
            "crest_factor_db": _crest_factor_db(window),
            **window.times,
        }
        return Json(value, schema_type="clipping")


class _Runs:
    """Runs of loud samples; `open`: of each channel the length of the one that may go on."""

    def __init__(self, threshold: float, run_min: int) -> None:
        self._limits = (threshold, run_min)
        self.open: list[int] = []

    def change(self, threshold: float, run_min: int) -> None:
        """Count by other limits; where they differ, runs begin anew."""
        if (threshold, run_min) != self._limits:
            self._limits = (threshold, run_min)
            self.open = []

    def count(self, samples: npt.NDArray[np.float64]) -> list[Clipped]:
        """What is found in the next samples of each channel."""
        threshold, run_min = self._limits
        loud = np.abs(samples) >= threshold
        channels = loud.shape[1]
        before = self.open if len(self.open) == channels else [0] * channels
        found = [count_clipped(loud[:, index], before[index], run_min) for index in range(channels)]
        self.open = [channel.open for channel in found]
        return found


class _ClippingTally(Tally):
    """Clipped samples of one window; runs go on from one to the next."""

    def __init__(self, runs: _Runs, *window: int) -> None:
        super().__init__(*window)
        self.clipped = [0] * len(self.peaks)
        self.longest = 0
        self._runs = runs

    def add(self, samples: npt.NDArray[np.float64]) -> None:
        super().add(samples)
        for index, found in enumerate(self._runs.count(samples)):
            self.clipped[index] += found.samples
            self.longest = max(self.longest, found.longest)


def _crest_factor_db(window: Tally) -> float:
    power = float(window.powers.mean())
    return ratio_db(float(window.peaks.max()) / math.sqrt(power)) if power else 0.0
