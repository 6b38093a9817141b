"""Lets control messages pass by a chain that would drop or hold them.

No I/O. Source: FR-002.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import reactivex
from reactivex import operators as ops

from operators.flow.values import is_control

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import Observable

    from engine.packet import Packet


def around_control(
    packets: Observable[Packet], chain: Callable[[Observable[Packet]], Observable[Any]]
) -> Observable[Any]:
    """Put a chain behind everything but control messages, and those beside it."""
    controls = packets.pipe(ops.filter(is_control))
    others = packets.pipe(ops.filter(_is_no_control))
    return reactivex.merge(controls, chain(others))


def _is_no_control(packet: Packet) -> bool:
    return not is_control(packet)
