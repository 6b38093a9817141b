"""Sends each packet to the output ports whose predicates are true of it.

Source: FR-002. No I/O, no state.

    {"routes": [{"port": "loud",  "when": {"field": "level", "ge": -20}},
                {"port": "words", "when": {"kind": "text"}}],
     "otherwise": "rest"}                                  output ports: loud, words, rest
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from engine.operator import Operator, Ports
from engine.operator import Params as BaseParams
from engine.packet import DEFAULT_INPUT
from operators.flow.fan_in import PortName
from operators.flow.importable import load_function
from operators.flow.predicate import (
    Predicate,
    PredicateDocument,
    compile_predicate,
    predicate_reaches,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.operator import Context, Output
    from engine.packet import Packet
    from engine.reach import Reach

#: The name that stands for no port: what goes there is dropped.
DROP = "drop"


class Router(Operator):
    """Hands each packet on by the first route that is true of it, or by all of them.

    A route is `{"port": "loud", "when": {"field": "level", "ge": -20}}`; what `when` may say is
    told of SelectNode. A packet leaves by a port at most once. What no route is true of leaves by
    the port `otherwise`. The port name `drop` stands for none: what is sent there is dropped.

    Routes may change while it runs as long as the ports stay, in their order.
    """

    node_type = "RouterNode"
    outputs = ("otherwise",)
    hot = frozenset({"routes", "match", "otherwise"})

    class Params(BaseParams):
        class Route(BaseParams):
            port: PortName = Field(description="output port, or drop")
            when: PredicateDocument = Field(description="predicate")

        routes: list[Route] = Field(
            min_length=1, max_length=256, description="ports and predicates, asked in this order"
        )
        match: Literal["first", "all"] = Field(
            "first", description="whether only the first route counts that is true of a packet"
        )
        otherwise: PortName = Field(
            "otherwise", description="output port for what no route is true of, or drop"
        )

        @property
        def output_ports(self) -> tuple[str, ...]:
            """The ports that are no drain, each once."""
            names = [*(route.port for route in self.routes), self.otherwise]
            return tuple(name for name in dict.fromkeys(names) if name != DROP)

        @model_validator(mode="after")
        def _leads_somewhere(self) -> Self:
            if not self.output_ports:
                raise ValueError("every route drops its packets, and otherwise does: name a port")
            return self

    params: Params

    @classmethod
    def reaches(cls, params: Mapping[str, Any]) -> Iterable[Reach]:
        routes = params.get("routes")
        for index, route in enumerate(routes if isinstance(routes, list) else ()):
            if isinstance(route, dict):
                yield from predicate_reaches(f"routes[{index}].when", route.get("when"))

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._routes: list[tuple[str, Predicate]] = []

    @classmethod
    def ports(cls, params: Params) -> Ports:
        return Ports((DEFAULT_INPUT,), params.output_ports)

    async def initialize(self, ctx: Context) -> None:
        self._routes = self._compiled()

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._routes = self._compiled()

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        ports = dict.fromkeys(self._matching(packet)) or {self.params.otherwise: None}
        return [ctx.to(port, packet) for port in ports if port != DROP]

    def _compiled(self) -> list[tuple[str, Predicate]]:
        return [
            (route.port, compile_predicate(route.when, load_function))
            for route in self.params.routes
        ]

    def _matching(self, packet: Packet) -> list[str]:
        if self.params.match == "all":
            return [port for port, when in self._routes if when(packet)]
        first = next((port for port, when in self._routes if when(packet)), None)
        return [] if first is None else [first]
