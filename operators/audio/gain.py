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
from operators.audio.ramp import Ramp

if TYPE_CHECKING:
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
    Other payloads pass through. An interrupt ends a ramp; the gain stays as it was set. A changed
    param acts as such a Json does.
    """

    node_type = "GainNode"
    accepts = frozenset({"audio", "json"})
    emits = frozenset({"audio"})
    stateful = True
    hot = frozenset({"gain_db", "ramp_ms"})

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
        self._ramp = Ramp(amplitude_of(self.params.gain_db))

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
        self._ramp.go_to(amplitude_of(gain_db))
        return None

    def params_changed(self, before: Params, ctx: Context) -> None:
        # Where nothing differs the gain was asked for that a Json has changed meanwhile.
        if self.params.gain_db != before.gain_db or self.params.ramp_ms == before.ramp_ms:
            self._ramp.go_to(amplitude_of(self.params.gain_db))

    def reset(self, ctx: Context) -> None:
        self._ramp.settle()

    def _multiplied(self, packet: Packet, audio: Audio, ctx: Context) -> Packet | Audio:
        factors = self._ramp.factors(audio.frames, audio.sample_rate, self.params.ramp_ms)
        samples = audio.samples
        if isinstance(factors, float) and factors == 1.0:
            return packet
        if samples.dtype != np.float32:
            return Audio(quantized(samples * factors, samples.dtype), audio.sample_rate)
        louder = ctx.empty(samples.shape, np.float32)
        np.multiply(samples, np.asarray(factors, np.float32), out=louder)
        return Audio(louder, audio.sample_rate)


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
