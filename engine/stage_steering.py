"""Applies a session's orders to the stages of one place. Pure: no I/O, no clock. Source: FR-012.

An order is applied between turns, never from within one: its caller sees to that.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_jsonable_python

from engine.context import ParamsChange
from engine.errors import RemoteMediaError, UsageError
from engine.payloads import Control
from engine.stage_ends import Entry
from engine.stage_hands import Interception, Tap
from engine.steering import Attach, Detach, ParamsTaken, SetNodeState, SetParams, Tell
from engine.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import BaseModel

    from engine.adapters import OperatorAdapter
    from engine.edges.contract import EdgeReceiver, EdgeSender
    from engine.outlet import Outlet
    from engine.stage import Stage
    from engine.steering import Order

    #: Told what an order's answer is: JSON, or why it was refused.
    Answered = Callable[[Mapping[str, Any] | RemoteMediaError], None]


def _nothing() -> None:
    """Ends on one loop have nothing to be closed."""


class HandEnds(NamedTuple):
    """A stage's ends of the edges between it and the session that a hand needs.

    Attributes:
        shows: leads to the session; None: the hand shows nothing.
        gives: comes from there; None: it takes nothing.
        dispose: closes both.
    """

    shows: EdgeSender | None = None
    gives: EdgeReceiver | None = None
    dispose: Callable[[], None] = _nothing


class _Hand(NamedTuple):
    """A hand that is attached: what takes it away, and is told when to call back; its ends."""

    detach: Callable[[Callable[[], None]], None]
    ends: HandEnds


class StageSteering:
    """The orders of the stages of one place."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        """Steer stages that run on the calling loop."""
        self._stages = tuple(stages)
        self._hands: dict[str, _Hand] = {}

    def apply(self, order: Order, ends: HandEnds, answered: Answered) -> None:
        """Apply an order.

        Args:
            order: for nodes of these stages.
            ends: of the edges that an `Attach` brings.
            answered: told once, now or when it has taken effect.
        """
        try:
            match order:
                case SetParams():
                    self._set_params(order, answered)
                    return
                case SetNodeState():
                    _, adapter = self._node(order.node_id)
                    adapter.set_state(order.state)
                    answered({})
                case Tell():
                    answered({"dropped": self._tell(order)})
                case Attach():
                    self._attach(order, ends)
                    answered({})
                case Detach():
                    self._detach(order, answered)
        except RemoteMediaError as error:
            ends.dispose()
            answered(error)

    def _node(self, node_id: str) -> tuple[Stage, OperatorAdapter]:
        known = {adapter.node_id: (s, adapter) for s in self._stages for adapter in s.adapters}
        if node_id not in known:
            raise UsageError(f"there is no node {node_id!r} here", node_id=node_id)
        return known[node_id]

    def _set_params(self, order: SetParams, answered: Answered) -> None:
        stage, adapter = self._node(order.node_id)

        def done(outcome: BaseModel | RemoteMediaError) -> None:
            if isinstance(outcome, RemoteMediaError):
                answered(outcome)
                return
            answered(ParamsTaken(_as_json(outcome), stage.taken()).to_dict())

        if not stage.post(adapter, ParamsChange(order.params, done)):
            answered(_ended(order.node_id))

    def _tell(self, order: Tell) -> dict[str, int]:
        dropped: Counter[str] = Counter()
        control = Control.from_dict(order.control)
        nodes = frozenset(order.node_ids)
        for stage in reversed(self._stages):  # from the sinks upward
            if not stage.done:
                dropped += stage.tell(control, nodes, order.before_ns)
        return dict(dropped)

    def _attach(self, order: Attach, ends: HandEnds) -> None:
        stage, adapter = self._node(order.node_id)
        if stage.done or adapter.completed:
            raise _ended(order.node_id)
        shows, gives, _ = ends
        if order.kind == "publish":
            assert gives is not None
            if adapter.takes_no_more:
                raise _ended(order.node_id)
            entry = Entry(gives, adapter, adapter.operator.inputs, fed=True)
            stage.add_feed(entry)
            self._hands[order.hand_id] = _Hand(_at_once(gives.close), ends)
            return
        assert shows is not None
        outlet = adapter.outlets.get(order.port)
        if outlet is None:
            hint = suggestion(order.port, adapter.outlets, "output ports")
            raise UsageError(f"node {order.node_id!r} has no output port {order.port!r}{hint}")
        if order.kind == "tap":
            tap = Tap(shows)
            outlet.tap(tap)
            stage.add_tap(tap)
            take_away = _at_once(lambda: _take_away(stage, outlet, tap))
            self._hands[order.hand_id] = _Hand(take_away, ends)
            return
        assert gives is not None
        if outlet.guarded:
            raise UsageError(
                f"output {order.port!r} of node {order.node_id!r} is intercepted already; close the"
                " other interception first; if it is, what it held waits for room behind the node",
                node_id=order.node_id,
            )
        deadline_ns = round(order.deadline_ms * 1e6)
        gate = Interception(stage, adapter, outlet, (shows, gives), deadline_ns)
        stage.add_gate(gate)
        self._hands[order.hand_id] = _Hand(gate.detach, ends)

    def _detach(self, order: Detach, answered: Answered) -> None:
        hand = self._hands.pop(order.hand_id, None)
        if hand is None:
            answered({})
            return
        hand.detach(lambda: answered({}))
        hand.ends.dispose()


def _as_json(params: BaseModel) -> dict[str, Any]:
    """Params as JSON; as text where they have no such form."""

    def told(value: Any) -> Any:
        try:
            return to_jsonable_python(value, fallback=repr)
        except ValueError:  # such as bytes that are no text
            return repr(value)

    values = told(params)
    return values if isinstance(values, dict) else {name: told(value) for name, value in params}


def _at_once(detach: Callable[[], None]) -> Callable[[Callable[[], None]], None]:
    def detach_and_tell(over: Callable[[], None]) -> None:
        detach()
        over()

    return detach_and_tell


def _take_away(stage: Stage, outlet: Outlet, tap: Tap) -> None:
    outlet.untap(tap)
    stage.remove_tap(tap)
    tap.on_completed()
    tap.flush()


def _ended(node_id: str) -> UsageError:
    return UsageError(f"node {node_id!r} has ended", node_id=node_id)
