"""What an operator sees of its stage.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import UsageError
from engine.interruption import CANCELLED, STALE_BELOW
from engine.operator import Emission
from engine.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt
    from pydantic import BaseModel

    from engine.adapters import OperatorAdapter
    from engine.errors import RemoteMediaError
    from engine.operator import Output
    from engine.packet import Packet
    from engine.payloads import Control, Payload
    from engine.stage import Stage


#: Posted to an adapter: nothing more comes out of its node.
COMPLETE = object()


@dataclass(frozen=True, slots=True)
class ParamsChange:
    """Posted to an adapter: its node's hot params are to have other values.

    Attributes:
        params: what changes, as it was asked for.
        done: told the params as they are now, or why nothing was changed.
    """

    params: Mapping[str, Any]
    done: Callable[[BaseModel | RemoteMediaError], None]


class NodeContext:
    """The context an operator sees, see `engine.operator.Context`."""

    def __init__(self, adapter: OperatorAdapter, stage: Stage) -> None:
        self.node_id = adapter.node_id
        self.session_id = stage.session_id
        self.logger = logging.getLogger(f"remotemedia.node.{adapter.node_id}")
        #: Set by whoever initializes the operator: (node_id, status, fraction, message).
        self.on_progress: Callable[[str, str, float, str], None] | None = None
        #: Set by whoever compiles the stage: a writable array in the outgoing arena, or None.
        self.reserve: Callable[[tuple[int, ...], npt.DTypeLike], npt.NDArray[Any] | None] | None = (
            None
        )
        self._adapter = adapter
        self._stage = stage

    @property
    def cancelled(self) -> bool:
        words = self._stage.words
        return bool(words[CANCELLED]) or words[STALE_BELOW] > self._stage.generation

    @property
    def now_ns(self) -> int:
        return self._stage.clock_ns()

    def to(
        self, port: str, payload: Payload | Packet, *, timestamp_ns: int | None = None
    ) -> Emission:
        if port not in self._adapter.outlets:
            hint = suggestion(port, self._adapter.outlets, "output ports")
            raise UsageError(f"node {self.node_id!r} has no output port {port!r}{hint}")
        return Emission(port, payload, timestamp_ns)

    def connected(self, port: str) -> bool:
        outlet = self._adapter.outlets.get(port)
        return outlet is not None and outlet.connected

    def emit(self, output: Output) -> None:
        if self._stage.running:
            self._adapter.take_posted(output)
        else:
            self._stage.post(self._adapter, output)

    def control(self, control: Control) -> None:
        self._stage.host.controlled(self._stage, self.node_id, control)

    def complete(self) -> None:
        self._stage.post(self._adapter, COMPLETE)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        return self._stage.call_later(self._adapter, round(delay_s * 1e9), callback)

    def progress(self, fraction: float, message: str = "", *, status: str = "initializing") -> None:
        if self.on_progress is not None:
            self.on_progress(self.node_id, status, min(1.0, max(0.0, float(fraction))), message)

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        if self.reserve is not None:
            reserved = self.reserve(shape, dtype)
            if reserved is not None:
                return reserved
        return np.empty(shape, dtype)
