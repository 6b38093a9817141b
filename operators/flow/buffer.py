"""Collects packets and emits them together.

Source: FR-002. No I/O; keeps at most `count` or `count_max` packets, and a reference to each for
every group it is in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from engine.operator import Operator
from engine.payloads import Audio, BatchHint, Json, Text, kind_of
from engine.reach import functions
from operators.flow.grouping import Grouping, GroupingParams
from operators.flow.importable import FunctionName, load_function
from operators.flow.values import is_control
from operators.taking_back import taken_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.interruption import CancelledSpan
    from engine.operator import Context, Output
    from engine.packet import Packet
    from engine.payloads import Control, Payload
    from engine.reach import Reach


class Buffer(Operator):
    """Emits groups of packets, each as one.

    Audio of one rate becomes one longer block, texts and JSON values become one JSON list; of
    anything else a function makes the output. A group ends after `count` packets, `time_s` after
    its first packet, or at the end of the stream; so none is empty. Control messages pass on.

    Other counts and times hold for the groups under way: one that is full by the new count ends at
    once. It follows a BatchHint that is told past the data: groups have so many packets from then
    on, at most `count` or `count_max`, until another hint or a change of these params; where `skip`
    is set they stay as they are. What a CancelSpeculation takes back is dropped from the groups.
    """

    node_type = "BufferNode"
    stateful = True
    hot = frozenset({"count", "skip", "time_s", "count_max"})

    class Params(GroupingParams):
        count_max: int = Field(
            1_000,
            ge=1,
            le=100_000,
            description="a group that only time would end ends after so many packets, too",
        )
        combine: FunctionName | None = Field(
            None,
            description="function that makes the output: takes a list of packets, returns a"
            " payload, or None for no output",
        )

    params: Params

    @classmethod
    def reaches(cls, params: Mapping[str, Any]) -> Iterable[Reach]:
        return functions(params, "combine")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._combine: Callable[[list[Packet]], Any] | None = None
        self._grouping: Grouping[list[Packet]] = Grouping(
            self.params, self.params.count_max, list, _with, self._joined
        )

    async def initialize(self, ctx: Context) -> None:
        if self.params.combine is not None:
            self._combine = load_function(self.params.combine)

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        """Collect one packet.

        Raises:
            TypeError: the packets of a group do not go together, and no function is named.
            ValueError: they are audio of different forms.
        """
        return [packet] if is_control(packet) else self._grouping.take(packet.keep(), ctx)

    def flush(self, ctx: Context) -> list[Output]:
        return self._grouping.flush(ctx)

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._grouping.change(self.params, self.params.count_max, ctx)

    def control(self, control: Control, ctx: Context) -> None:
        if isinstance(control.message, BatchHint):
            self._grouping.suggest(control.message.suggested_batch_size, ctx)
        span = taken_back(control)
        if span is not None:
            self._grouping.drop(lambda packets: _without(packets, span))

    def reset(self, ctx: Context) -> None:
        self._grouping.reset()

    def _joined(self, packets: list[Packet], ctx: Context) -> Any:
        return _joined(packets, ctx) if self._combine is None else self._combine(packets)


def _with(packets: list[Packet], packet: Packet) -> list[Packet]:
    packets.append(packet)
    return packets


def _without(packets: list[Packet], span: CancelledSpan) -> tuple[list[Packet], int, int | None]:
    left = [packet for packet in packets if not span(packet)]
    return left, len(left), left[0].timestamp_ns if left else None


def _joined(packets: list[Packet], ctx: Context) -> Payload:
    payloads = [packet.payload for packet in packets]
    blocks = [payload for payload in payloads if isinstance(payload, Audio)]
    if len(blocks) == len(payloads):
        return _concatenated(blocks, ctx)
    values = [_value(payload) for payload in payloads if isinstance(payload, Text | Json)]
    if len(values) == len(payloads):
        return Json(values)
    kinds = " and ".join(dict.fromkeys(kind_of(payload) for payload in payloads))
    raise TypeError(
        f"{kinds} cannot be joined: audio becomes one block, text and json one list; for anything"
        " else name a function in the param combine ('module:function') that takes a list of"
        " packets and returns a payload"
    )


def _value(payload: Text | Json) -> Any:
    return payload.text if isinstance(payload, Text) else payload.value


def _concatenated(blocks: list[Audio], ctx: Context) -> Audio:
    first = blocks[0]
    if len(blocks) == 1:
        return first
    for block in blocks:
        if _form(block) != _form(first):
            raise ValueError(
                f"audio of {_said(first)} and of {_said(block)} cannot become one block: put a"
                " FastResampleNode before this node"
            )
    frames = sum(block.frames for block in blocks)
    samples = ctx.empty((frames, first.channels), first.samples.dtype)
    return Audio(
        np.concatenate([block.samples for block in blocks], out=samples), first.sample_rate
    )


def _form(audio: Audio) -> tuple[int, int, np.dtype[Any]]:
    return audio.sample_rate, audio.channels, audio.samples.dtype


def _said(audio: Audio) -> str:
    return f"{audio.sample_rate} Hz × {audio.channels}, {audio.samples.dtype}"
