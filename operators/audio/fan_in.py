"""What operators with several inputs of audio have in common: ports, times, patience.

Source: FR-002, FR-007. No I/O; its time is the stage's. The stage calls the operator, which calls
this:

    process ─▶ take · wants ─▶ wants · input_ended ─▶ ended · flush ─▶ flush · reset ─▶ reset

An input is waited for until it ends. One that sends nothing any more is waited for up to
`wait_max_ms` of the stage's clock, at the latest twice that, and counts as silent until it sends
again; so a slow process delays the others, a mute participant does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from engine.operator import Params
from engine.packet import DEFAULT_OUTPUT
from operators.audio.alignment import Aligner
from operators.audio.timeline import NS_PER_S, TOLERANCE_NS
from operators.taking_back import taken_back

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.operator import Context, Emission, Output
    from engine.packet import Packet
    from engine.payloads import Audio, Control
    from operators.audio.alignment import Span

    #: Makes one block of a span; told the sample rate and the context.
    Combine = Callable[[Span, int, Context], Audio]


class FanInParams(Params):
    """Params of what lays several inputs beside each other."""

    skew_max_ms: int = Field(
        200, ge=1, le=60_000, description="how far one input may be ahead of the others"
    )
    wait_max_ms: int = Field(
        1_000, ge=1, le=3_600_000, description="how long an input that sends nothing is waited for"
    )


class FanIn:
    """Lays the inputs of one operator beside each other, and has the owner combine them.

    Args:
        ports: the input ports.
        params: the owner's.
        combine: makes a block of each span that is complete.
        keep_late: see `Aligner`.
    """

    def __init__(
        self, ports: Sequence[str], params: FanInParams, combine: Combine, *, keep_late: bool
    ) -> None:
        self._lanes = {port: index for index, port in enumerate(ports)}
        self._params = params
        self._combine = combine
        self._keep_late = keep_late
        self._ended: set[str] = set()
        self._late: set[str] = set()
        self.reset()

    def reset(self) -> None:
        """Forget what is held, and the formats; not which inputs have ended."""
        self.sample_rate = 0
        self._aligner: Aligner | None = None
        self._watching = False

    def change(self, params: FanInParams) -> None:
        """Go by other params from now on; who is waited for already is so as long as before."""
        self._params = params
        if self._aligner is not None:
            self._aligner.lead_max = self._lead_max

    def control(self, control: Control) -> None:
        """Drop what a CancelSpeculation takes back of what waits."""
        span = taken_back(control)
        if span is not None and self._aligner is not None:
            self._aligner.take_back(span)

    def wants(self, port: str) -> bool:
        """Whether the input may get on."""
        return self._aligner is None or self._aligner.wants(self._lanes[port])

    def take(self, packet: Packet, audio: Audio, ctx: Context) -> list[Output]:
        """Take a packet's audio; gives what is complete now.

        Raises:
            ValueError: its sample rate is not that of the other inputs.
        """
        if self._aligner is None:
            self._aligner = self._begin(audio.sample_rate)
        if audio.sample_rate != self.sample_rate:
            raise ValueError(
                f"the audio at port {packet.port!r} is at {audio.sample_rate} Hz, that of the"
                f" others at {self.sample_rate}: put a FastResampleNode before it"
            )
        samples = packet.keep().payload.samples  # type: ignore[union-attr]  # audio stays audio
        position = _rounded(packet.timestamp_ns * self.sample_rate, NS_PER_S)
        lane = self._lanes[packet.port]
        late = self._aligner.push(lane, position, samples, packet.origin)
        if late:
            self._warn_late(packet.port, late, ctx)
        return [*self._released(ctx)]

    def ended(self, port: str, ctx: Context) -> None:
        """Nothing more comes at a port; emits what waited for it alone."""
        self._ended.add(port)
        if self._aligner is not None:
            self._aligner.end(self._lanes[port])
            for output in self._released(ctx):
                ctx.emit(output)

    def flush(self, ctx: Context) -> list[Output]:
        """Whatever is held."""
        return [*self._released(ctx, everything=True)]

    def _begin(self, sample_rate: int) -> Aligner:
        self.sample_rate = sample_rate
        aligner = Aligner(
            len(self._lanes),
            lead_max=self._lead_max,
            tolerance=sample_rate * TOLERANCE_NS // NS_PER_S,
            keep_late=self._keep_late,
        )
        for port in self._ended:
            aligner.end(self._lanes[port])
        return aligner

    @property
    def _lead_max(self) -> int:
        return self.sample_rate * self._params.skew_max_ms // 1000

    def _released(self, ctx: Context, *, everything: bool = False) -> list[Emission]:
        if self._aligner is None:
            return []
        spans = self._aligner.release(everything=everything)
        self._watch(ctx)
        return [
            ctx.to(
                DEFAULT_OUTPUT,
                self._combine(span, self.sample_rate, ctx),
                timestamp_ns=span.start * NS_PER_S // self.sample_rate,
            )
            for span in spans
        ]

    def _watch(self, ctx: Context) -> None:
        """See to it that what is held does not wait for ever."""
        aligner = self._aligner
        if self._watching or aligner is None or not aligner.holds:
            return
        self._watching = True
        before = aligner.released_to

        def look() -> None:
            self._watching = False
            if aligner.released_to == before:
                aligner.give_up()
            for output in self._released(ctx):
                ctx.emit(output)

        ctx.call_later(self._params.wait_max_ms / 1000, look)

    def _warn_late(self, port: str, frames: int, ctx: Context) -> None:
        if port in self._late:
            return
        self._late.add(port)
        ctx.logger.warning(
            "audio_input_late",
            extra={
                "node_id": ctx.node_id,
                "port": port,
                "late_ms": frames * 1000 // self.sample_rate,
                "kept": self._keep_late,
            },
        )


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
