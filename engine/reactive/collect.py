"""`collect`: makes one output of the packets that buffer, pairwise, zip and their like hand over.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from reactivex import operators as ops

from engine.operator import Emission
from engine.packet import DEFAULT_OUTPUT, Packet
from engine.payloads import Audio, Json, Text
from engine.reactive.values import value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reactivex import Observable

    from engine.payloads import Payload


def collect(
    make: Callable[[Sequence[Packet]], Payload | Packet] | None = None,
) -> Callable[[Observable[Sequence[Packet]]], Observable[Emission]]:
    """A reactivex operator that makes one output of each list of packets.

    Empty lists are dropped: `buffer_with_time` gives one for every span without a packet. An output
    has the first packet's media time and descends from the last one.

    Args:
        make: a payload of a list of packets; without, audio blocks of one format are joined, and
            texts and JSON values become a list in a Json.
    """
    made = joined if make is None else make

    def emission(packets: Sequence[Packet]) -> Emission:
        for packet in packets:
            if not isinstance(packet, Packet):
                raise TypeError(
                    f"collect takes lists of packets, not of {type(packet).__name__}; it stands"
                    " behind what collects the node's packets as they are"
                )
        return Emission(DEFAULT_OUTPUT, made(packets), packets[0].timestamp_ns)

    def operator(source: Observable[Sequence[Packet]]) -> Observable[Emission]:
        return source.pipe(ops.filter(_has_items), ops.map(emission))

    return operator


def joined(packets: Sequence[Packet]) -> Payload:
    """One payload of several packets: audio end to end, texts and JSON values as a list.

    Raises:
        TypeError: they are of other kinds, or of audio formats that do not fit together.
    """
    payloads = [packet.payload for packet in packets]
    kinds = {type(payload) for payload in payloads}
    if kinds == {Audio}:
        return _joined_audio([payload for payload in payloads if type(payload) is Audio])
    if kinds <= {Text, Json}:
        return Json([value_of(packet) for packet in packets])
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise TypeError(f"collect cannot join {names}; give it a function that makes one payload")


def _joined_audio(blocks: Sequence[Audio]) -> Audio:
    formats = {(block.sample_rate, block.channels, str(block.samples.dtype)) for block in blocks}
    if len(formats) > 1:
        described = " and ".join(
            f"{rate} Hz × {channels} {dtype}" for rate, channels, dtype in sorted(formats)
        )
        raise TypeError(f"collect cannot join audio of {described}; resample it before")
    return Audio(np.concatenate([block.samples for block in blocks]), blocks[0].sample_rate)


def _has_items(items: Any) -> bool:
    return len(items) > 0
