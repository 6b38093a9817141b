"""What the relay before a replaceable worker keeps of the orders for its node.

Pure: no I/O, no clock. See `engine.executors.restarting`. Source: FR-008, FR-012.

Params and the state of a node go to the present worker, and are told each that follows it; so is
what a worker has not answered when it fails. Taps are the relay's own, since it knows which outputs
are given a second time.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from engine.errors import RemoteMediaError, UsageError
from engine.interruption import CancelledSpan
from engine.payloads import CancelSpeculation, Control
from engine.stage_hands import Tap
from engine.steering import ENABLED, Order, SetNodeState, SetParams, Tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.edges.contract import EdgeSender
    from engine.executors.relay_turns import RelayInput
    from engine.packet import Packet
    from engine.steering import Attach, NodeState


class RelaySteering:
    """The orders of one replaceable node.

    Attributes:
        open: number → order that no worker has answered.
        dropped: number of a `Tell` → what the relay itself has dropped for it, by edge.
    """

    def __init__(self, node_id: str) -> None:
        self.open: dict[int, Order] = {}
        self.dropped: dict[int, Counter[str]] = {}
        self._node_id = node_id
        self._params: dict[str, Any] = {}
        self._state: NodeState = ENABLED
        #: Hand → its output port and what shows it.
        self._taps: dict[str, tuple[str, Tap]] = {}

    def answered(
        self,
        number: int,
        outcome: Mapping[str, Any] | RemoteMediaError,
        inputs: Mapping[str, RelayInput],
    ) -> Mapping[str, Any] | RemoteMediaError | None:
        """The present worker has answered.

        Args:
            number: the order's.
            outcome: what the worker says.
            inputs: in edge → what is known of it.

        Returns:
            What the relay answers; None: nobody has asked.
        """
        order = self.open.pop(number, None)
        here = self.dropped.pop(number, Counter())
        if order is None or isinstance(outcome, RemoteMediaError):
            return None if order is None else outcome
        match order:
            case SetParams():
                for name in order.params:  # the last one said comes last, however it is spelled
                    self._params.pop(name, None)
                self._params |= order.params
                edge_seq = outcome["edge_seq"].items()
                return {
                    **outcome,
                    "edge_seq": {at: inputs[at].ordinal(seq) for at, seq in edge_seq},
                }
            case SetNodeState():
                self._state = order.state
            case Tell():
                return {"dropped": dict(here + Counter(outcome["dropped"]))}
        return outcome

    def for_next_worker(self) -> Iterator[tuple[int, Order]]:
        """What a new worker is told before it is given anything; 0 where nobody waits for it."""
        if self._params:
            yield 0, SetParams(self._node_id, dict(self._params))
        if self._state != ENABLED:
            yield 0, SetNodeState(self._node_id, self._state)
        yield from self.open.items()

    def tap(self, order: Attach, shows: EdgeSender, ports: Sequence[str]) -> None:
        """Attach a tap.

        Args:
            order: which port it listens at.
            shows: where it shows what leaves.
            ports: the output ports that something is connected to.

        Raises:
            UsageError: nothing is connected to the port, so that nothing of it comes here.
        """
        if order.port not in ports:
            raise UsageError(
                f"output {order.port!r} of node {self._node_id!r} is connected to nothing, and the"
                " node may be started again (restart): connect it, or tap another port",
                node_id=self._node_id,
            )
        self._taps[order.hand_id] = order.port, Tap(shows)

    def detach(self, hand_id: str) -> None:
        """Take a tap away; others are unknown here."""
        _, tap = self._taps.pop(hand_id, ("", None))
        if tap is not None:
            tap.on_completed()
            tap.flush()

    def show(self, port: str, packet: Packet) -> None:
        """Show an output that goes on to who listens at its port."""
        for listened, tap in self._taps.values():
            if listened == port:
                tap.on_next(packet)

    def flush(self) -> None:
        """Ring the doorbells."""
        for _, tap in self._taps.values():
            tap.flush()

    def end(self) -> None:
        """Nothing more comes."""
        for _, tap in self._taps.values():
            tap.on_completed()


def span_of(order: Tell) -> CancelledSpan | None:
    """What a control message takes back, if anything."""
    message = Control.from_dict(order.control).message
    if not isinstance(message, CancelSpeculation):
        return None
    return CancelledSpan(message.from_ns, message.to_ns, order.before_ns)
