"""A flow: nodes, the links between them, and the ends that are open to what comes next.

Pure: no I/O, no clock. Source: US1.

    heads ─▶ node ─link─▶ node ─▶ tails          a | b   links every tail of a to every head of b
                 └─link─▶ node ─▶                a & b   has the heads and the tails of both

Flows are values: nothing changes one. Nodes are told apart by their place in it, and get their ids
when it is written down, see `engine.composition.naming`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.composition.composable import Composable
from engine.composition.naming import Scope, node_ids
from engine.errors import UsageError
from engine.registry import STANDS_FOR
from engine.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.operator import Operator


#: What people ask of a flow, and only a pipeline can do.
_OF_PIPELINES = frozenset(
    {"run", "arun", "stream", "session", "plan", "to_manifest", "as_operator"}
)


@dataclass(frozen=True, slots=True)
class FlowNode:
    """A node to be.

    Attributes:
        node_type: its type.
        operator: the operator it was made of, which holds the params; None: it is from a manifest.
        params: the params of a manifest's node.
        id: the id it was given, or None.
        scope: the pipeline it was embedded with, or None.
        fields: what else its manifest entry says: "executor" and so on.
    """

    node_type: str
    operator: Operator | None = None
    params: Mapping[str, Any] | None = None
    id: str | None = None
    scope: Scope | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlowLink:
    """A connection to be: from one node to another, by their places.

    Attributes:
        source: place of the node that emits.
        target: place of the node that receives.
        fields: what else its manifest entry says: "from_port", "capacity" and so on.
    """

    source: int
    target: int
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Head:
    """A node that may be fed.

    Attributes:
        node: its place.
        source_port: the output port it wants to be fed by, or None.
    """

    node: int
    source_port: str | None = None


@dataclass(frozen=True, slots=True)
class Tail:
    """A node whose output may go on.

    Attributes:
        node: its place.
        port: the output port, or None for the default.
        target_port: the input port it is to enter, or None for the default.
        options: "capacity" and "overflow" of the link.
    """

    node: int
    port: str | None = None
    target_port: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flow(Composable):
    """Part of a pipeline, or all of it; see the module.

    Attributes:
        nodes: in the order in which they were put together.
        links: in that order, too: the order of a fan-out.
        heads: what may be fed.
        tails: what may go on.
    """

    nodes: tuple[FlowNode, ...] = ()
    links: tuple[FlowLink, ...] = ()
    heads: tuple[Head, ...] = ()
    tails: tuple[Tail, ...] = ()

    def flow(self) -> Flow:
        """Itself."""
        return self

    # --- putting together -----------------------------------------------------------------------

    def followed_by(self, following: Any) -> Flow:
        """See `Composable.__or__`; an empty flow is followed by anything."""
        other = flow_of(following)
        if not self.nodes or not other.nodes:
            return other if other.nodes else self
        if not self.tails:
            raise UsageError(f"{self.label} has no output that could go on to {other.label}")
        if not other.heads:
            raise UsageError(f"{other.label} takes no input, so it cannot follow {self.label}")
        moved = self._apart(other)
        joints = tuple(_joint(tail, head) for tail in self.tails for head in moved.heads)
        return Flow(
            self.nodes + moved.nodes, self.links + joints + moved.links, self.heads, moved.tails
        )

    def beside(self, other: Any) -> Flow:
        """See `Composable.__and__`."""
        moved = self._apart(flow_of(other))
        return Flow(
            self.nodes + moved.nodes,
            self.links + moved.links,
            self.heads + moved.heads,
            self.tails + moved.tails,
        )

    def connect(
        self,
        source: str,
        target: str,
        *,
        capacity: int | None = None,
        overflow: str | None = None,
        max_age_ms: int | None = None,
    ) -> Flow:
        """Link two of its nodes by their ids, for graphs that `|` and `&` cannot say.

        Args:
            source: `id` or `id.port` of the node that emits.
            target: `id` or `id.port` of the node that receives.
            capacity: packets the link may hold; None: the session's channel_capacity.
            overflow: what a full link does; None: it blocks.
            max_age_ms: how long a packet may wait on the link before it is dropped.

        Raises:
            UsageError: there is no such node.
        """
        ids = node_ids(self.nodes)
        source_node, source_port = _end(source, ids)
        target_node, target_port = _end(target, ids)
        fields = {
            "from_port": source_port,
            "to_port": target_port,
            "capacity": capacity,
            "overflow": overflow,
            "max_age_ms": max_age_ms,
        }
        link = FlowLink(
            source_node,
            target_node,
            {name: value for name, value in fields.items() if value is not None},
        )
        return replace(
            self,
            links=(*self.links, link),
            heads=tuple(head for head in self.heads if head.node != target_node),
            tails=tuple(tail for tail in self.tails if tail.node != source_node),
        )

    def moved(self, places: int) -> Flow:
        """The same, its nodes that many places further on."""
        if not places:
            return self
        return Flow(
            self.nodes,
            tuple(
                replace(link, source=link.source + places, target=link.target + places)
                for link in self.links
            ),
            tuple(replace(head, node=head.node + places) for head in self.heads),
            tuple(replace(tail, node=tail.node + places) for tail in self.tails),
        )

    def _apart(self, other: Flow) -> Flow:
        """Another flow as it stands behind this one: its nodes further on, and none of them ours.

        What both have of one pipeline becomes another use of it in the other one.
        """
        theirs = {node.scope for node in other.nodes if node.scope is not None}
        if theirs:
            ours = {node.scope for node in self.nodes}
            again = {scope: Scope(scope.name) for scope in theirs if scope in ours}
            other = other._with_nodes(
                lambda node: replace(node, scope=again.get(node.scope, node.scope))  # type: ignore[arg-type]
            )
        return other.moved(len(self.nodes))

    def embedded(self, name: str) -> Flow:
        """The same as part of another flow: its ids are its own, behind the name."""
        scope = Scope(name)
        ids = node_ids(self.nodes)
        nodes = zip(self.nodes, ids, strict=True)
        return replace(
            self, nodes=tuple(replace(node, id=node_id, scope=scope) for node, node_id in nodes)
        )

    def check_ends(self) -> None:
        """See that what `.into` and `.taking` say of its ends is about something.

        Raises:
            UsageError: nothing follows, or comes before.
        """
        for tail in self.tails:
            if tail.target_port is not None or tail.options:
                said = repr(tail.target_port) if tail.target_port else "…"
                raise UsageError(
                    f"nothing follows {self._label_of(tail.node)}.into({said}): .into stands on"
                    " what comes before, as in a.into('left') | b"
                )
        for head in self.heads:
            if head.source_port is not None:
                label = self._label_of(head.node)
                raise UsageError(
                    f"nothing comes before {label}.taking({head.source_port!r}): .taking stands on"
                    " what follows, as in a | b.taking('left')"
                )

    def _label_of(self, place: int) -> str:
        node = self.nodes[place]
        return node.id or node.node_type

    # --- saying something of it -------------------------------------------------------------------

    def with_fields(self, fields: Mapping[str, Any]) -> Flow:
        """The same, with these fields in every node's entry."""
        return self._with_nodes(lambda node: replace(node, fields={**node.fields, **fields}))

    def with_id(self, node_id: str) -> Flow:
        """See `Composable.named`."""
        if len(self.nodes) != 1:
            raise UsageError(
                f"{self.label} has {len(self.nodes)} nodes; give each an id of its own by .named()"
            )
        return self._with_nodes(lambda node: replace(node, id=node_id))

    def with_tails_as_outputs(self) -> Flow:
        """See `Composable.as_output`."""
        places = {tail.node for tail in self.tails}
        nodes = tuple(
            replace(node, fields={**node.fields, "is_output_node": True})
            if place in places
            else node
            for place, node in enumerate(self.nodes)
        )
        return replace(self, nodes=nodes)

    def with_tail_port(self, port: str) -> Flow:
        """See `Composable.out`."""
        return replace(self, tails=tuple(replace(tail, port=port) for tail in self.tails))

    def with_tail_target(self, port: str | None, options: Mapping[str, Any]) -> Flow:
        """See `Composable.into`."""
        tails = (
            replace(
                tail,
                target_port=tail.target_port if port is None else port,
                options={**tail.options, **options},
            )
            for tail in self.tails
        )
        return replace(self, tails=tuple(tails))

    def with_head_source(self, port: str) -> Flow:
        """See `Composable.taking`."""
        return replace(self, heads=tuple(replace(head, source_port=port) for head in self.heads))

    def _with_nodes(self, change: Callable[[FlowNode], FlowNode]) -> Flow:
        return replace(self, nodes=tuple(change(node) for node in self.nodes))

    @property
    def label(self) -> str:
        """How a sentence speaks of it."""
        if not self.nodes:
            return "an empty flow"
        first, last = self.nodes[0], self.nodes[-1]
        names = [node.id or node.node_type for node in (first, last)]
        return names[0] if first is last else f"{names[0]} … {names[1]}"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in _OF_PIPELINES:
                raise AttributeError(
                    f"a flow is part of a pipeline: (Pipeline('name') | flow).{name}"
                )
            raise AttributeError(f"a flow has no {name!r}")

    def __repr__(self) -> str:
        try:
            return f"Flow({', '.join(node_ids(self.nodes))})"
        except UsageError as error:  # two nodes of one name
            return f"Flow({error.message})"


