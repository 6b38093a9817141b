"""What is wrong with a frame of an attached client, as its error event says.

Pure: no I/O, no clock. Source: FR-006.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import EdgeClosedError, RemoteMediaError, ResourceLimitError, UsageError
from engine.packet import DEFAULT_OUTPUT
from engine.wording import suggestion
from protos.remotemedia.v1 import control_pb2

if TYPE_CHECKING:
    from engine.plan import NodePlan, Plan

IN = control_pb2.CONTROL_DIRECTION_IN
OUT = control_pb2.CONTROL_DIRECTION_OUT
#: Names that clients send are shown as far as this.
_SHOWN_MAX = 100


class ControlFaultError(Exception):
    """A frame that cannot be done.

    Attributes:
        code: a ControlErrorCode.
        message: what is wrong, and what would be right.
    """

    def __init__(self, code: control_pb2.ControlErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def fault_of(error: Exception) -> ControlFaultError:
    """What a client is told of an error; of one that is our own fault, no more than that."""
    if isinstance(error, ControlFaultError):
        return error
    if isinstance(error, EdgeClosedError):
        code, message = control_pb2.CONTROL_ERROR_CODE_INVALID_ADDRESS, error.message
    elif isinstance(error, UsageError | ResourceLimitError):
        code, message = control_pb2.CONTROL_ERROR_CODE_PROTOCOL, error.message
    elif isinstance(error, RemoteMediaError):
        code, message = control_pb2.CONTROL_ERROR_CODE_INTERNAL, error.message
    else:
        code = control_pb2.CONTROL_ERROR_CODE_INTERNAL
        message = "internal error; the server's log says more"
    return ControlFaultError(code, message)


def protocol_fault(message: str) -> ControlFaultError:
    """A frame that says something which cannot be meant."""
    return ControlFaultError(control_pb2.CONTROL_ERROR_CODE_PROTOCOL, message)


def node_of(plan: Plan, node_id: str) -> NodePlan:
    """A node of a plan.

    Raises:
        ControlFaultError: there is none of that name.
    """
    nodes = {node.id: node for stage in plan.stages for node in stage.nodes}
    node = nodes.get(node_id)
    if node is None:
        shown = node_id[:_SHOWN_MAX]
        hint = suggestion(shown, nodes, "nodes")
        raise ControlFaultError(
            control_pb2.CONTROL_ERROR_CODE_UNKNOWN_NODE, f"there is no node {shown!r}{hint}"
        )
    return node


def port_of(
    plan: Plan, address: control_pb2.ControlAddress, direction: control_pb2.ControlDirection
) -> str:
    """The port of an address; the default or first one where it names none.

    Args:
        plan: what runs.
        address: as it came; without a direction, that which the frame can only mean is meant.
        direction: which side of a node the frame concerns.

    Raises:
        ControlFaultError: there is no such node or port, or it is on the other side.
    """
    node = node_of(plan, address.node_id)
    ports = node.inputs if direction == IN else node.outputs
    if address.direction not in {direction, control_pb2.CONTROL_DIRECTION_UNSPECIFIED}:
        meant, instead = ("input", "IN") if direction == IN else ("output", "OUT")
        raise _invalid(f"this concerns an {meant} of node {node.id!r}: set direction {instead}")
    if not ports:
        raise _invalid(f"node {node.id!r} has no such port")
    if not address.port:
        return DEFAULT_OUTPUT if direction == OUT and DEFAULT_OUTPUT in ports else ports[0]
    if address.port not in ports:
        hint = suggestion(address.port[:_SHOWN_MAX], ports, "ports")
        raise _invalid(f"node {node.id!r} has no port {address.port[:_SHOWN_MAX]!r}{hint}")
    return address.port


def _invalid(message: str) -> ControlFaultError:
    return ControlFaultError(control_pb2.CONTROL_ERROR_CODE_INVALID_ADDRESS, message)
