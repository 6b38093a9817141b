"""Lets through the packets a predicate is true of.

Source: FR-002. No I/O, no state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from operators.flow.importable import load_function
from operators.flow.predicate import Predicate, PredicateDocument, compile_predicate

if TYPE_CHECKING:
    from engine.operator import Context
    from engine.packet import Packet


class Select(Operator):
    """Hands on the packets that `when` is true of, and drops all others.

    What `when` may say: `operators.flow.predicate`.
    """

    node_type = "SelectNode"

    class Params(BaseParams):
        when: PredicateDocument = Field(
            description='predicate, like {"kind": "text"} or {"field": "final", "equals": true}'
        )

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._when: Predicate | None = None

    async def initialize(self, ctx: Context) -> None:
        self._when = compile_predicate(self.params.when, load_function)

    def process(self, packet: Packet, ctx: Context) -> Packet | None:
        assert self._when is not None, "process before initialize"
        return packet if self._when(packet) else None