def flow_of(value: Any) -> Flow:
    """What may stand beside `|` or `&` as a flow.

    Raises:
        UsageError: it cannot stand in a pipeline; says what can.
    """
    if isinstance(value, Composable):
        return value.flow()
    embedded = getattr(value, "as_flow", None)  # a pipeline
    if embedded is not None and not isinstance(value, type):
        flow: Flow = embedded()
        return flow
    if callable(value) and not isinstance(value, type):
        from engine.reactive.function import rx  # most pipelines have no reactivex operator

        return rx(value).flow()
    hint = "an Operator"
    if isinstance(value, type):
        hint = "an instance (add parentheses)"
    if hasattr(type(value), STANDS_FOR):
        hint = "no instance of an older node class (a manifest names its type), but an Operator"
    raise UsageError(
        f"{value!r} cannot be a step of a pipeline; it takes {hint}, a flow, a pipeline or a"
        " reactivex operator"
    )


def _joint(tail: Tail, head: Head) -> FlowLink:
    if tail.port is not None and head.source_port not in {None, tail.port}:
        raise UsageError(
            f"one side goes on from the output port {tail.port!r}, the other takes"
            f" {head.source_port!r}; keep one of .out() and .taking()"
        )
    ports = {"from_port": tail.port or head.source_port, "to_port": tail.target_port}
    named = {name: port for name, port in ports.items() if port is not None}
    return FlowLink(tail.node, head.node, {**named, **tail.options})


def _end(name: str, ids: tuple[str, ...]) -> tuple[int, str | None]:
    """The place of the node an end names, and the port it names, if any."""
    node_id, dot, port = name.partition(".")
    if node_id not in ids:
        hint = suggestion(node_id, ids, "nodes")
        raise UsageError(f"there is no node {node_id!r} to connect{hint}")
    return ids.index(node_id), port if dot else None
