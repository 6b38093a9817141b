"""Steers a running session: interrupts, params, states, hands and control messages.

Source: FR-012.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from engine.edges.overflow import discard_waiting
from engine.errors import EdgeClosedError, RemoteMediaError, ResourceLimitError, UsageError
from engine.interruption import (
    CancelledSpan,
    Interrupt,
    Settlement,
    older_than,
    scope_of,
)
from engine.packet import DEFAULT_OUTPUT
from engine.payloads import CancelSpeculation, Control
from engine.session.hand_edges import HandEdges
from engine.session.hands import Interception, Listener, Tap
from engine.session.ingress import Ingress
from engine.session.orders import Orders
from engine.steering import (
    NODE_STATES,
    Attach,
    Detach,
    ParamsTaken,
    SetNodeState,
    SetParams,
    Tell,
)
from engine.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.executors.contract import RunningStage
    from engine.interruption import Unwanted
    from engine.plan import NodePlan, Plan
    from engine.session.interruptions import Interruption, Interruptions
    from engine.session.places import Places
    from engine.steering import HandKind, NodeState

#: How long an interception waits for a decision, if nobody says otherwise.
DECISION_DEADLINE_MS: Final = 50.0
#: How long a stage may take to take a hand away.
DETACH_S: Final = 1.0


class Steering:
    """The interrupts, orders, hands and publishers of one session."""

    def __init__(
        self,
        plan: Plan,
        session_id: str,
        interruptions: Interruptions,
        on_credit: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            plan: the session's.
            session_id: its id.
            interruptions: its interrupts.
            on_credit: called when a publisher has room again.
        """
        self._plan = plan
        self._session_id = session_id
        self._interruptions = interruptions
        self._on_credit = on_credit
        self._nodes = {node.id: node for stage in plan.stages for node in stage.nodes}
        self._orders = Orders()
        self._hand_ids = itertools.count(1)
        self._listeners: list[Listener] = []
        self._publishers: dict[str, Ingress] = {}
        self._publisher_edges: list[HandEdges] = []
        self._publishing: dict[str, asyncio.Lock] = {}
        #: Hands that nobody waited for until they were attached, being taken away again.
        self._detaching: set[asyncio.Task[None]] = set()
        self._places: Places | None = None
        self._closed = False
        #: Stage → its place in the plan's order.
        self._ranks = {stage.id: rank for rank, stage in enumerate(plan.stages)}

    def open(self, places: Places) -> None:
        """The session runs now."""
        self._places = places

    # --- what the session is asked for ------------------------------------------------------------

    def node(self, node_id: str) -> NodePlan:
        """A node's plan.

        Raises:
            UsageError: there is none of that name.
        """
        node = self._nodes.get(node_id)
        if node is None:
            hint = suggestion(node_id, self._nodes, "nodes")
            raise UsageError(f"there is no node {node_id!r}{hint}", node_id=node_id)
        return node

    def interrupt(
        self, scope: str | None, reason: str, runs: Callable[[str], bool]
    ) -> Interruption:
        """See `Session.interrupt`.

        Args:
            scope: a node; None: all.
            reason: why.
            runs: says of a stage's id whether it runs.
        """
        places = self._started()
        nodes = self._scope(scope)
        running = [stage for stage in places.stages if runs(stage.plan.id)]
        ack = self._interruptions.begin(nodes, reason, [stage.plan.id for stage in running])
        exits = [at for at, node in enumerate(places.exit_nodes) if node in nodes]
        ack.add_dropped(places.exits.interrupt(ack.generation, exits))
        for listener in self._listeners:
            if listener.node in nodes:
                listener.interrupt(ack.generation)
        ack.add_dropped(_discard_entering(places, older_than(ack.generation), nodes))
        interrupt = Interrupt(ack.generation, nodes)
        # Who is given something newer has been told of the interrupt.
        for stage in self._from_the_sinks(running):
            stage.interrupt(interrupt)
        return ack

    async def set_params(self, node_id: str, params: Mapping[str, Any]) -> ParamsTaken:
        """See `Session.set_params`."""
        self.node(node_id)
        order = SetParams(node_id, dict(params))
        return ParamsTaken.from_dict(await self._orders.give(self._stage_of(node_id), order))

    async def set_node_state(self, node_id: str, state: NodeState) -> None:
        """See `Session.set_node_state`."""
        self.node(node_id)
        if state not in NODE_STATES:
            known = ", ".join(repr(each) for each in NODE_STATES)
            raise UsageError(f"a node's state is one of {known}, not {state!r}", node_id=node_id)
        await self._orders.give(self._stage_of(node_id), SetNodeState(node_id, state))

    async def tap(self, node_id: str, port: str | None) -> Tap:
        """See `Session.tap`."""
        port = self._output(node_id, port)
        edges, detach = await self._attach("tap", node_id, port)
        tap = Tap(node_id, port, edges, detach)
        self._listeners.append(tap)
        return tap

    async def intercept(
        self, node_id: str, port: str | None, deadline_ms: float | None
    ) -> Interception:
        """See `Session.intercept`."""
        port = self._output(node_id, port)
        deadline_ms = DECISION_DEADLINE_MS if deadline_ms is None else float(deadline_ms)
        if not 0 < deadline_ms < float("inf"):
            raise UsageError(f"a deadline is a number of milliseconds, not {deadline_ms:g}")
        edges, detach = await self._attach("intercept", node_id, port, deadline_ms)
        interception = Interception(node_id, port, edges, detach)
        self._listeners.append(interception)
        return interception

    async def publisher(self, node_id: str, port: str | None) -> Ingress:
        """Where packets enter that are published to a node; made when it is first asked for.

        Args:
            node_id: the node.
            port: the input port that is to be fed; None: its first one.
        """
        node = self.node(node_id)
        if not node.inputs:
            raise UsageError(f"node {node_id!r} has no input to publish to", node_id=node_id)
        self._check_reachable(node, port or node.inputs[0])
        async with self._publishing.setdefault(node_id, asyncio.Lock()):
            if node_id not in self._publishers:
                edges, _ = await self._attach("publish", node_id)
                assert edges.sender is not None
                edges.sender.on_credit = self._on_credit
                publisher = Ingress(
                    node_id, edges.sender, node.inputs, self._session_id, self._opened().now_ns
                )
                publisher.opened_ns = min(
                    (each.opened_ns for each in self._opened().ingress.values()),
                    default=publisher.opened_ns,
                )
                self._publishers[node_id] = publisher
                self._publisher_edges.append(edges)
        return self._publishers[node_id]

    async def control(
        self, control: Control, scope: str | None, *, itself: bool, deadline_s: float
    ) -> Settlement:
        """See `Session.control`.

        Args:
            control: the message.
            scope: a node; None: all.
            itself: whether that node is told, too, or only those behind it.
            deadline_s: how long stages may take to answer.
        """
        places = self._opened()
        if not isinstance(control, Control):
            raise UsageError(f"a Control is needed, not {type(control).__name__}")
        message = _as_json(control)
        nodes = self._scope(scope)
        if scope is not None and not itself:
            nodes -= {scope}
        before_ns = places.now_ns() + 1
        settlement = Settlement(generation=0)
        if isinstance(control.message, CancelSpeculation):
            for ingress in (*places.ingress.values(), *self._publishers.values()):
                ingress.stamp_from(before_ns)
            span = CancelledSpan(control.message.from_ns, control.message.to_ns, before_ns)
            settlement.add_dropped(self._take_back(places, span, nodes))
        telling: dict[asyncio.Task[Mapping[str, Any]], str] = {}
        for stage in self._from_the_sinks(places.stages):
            told = tuple(node for node in stage.node_ids if node in nodes)
            if told:
                order = Tell(told, message, before_ns)
                telling[asyncio.ensure_future(self._orders.give(stage, order))] = stage.plan.id
        try:
            if telling:
                await asyncio.wait(telling, timeout=deadline_s)
        finally:
            for task in telling:
                task.cancel()
        late: list[str] = []
        for task, stage_id in telling.items():
            error = task.exception() if task.done() else None
            if not task.done() or isinstance(error, ResourceLimitError):
                late.append(stage_id)
            elif error is None:  # else it has ended: there is nothing of it
                settlement.add_dropped(task.result().get("dropped", {}))
        settlement.late = tuple(late)
        return settlement

    # --- what the stages say ----------------------------------------------------------------------

    def answered(self, number: int, outcome: Mapping[str, Any] | RemoteMediaError) -> None:
        """A stage has answered an order."""
        self._orders.answered(number, outcome)

    def stage_gone(self, stage_id: str) -> None:
        """A stage has ended."""
        self._orders.stage_gone(stage_id)

    def end(self) -> None:
        """The stages are being ended: they are given no orders, and answer none, any more."""
        self._closed = True
        for stage in () if self._places is None else self._places.stages:
            self._orders.stage_gone(stage.plan.id)

    def close(self) -> None:
        """End all hands; the stages are gone. A second call does nothing."""
        self._closed = True
        for listener in self._listeners:
            listener.close()
        for edges in self._publisher_edges:
            edges.close()

    # --- inside -----------------------------------------------------------------------------------

    def _started(self) -> Places:
        if self._places is None:
            raise UsageError("start the session first: async with pipeline.session() as s")
        return self._places

    def _opened(self) -> Places:
        if self._closed:
            raise EdgeClosedError("the session is closed: nothing of it can be steered", edge="")
        return self._started()

    def _stage_of(self, node_id: str) -> RunningStage:
        return next(each for each in self._opened().stages if node_id in each.node_ids)

    def _output(self, node_id: str, port: str | None) -> str:
        """An output port of a node; the default, or its first one, if none is named."""
        outputs = self.node(node_id).outputs
        if port is None and outputs:
            return DEFAULT_OUTPUT if DEFAULT_OUTPUT in outputs else outputs[0]
        if port not in outputs:
            hint = suggestion(port or "", outputs, "output ports")
            raise UsageError(f"node {node_id!r} has no output port {port!r}{hint}", node_id=node_id)
        assert port is not None
        return port

    def _check_reachable(self, node: NodePlan, port: str) -> None:
        """Refuse what could not be given to a node that may be started again."""
        if node.restart is None or port not in node.inputs:
            return
        entering = (edge for edge in self._plan.edges if edge.target_stage is not None)
        feeding = (edge for edge in entering if edge.target_node == node.id)
        if not any(edge.target_port in {"", port} for edge in feeding):
            raise UsageError(
                f"nothing can be published to input {port!r} of node {node.id!r}: nothing is"
                " connected to it, and the node may be started again (restart); connect something",
                node_id=node.id,
            )

    async def _attach(
        self, kind: HandKind, node_id: str, port: str = "", deadline_ms: float = 0.0
    ) -> tuple[HandEdges, Callable[[], Any]]:
        """Make a hand's edges and have its stage take them; what takes it away again."""
        places, stage = self._opened(), self._stage_of(node_id)
        segment_bytes = self._plan.settings.shm_segment_bytes
        edges = HandEdges(stage, self._session_id, places.now_ns, segment_bytes)
        hand_id = f"{kind}-{next(self._hand_ids)}"
        where = f"{node_id}.{port}" if port else node_id

        async def detach() -> None:
            self._listeners = [each for each in self._listeners if not each.ended]
            if self._closed:  # so is its stage, or soon
                return
            # Its stage may have ended, or be frozen: this side is closed in any case.
            with contextlib.suppress(RemoteMediaError, TimeoutError):
                async with asyncio.timeout(DETACH_S):
                    await self._orders.give(stage, Detach(hand_id, node_id))

        try:
            if kind != "publish":
                edges.show(f"{hand_id}:{where}→", node_id, port)
            if kind != "tap":
                ports = self.node(node_id).inputs if kind == "publish" else ("",)
                edges.give(f"{hand_id}:→{where}", node_id, ports)
            await self._orders.give(stage, Attach(hand_id, kind, node_id, port, deadline_ms), edges)
            self._opened()  # what is attached as the session ends would never be closed
        except BaseException as error:
            edges.close()
            if isinstance(error, asyncio.CancelledError):  # its stage attaches it all the same
                detaching = asyncio.ensure_future(detach())
                self._detaching.add(detaching)
                detaching.add_done_callback(self._detaching.discard)
            raise
        return edges, detach

    def _scope(self, scope: str | None) -> frozenset[str]:
        if scope is not None:
            self.node(scope)
        return scope_of(self._plan, scope)

    def _from_the_sinks(self, stages: Iterable[RunningStage]) -> list[RunningStage]:
        return sorted(stages, key=lambda stage: self._ranks[stage.plan.id], reverse=True)

    def _take_back(
        self, places: Places, span: CancelledSpan, nodes: frozenset[str]
    ) -> Counter[str]:
        """Drop a span before the first stages and behind the last ones."""
        exits = [at for at, node in enumerate(places.exit_nodes) if node in nodes]
        return Counter(places.exits.take_back(span, exits)) + _discard_entering(places, span, nodes)


def _as_json(control: Control) -> dict[str, Any]:
    """A message as it travels; to whichever place, so that none takes what another cannot."""
    data = control.to_dict()
    try:
        json.dumps(data)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the metadata of a Control must be JSON: {error}") from error
    return data


def _discard_entering(places: Places, unwanted: Unwanted, nodes: frozenset[str]) -> Counter[str]:
    """Drop what waits to enter by some nodes and is not wanted any more; how many, by edge."""
    dropped: Counter[str] = Counter()
    for node_id, ingress in places.ingress.items():
        if node_id in nodes:
            dropped[ingress.sender.edge_id] += discard_waiting(ingress.sender, unwanted)
    return dropped
