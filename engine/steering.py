"""Orders: what a session tells its stages while they run, past the data, and what they answer.

Pure: no I/O, no clock, no numpy (a zygote reads this before it has any). Source: FR-012.

An order goes to the stages of a place: to those on the session's own loop as it is, to a worker's
by its lane, as JSON. Each place answers it once, with an answer or an error.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What becomes of a node's input: it is processed, handed on as it is, or dropped.
NodeState = Literal["enabled", "bypass", "disabled"]
NODE_STATES: Final[tuple[str, ...]] = get_args(NodeState)
ENABLED: Final = "enabled"
BYPASS: Final = "bypass"

#: What somebody may decide about an output that an interception holds.
Decision = Literal["pass", "replace", "drop"]
GO_ON: Final = "pass"
REPLACE: Final = "replace"
DROP: Final = "drop"
#: The metadata of a packet that brings a decision; its sequence is the number of the request.
DECISION_KEY: Final = "decision"

#: What a hand does: shows the outputs of a port, holds them for a decision, or feeds a node.
HandKind = Literal["tap", "intercept", "publish"]


@dataclass(frozen=True, slots=True)
class SetParams:
    """Give a node's hot params other values, between two of its turns. Answer: `ParamsTaken`."""

    verb: ClassVar[str] = "set_params"
    node_id: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetNodeState:
    """Say what becomes of a node's input from now on. Answer: nothing."""

    verb: ClassVar[str] = "set_node_state"
    node_id: str
    state: NodeState


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell nodes a control message. Answer: `dropped`, by edge or node.

    Attributes:
        node_ids: who is told.
        control: `engine.payloads.control.Control.to_dict()`.
        before_ns: the monotonic time at which it was said.
    """

    verb: ClassVar[str] = "tell"
    node_ids: tuple[str, ...]
    control: Mapping[str, Any]
    before_ns: int


@dataclass(frozen=True, slots=True)
class Attach:
    """Attach a hand to a node: an edge or two between it and the session. Answer: nothing.

    Attributes:
        hand_id: how the session calls it.
        kind: what it does.
        node_id: the node.
        port: its output port; "" where it is fed.
        deadline_ms: how long an interception waits for a decision.
    """

    verb: ClassVar[str] = "attach"
    hand_id: str
    kind: HandKind
    node_id: str
    port: str = ""
    deadline_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Detach:
    """Take a hand away; what it holds goes on. Answer: nothing."""

    verb: ClassVar[str] = "detach"
    hand_id: str
    node_id: str


Order: TypeAlias = SetParams | SetNodeState | Tell | Attach | Detach

_CLASSES: Final[dict[str, type[Any]]] = {cls.verb: cls for cls in Order.__args__}


@dataclass(frozen=True, slots=True)
class ParamsTaken:
    """A change of params has taken effect.

    Attributes:
        params: all of the node's params, as they are now.
        edge_seq: in edge of its stage → ordinal of the first packet on it that was taken off when
            the new values held. What the stage had taken before, and still held in front of the
            node (in a call, or an interception), met them as well.
    """

    params: Mapping[str, Any]
    edge_seq: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form, as far as the params are."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Undo `to_dict`."""
        return cls(**data)


def order_to_dict(order: Order) -> dict[str, Any]:
    """An order as JSON; `order_from_dict` undoes it."""
    return {"verb": order.verb, **asdict(order)}


def order_from_dict(data: Mapping[str, Any]) -> Order:
    """The order that `order_to_dict` turned into this.

    Raises:
        ValueError: it is none of this version.
    """
    fields = dict(data)
    verb = fields.pop("verb", None)
    cls = _CLASSES.get(verb) if isinstance(verb, str) else None
    if cls is None:
        raise ValueError(f"an unknown order: {verb!r}")
    if "node_ids" in fields:
        fields["node_ids"] = tuple(fields["node_ids"])
    try:
        order: Order = cls(**fields)
    except TypeError as error:
        raise ValueError(f"a damaged order {verb!r}: {error}") from error
    return order


def nodes_of(order: Order) -> tuple[str, ...]:
    """The nodes an order is for."""
    return order.node_ids if isinstance(order, Tell) else (order.node_id,)
