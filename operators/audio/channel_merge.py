"""Puts mono streams together as the channels of one.

Source: FR-002, FR-007. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from engine.operator import Operator, Ports
from engine.payloads import Audio
from operators.audio.fan_in import FanIn, FanInParams
from operators.audio.port_names import PORTS_MAX, PortName, check_names, port_names

if TYPE_CHECKING:
    import numpy as np

    from engine.operator import Context, Output
    from engine.packet import Packet
    from engine.payloads import Control
    from operators.audio.alignment import Span


class ChannelMerge(Operator):
    """Emits audio with one channel per input port, aligned by media time.

    The ports are ch0, ch1, …, or `names` in the channels' order, as ["left", "right"]. Inputs are
    mono, and have one sample rate and one dtype, which stay. A channel without sound is silent.

    An input that has ended, or that sends nothing for `wait_max_ms`, does not hold the others up;
    one that is ahead by `skew_max_ms` waits for them. What comes too late is dropped, so that the
    channels stay aligned. Where no input has sound nothing comes out, and media time goes on.
    Payloads that are not audio pass through at once.

    What waits is dropped where a CancelSpeculation takes it back; silence is in its place.
    """

    node_type = "ChannelMergeNode"
    inputs = ("ch0", "ch1")
    accepts = frozenset({"audio"})
    emits = frozenset({"audio"})
    stateful = True
    chooses = True
    hot = frozenset({"skew_max_ms", "wait_max_ms"})

    class Params(FanInParams):
        channels: int = Field(2, ge=1, le=PORTS_MAX, description="channels of the output")
        names: tuple[PortName, ...] | None = Field(
            None, min_length=1, max_length=PORTS_MAX, description="names of the input ports"
        )

        @model_validator(mode="after")
        def _agree(self) -> Self:
            if self.names is not None:
                said = self.channels if "channels" in self.model_fields_set else None
                check_names(self.names, said, "channels")
            return self

        @property
        def ports(self) -> tuple[str, ...]:
            """The input ports, in the channels' order."""
            return port_names("ch", self.channels, self.names)

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._fan_in = FanIn(self.inputs, self.params, self._merged, keep_late=False)
        self._dtype: np.dtype[Any] | None = None

    @classmethod
    def ports(cls, params: Any) -> Ports:
        return Ports(params.ports, cls.outputs)

    def wants(self, port: str) -> bool:
        return self._fan_in.wants(port)

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        """Take one packet.

        Raises:
            ValueError: it is not mono, or its rate or dtype is not that of the others.
        """
        audio = packet.payload
        if not isinstance(audio, Audio):
            return [packet]
        self._check(packet.port, audio)
        return self._fan_in.take(packet, audio, ctx)

    def input_ended(self, port: str, ctx: Context) -> None:
        self._fan_in.ended(port, ctx)

    def flush(self, ctx: Context) -> list[Output]:
        return self._fan_in.flush(ctx)

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._fan_in.change(self.params)

    def control(self, control: Control, ctx: Context) -> None:
        self._fan_in.control(control)

    def reset(self, ctx: Context) -> None:
        self._fan_in.reset()
        self._dtype = None

    def _check(self, port: str, audio: Audio) -> None:
        if audio.channels != 1:
            raise ValueError(
                f"the audio at port {port!r} has {audio.channels} channels, each input is one"
                " channel: put a ChannelSplitNode before it"
            )
        dtype = audio.samples.dtype
        if self._dtype is None:
            self._dtype = dtype
        if dtype != self._dtype:
            raise ValueError(
                f"the audio at port {port!r} is {dtype}, that of the others {self._dtype}:"
                " put an AudioFormatNode before it"
            )

    def _merged(self, span: Span, sample_rate: int, ctx: Context) -> Audio:
        assert self._dtype is not None
        samples = ctx.empty((span.frames, len(self.inputs)), self._dtype)
        for index, part in enumerate(span.parts):
            samples[:, index] = 0 if part is None else part[:, 0]
        return Audio(samples, sample_rate)
