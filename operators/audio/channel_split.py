"""Takes the channels of audio apart.

Source: FR-002. No I/O, no state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from engine.operator import Operator, Ports
from engine.operator import Params as BaseParams
from engine.payloads import Audio
from operators.audio.port_names import PORTS_MAX, PortName, check_names, port_names

if TYPE_CHECKING:
    from engine.operator import Context, Output
    from engine.packet import Packet


class ChannelSplit(Operator):
    """Emits each channel as mono audio at a port of its own.

    The ports are ch0, ch1, …, or `names` in the channels' order, as ["left", "right"]. Rate and
    dtype stay. Payloads that are not audio leave at the first port.
    """

    node_type = "ChannelSplitNode"
    accepts = frozenset({"audio"})
    emits = frozenset({"audio"})
    outputs = ("ch0", "ch1")

    class Params(BaseParams):
        channels: int = Field(2, ge=1, le=PORTS_MAX, description="channels of the input")
        names: tuple[PortName, ...] | None = Field(
            None, min_length=1, max_length=PORTS_MAX, description="names of the output ports"
        )

        @model_validator(mode="after")
        def _agree(self) -> Self:
            if self.names is not None:
                said = self.channels if "channels" in self.model_fields_set else None
                check_names(self.names, said, "channels")
            return self

        @property
        def ports(self) -> tuple[str, ...]:
            """The output ports, in the channels' order."""
            return port_names("ch", self.channels, self.names)

    params: Params

    @classmethod
    def ports(cls, params: Any) -> Ports:
        return Ports(cls.inputs, params.ports)

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        """Split one packet.

        Raises:
            ValueError: it has more or fewer channels than there are ports.
        """
        audio = packet.payload
        if not isinstance(audio, Audio):
            return [packet]
        if audio.channels != len(self.outputs):
            raise ValueError(
                f"the audio has {audio.channels} channels, and there are {len(self.outputs)} ports"
                f" ({', '.join(self.outputs)}): set channels to {audio.channels}"
            )
        return [
            ctx.to(port, self._channel(audio, index, ctx))
            for index, port in enumerate(self.outputs)
        ]

    def _channel(self, audio: Audio, index: int, ctx: Context) -> Audio:
        samples = ctx.empty((audio.frames, 1), audio.samples.dtype)
        samples[:, 0] = audio.samples[:, index]
        return Audio(samples, audio.sample_rate)
