"""Adds several streams of audio up.

Source: FR-002, FR-007. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from engine.operator import Operator, Ports
from engine.payloads import Audio
from operators.audio.fan_in import FanIn, FanInParams
from operators.audio.levels import amplitude_of, as_float32
from operators.audio.port_names import PORTS_MAX, PortName, check_names, port_names
from operators.audio.ramp import Ramp

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.operator import Context, Output
    from engine.packet import Packet
    from engine.payloads import Control
    from operators.audio.alignment import Span

#: Up to here soft clipping changes nothing; −2.5 dBFS.
SOFT_KNEE: Final = 0.75
#: How long a change of a gain takes.
RAMP_MS: Final = 10


class Mixer(Operator):
    """Mixes the audio of its input ports, aligned by media time, to float32.

    The ports are in0, in1, …, or `names`. An input that has ended, or that sends nothing for
    `wait_max_ms`, does not hold the others up; one that is ahead by `skew_max_ms` waits for them.
    What comes too late is mixed in where the mix is by then: nothing is lost.

    Inputs have one sample rate. They have `channels` channels (by default as many as the widest
    so far), or one, which is laid on all of them. Where no input has sound nothing comes out, and
    media time goes on. Payloads that are not audio pass through at once.

    A gain that is changed while it runs is reached in a straight line within 10 ms.
    What waits is dropped where a CancelSpeculation takes it back; silence is in its place.
    """

    node_type = "MixerNode"
    inputs = ("in0", "in1")
    accepts = frozenset({"audio"})
    emits = frozenset({"audio"})
    stateful = True
    chooses = True
    hot = frozenset({"gain_db", "clip", "skew_max_ms", "wait_max_ms"})

    class Params(FanInParams):
        inputs: int = Field(2, ge=1, le=PORTS_MAX, description="number of input ports")
        names: tuple[PortName, ...] | None = Field(
            None, min_length=1, max_length=PORTS_MAX, description="names of the input ports"
        )
        gain_db: dict[str, float] = Field(
            default_factory=dict, description="input port → gain in decibels, 0 where it has none"
        )
        clip: Literal["hard", "soft", "none"] = Field(
            "hard", description="what is beyond full scale: cut off, bent, or left"
        )
        channels: int | None = Field(
            None, ge=1, le=64, description="channels of the output; None: of the widest input"
        )

        @model_validator(mode="after")
        def _agree(self) -> Self:
            if self.names is not None:
                said = self.inputs if "inputs" in self.model_fields_set else None
                check_names(self.names, said, "inputs")
            unknown = sorted(set(self.gain_db) - set(self.ports))
            if unknown:
                ports = ", ".join(self.ports)
                raise ValueError(
                    f"gain_db names {', '.join(unknown)}, but the input ports are {ports}"
                )
            return self

        @property
        def ports(self) -> tuple[str, ...]:
            """The input ports."""
            return port_names("in", self.inputs, self.names)

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._fan_in = FanIn(self.inputs, self.params, self._mixed, keep_late=True)
        self._gains = [Ramp(factor) for factor in self._factors]
        self._channels = self.params.channels or 1

    @classmethod
    def ports(cls, params: Any) -> Ports:
        return Ports(params.ports, cls.outputs)

    def wants(self, port: str) -> bool:
        return self._fan_in.wants(port)

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        """Take one packet.

        Raises:
            ValueError: its sample rate or its channels do not go with the others'.
        """
        audio = packet.payload
        if not isinstance(audio, Audio):
            return [packet]
        self._check_channels(packet.port, audio.channels)
        # At once: what an input sends may change its dtype, and is laid end to end.
        audio = Audio(as_float32(audio.samples), audio.sample_rate)
        return self._fan_in.take(packet.with_payload(audio), audio, ctx)

    def input_ended(self, port: str, ctx: Context) -> None:
        self._fan_in.ended(port, ctx)

    def flush(self, ctx: Context) -> list[Output]:
        return self._fan_in.flush(ctx)

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._fan_in.change(self.params)
        if self.params.gain_db != before.gain_db:
            for gain, factor in zip(self._gains, self._factors, strict=True):
                gain.go_to(factor)

    def control(self, control: Control, ctx: Context) -> None:
        self._fan_in.control(control)

    def reset(self, ctx: Context) -> None:
        self._fan_in.reset()
        for gain in self._gains:
            gain.settle()
        self._channels = self.params.channels or 1

    @property
    def _factors(self) -> list[float]:
        return [amplitude_of(self.params.gain_db.get(port, 0.0)) for port in self.inputs]

    def _check_channels(self, port: str, channels: int) -> None:
        if channels in (1, self._channels):
            return
        if self.params.channels is None and self._channels == 1:
            self._channels = channels
            return
        raise ValueError(
            f"the audio at port {port!r} has {channels} channels, the mix has {self._channels}:"
            f" it can take 1 or {self._channels}"
        )

    def _mixed(self, span: Span, sample_rate: int, ctx: Context) -> Audio:
        mix = ctx.empty((span.frames, self._channels), np.float32)
        mix[:] = 0
        for part, gain in zip(span.parts, self._gains, strict=True):
            factors = gain.factors(span.frames, sample_rate, RAMP_MS)
            if part is not None:
                np.add(mix, part * np.asarray(factors, np.float32), out=mix)
        _clip(mix, self.params.clip)
        return Audio(mix, sample_rate)


def _clip(samples: npt.NDArray[Any], how: str) -> None:
    """Bring samples into −1…1, in place."""
    if how == "hard":
        np.clip(samples, -1.0, 1.0, out=samples)
    elif how == "soft":
        beyond = np.abs(samples) - SOFT_KNEE
        loud = beyond > 0
        room = 1.0 - SOFT_KNEE
        bent = SOFT_KNEE + room * np.tanh(beyond[loud] / room)
        samples[loud] = np.copysign(bent, samples[loud])
