"""What operators with several inputs have in common: ports, and one output of a packet of each.

No I/O. Source: FR-002.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from engine.operator import Params as BaseParams
from engine.operator import Ports
from engine.packet import DEFAULT_OUTPUT
from engine.payloads import Json, Text, kind_of
from operators.flow.importable import FunctionName, load_function

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.packet import Packet

#: A port's name: without dots, since `node.port` stands for a port in manifests.
PortName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=64)]


def _unique(names: list[str]) -> list[str]:
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise ValueError(f"must name each port once; {twice!r} is there twice")
    return names


class FanInParams(BaseParams):
    """Params of a node whose input ports are params."""

    inputs: Annotated[list[PortName], AfterValidator(_unique)] = Field(
        ["a", "b"], min_length=2, max_length=64, description="names of the input ports"
    )


class CombiningParams(FanInParams):
    """Params of a node that makes one output of one packet of each port."""

    combine: FunctionName | None = Field(
        None,
        description="function that makes the output: takes {port: packet}, returns a payload, or"
        " None for no output; by default one JSON object {port: value} of texts and JSON values",
    )


def fan_in_ports(params: FanInParams) -> Ports:
    """The ports of a node with these params."""
    return Ports(tuple(params.inputs), (DEFAULT_OUTPUT,))


class Combination:
    """Makes one payload of one packet of each port."""

    def __init__(self, params: CombiningParams) -> None:
        self._target = params.combine
        self._function: Callable[[dict[str, Packet]], Any] = _as_json

    def load(self) -> None:
        """Import the function, where the params name one.

        Raises:
            UsageError: there is none of that name.
        """
        if self._target is not None:
            self._function = load_function(self._target)

    def of(self, members: Mapping[str, Packet]) -> Any:
        """The output for one packet of each port, in the order of the ports; None: none."""
        return self._function(dict(members))


def _as_json(members: Mapping[str, Packet]) -> Json:
    return Json({port: _json_value(port, packet) for port, packet in members.items()})


def _json_value(port: str, packet: Packet) -> Any:
    payload = packet.payload
    if isinstance(payload, Text):
        return payload.text
    if isinstance(payload, Json):
        return payload.value
    raise TypeError(
        f"port {port!r} brought {kind_of(payload)}, and only text and json become JSON by"
        " themselves: name a function in the param combine ('module:function') that takes"
        " {port: packet} and returns a payload"
    )
