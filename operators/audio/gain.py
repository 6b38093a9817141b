"""Makes audio louder or softer.

Source: FR-002. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Audio, Json
from operators.audio.levels import amplitude_of, quantized

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.operator import Context, Outputs
    from engine.packet import Packet
    from engine.payloads import Payload

_DB_MIN: Final = -120.0
_DB_MAX: Final = 60.0


class Gain(Operator):
    """Multiplies samples by `gain_db`; the format stays.

    A Json `{"gain_db": −6}` on the same input changes the gain from there on. It is consumed, and
    the new gain is reached in a straight line within `ramp_ms`, so that nothing clicks. What comes
    out does not depend on how the audio was packed.

    Floats keep their headroom and are not clipped; integers are rounded half to even and clipped.
    Other payloads pass through. An interrupt ends a ramp; the gain stays as it was set.
    """

    node_type = "GainNode"
    accepts = frozenset({"audio", "json"})
    emits = frozenset({"audio"})
    stateful = True

    class Params(BaseParams):
        gain_db: float = Field(
            0.0, ge=_DB_MIN, le=_DB_MAX, description="decibels; above 0 is louder"
        )
        ramp_ms: float = Field(
            10.0, ge=0, le=60_000, description="how long a change of the gain takes"
        )

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._target = amplitude_of(self.params.gain_db)
        #: The ramp under way: from this factor, in so many frames, of which so many are done.
        self._from = self._target
        self._length = 0
        self._done = 0
        self._changes = False

    def process(self, packet: Packet, ctx: Context) -> Outputs:
        """Multiply one packet, or take another gain.

        Raises:
            ValueError: a `gain_db` that is sent is no number, or out of range.
        """
        audio = packet.payload
        if isinstance(audio, Audio):
            return self._multiplied(packet, audio, ctx)
        gain_db = _asked_of(audio)
        if gain_db is None:
            return packet
        self._from = self._current
        self._target = amplitude_of(gain_db)
        self._length = self._done = 0
        self._changes = True  # its length in frames is known with the next packet's rate
        return None

    def reset(self, ctx: Context) -> None:
        self._from = self._target
        self._length = self._done = 0
        self._changes = False

    @property
    def _current(self) -> float:
        """The factor reached by now."""
        if self._changes:
            return self._from
        if self._done >= self._length:
            return self._target
        return self._from + (self._target - self._from) * self._done / self._length

    def _multiplied(self, packet: Packet, audio: Audio, ctx: Context) -> Packet | Audio:
        if self._changes:
            self._changes = False
            self._length = round(audio.sample_rate * self.params.ramp_ms / 1000)
        factors = self._factors(audio.frames)
        samples = audio.samples
        if isinstance(factors, float) and factors == 1.0:
            return packet
        if samples.dtype != np.float32:
            return Audio(quantized(samples * factors, samples.dtype), audio.sample_rate)
        louder = ctx.empty(samples.shape, np.float32)
        np.multiply(samples, np.asarray(factors, np.float32), out=louder)
        return Audio(louder, audio.sample_rate)

    def _factors(self, frames: int) -> float | npt.NDArray[np.float64]:
        """The factor of the next frames: one number, or along a ramp of shape (frames, 1)."""
        left = self._length - self._done
        if left <= 0:
            return self._target
        ramp = min(left, frames)
        factors = np.full((frames, 1), self._target)
        steps = np.arange(self._done + 1, self._done + ramp + 1)
        factors[:ramp, 0] = self._from + (self._target - self._from) * steps / self._length
        self._done += ramp
        return factors


def _asked_of(payload: Payload) -> float | None:
    """The gain a Json asks for, in decibels; None if it is something else."""
    value = payload.value if isinstance(payload, Json) else None
    if not isinstance(value, dict) or "gain_db" not in value:
        return None
    gain_db = value["gain_db"]
    number = isinstance(gain_db, int | float) and not isinstance(gain_db, bool)
    if not number or not _DB_MIN <= gain_db <= _DB_MAX:
        raise ValueError(
            f"gain_db must be a number from {_DB_MIN:g} to {_DB_MAX:g}, got {gain_db!r}"
        )
    return float(gain_db)
