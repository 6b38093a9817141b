"""Hands on a running session: taps, interceptions, publications, node states. Source: FR-012.

One task reads events and gives each tap and interception its own; taps give way where they are not
taken in time. The server answers a frame only where it is wrong, and takes frames in order: so an
order is followed by a question about a node that cannot be there, whose refusal says that the order
was carried out. Publications are not waited for; what is wrong with one is raised where the next
order is given, or at the end.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeAlias, TypeVar

import grpc

from engine.errors import (
    EdgeClosedError,
    NodeError,
    RemoteMediaError,
    TransportError,
    UsageError,
)
from engine.packet import NO_METADATA, Packet
from engine.wording import quoted
from protos.remotemedia.v1 import control_pb2
from remotemedia.client.exchange import Exchange
from remotemedia.client.failures import error_of_status
from remotemedia.client.packets import Incoming, buffer_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from types import TracebackType

    from engine.payloads import Payload
    from engine.steering import NodeState
    from remotemedia.client.client import Client

#: What a tap keeps for a reader that is slow; the oldest give way.
_KEPT_MAX: Final = 256
#: How long the server may take to carry out an order.
_CARRIED_OUT_S: Final = 10.0
#: How long the server may take to do what was asked for before we left.
_GOODBYE_S: Final = 10.0
#: How a call ends that nothing went wrong with: also when it is we who cancel it.
_ENDS: Final = (grpc.StatusCode.OK, grpc.StatusCode.CANCELLED)
_IN: Final = control_pb2.CONTROL_DIRECTION_IN
_OUT: Final = control_pb2.CONTROL_DIRECTION_OUT
_STATES: Final = {
    "enabled": control_pb2.NODE_STATE_ENABLED,
    "bypass": control_pb2.NODE_STATE_BYPASS,
    "disabled": control_pb2.NODE_STATE_DISABLED,
}

ItemT = TypeVar("ItemT")
_Exchange: TypeAlias = "Exchange[control_pb2.ControlFrame, control_pb2.ControlEvent]"


class _Shown(Generic[ItemT]):
    """What is shown of one output port. Iterate over it, or call `receive`.

    Attributes:
        node: the node.
        port: its output port; "": the default one.
        dropped: how many were given up, since they were not taken in time.
    """

    def __init__(self, hands: Hands, node: str, port: str) -> None:
        """Listen; the server has been told so."""
        self.node = node
        self.port = port
        self.dropped = 0
        self._hands = hands
        self._items: deque[ItemT] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self._error: RemoteMediaError | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def __aiter__(self) -> AsyncIterator[ItemT]:
        while (item := await self.receive()) is not None:
            yield item

    async def receive(self) -> ItemT | None:
        """The next one, or None once the session has ended, or this was closed.

        Raises:
            RemoteMediaError: the server refused to show it, or cannot be reached any more.

        A cancelled call loses nothing.
        """
        while not self._items:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._items.popleft()

    async def aclose(self) -> None:
        """Listen no more. A second call does nothing."""
        raise NotImplementedError

    def take(self, item: ItemT) -> None:
        """Add what the server sent."""
        if len(self._items) >= _KEPT_MAX:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        self._changed.set()

    def end(self, error: RemoteMediaError | None = None) -> None:
        """Nothing more comes."""
        self._ended = True
        self._error = self._error or error
        self._changed.set()

    def raise_refused(self) -> None:
        """Raise what the server said against it."""
        if self._error is not None:
            raise self._error


class RemoteTap(_Shown[Packet]):
    """What leaves a node, seen from outside."""

    async def aclose(self) -> None:
        """See `_Shown`."""
        await self._hands.unsubscribe(self)


class Question:
    """An output that waits for a decision. The first decision counts, if it comes in time.

    Attributes:
        packet: the output.
    """

    def __init__(self, hands: Hands, correlation_id: int, packet: Packet) -> None:
        self.packet = packet
        self._hands = hands
        self._correlation_id = correlation_id

    async def let_pass(self) -> None:
        """Let it go on as it is."""
        decision = control_pb2.InterceptDecision()
        getattr(decision, "pass").SetInParent()
        await self._decide(decision)

    async def replace(self, payload: Payload) -> None:
        """Let another payload go on in its place, with the same lineage and metadata.

        Raises:
            UsageError: it is no payload.
        """
        buffer = buffer_of(payload)
        await self._decide(control_pb2.InterceptDecision(replace=buffer))

    async def drop(self) -> None:
        """Let nothing go on in its place."""
        await self._decide(control_pb2.InterceptDecision(drop=control_pb2.Empty()))

    async def _decide(self, decision: control_pb2.InterceptDecision) -> None:
        reply = control_pb2.InterceptReply(correlation_id=self._correlation_id, decision=decision)
        await self._hands.write(control_pb2.ControlFrame(intercept_reply=reply))


class RemoteInterception(_Shown[Question]):
    """The outputs of one port, each of which goes on when somebody has decided about it."""

    async def aclose(self) -> None:
        """See `_Shown`; what waits passes."""
        await self._hands.remove_intercept(self)


class Hands:
    """Hands on one session. Use it as an async context manager.

    Attributes:
        session_id: the session.
        closed: how the session ended, once it has.
    """

    def __init__(
        self,
        open_call: Callable[[], grpc.aio.StreamStreamCall[Any, Any]],
        session_id: str,
        attach_id: str,
        client: Client,
    ) -> None:
        """Prepare; see `Client.attach`."""
        self.session_id = session_id
        self.closed: control_pb2.SessionClosed | None = None
        self._open_call = open_call
        self._attached: _Exchange | None = None
        self._attach_id = attach_id
        self._client = client
        self._incoming = Incoming(session_id)
        #: The server shows a port once; each tap of it gets all.
        self._taps: dict[tuple[str, str], list[RemoteTap]] = {}
        self._interceptions: dict[tuple[str, str], RemoteInterception] = {}
        self._errors: deque[RemoteMediaError] = deque(maxlen=_KEPT_MAX)
        #: A node that cannot be there → who waits for its refusal.
        self._questions: dict[str, asyncio.Future[None]] = {}
        self._asked = itertools.count()
        self._reading: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose(raises=kind is None)

    async def start(self) -> None:
        """Attach.

        Raises:
            UsageError: there is no such session.
            TransportError: the server cannot be reached, or refuses.
        """
        if self._attached is not None:
            raise UsageError("hands are attached once; attach others")
        self._attached = Exchange(self._open_call())
        hello = control_pb2.Hello(session_id=self.session_id, attach_id=self._attach_id)
        await self._attached.write(control_pb2.ControlFrame(hello=hello))
        event = await self._attached.read()
        if event is None:
            raise error_of_status(*await self._attached.status(), self._client.address)
        self.session_id = event.attached.session_id
        self._reading = asyncio.create_task(self._read())

    async def aclose(self, *, raises: bool = True) -> None:
        """Let go: what was asked for before is still done. A second call does nothing.

        Args:
            raises: whether errors are raised that nobody has been told of.

        Raises:
            RemoteMediaError: an order was refused.
        """
        reading, self._reading = self._reading, None
        if reading is None:
            if self._attached is not None:
                self._attached.cancel()
            return
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._exchange.finish()
                await asyncio.shield(reading)
        except TimeoutError:
            pass
        finally:
            self._exchange.cancel()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if raises:
            self._raise_refused()

    @property
    def _exchange(self) -> _Exchange:
        if self._attached is None:
            raise UsageError("attach first: async with client.attach(…) as hands")
        return self._attached

    # --- orders -----------------------------------------------------------------------------------

    async def tap(self, node: str, port: str = "") -> RemoteTap:
        """Listen to what leaves a node; see `Session.tap`.

        Args:
            node: the node.
            port: its output port; "": the default one.

        Returns:
            The tap, which misses nothing that leaves the node from now on.

        Raises:
            UsageError: there is no such node or port, or of two taps of the node one names its port
                and the other one does not: which one that is, only the server knows.
            EdgeClosedError: the session has ended, or the connection was lost.
        """
        if any(other == node and bool(name) != bool(port) for other, name in self._taps):
            raise UsageError(
                f"node {node!r} has taps with and without a port, which may be the same one: name"
                " the port of each"
            )
        tap = RemoteTap(self, node, port)
        self._taps.setdefault((node, port), []).append(tap)
        try:
            await self._order(subscribe=control_pb2.Subscribe(addr=_address(node, port, _OUT)))
        except BaseException:
            self._forget(tap)
            raise
        tap.raise_refused()
        return tap

    async def unsubscribe(self, tap: RemoteTap) -> None:
        """Listen no more; for `RemoteTap.aclose`."""
        if self._forget(tap):
            addr = _address(tap.node, tap.port, _OUT)
            await self._quietly(unsubscribe=control_pb2.Unsubscribe(addr=addr))
        tap.end()

    def _forget(self, tap: RemoteTap) -> bool:
        """Show a tap nothing more; whether it was the last one of its port."""
        key = (tap.node, tap.port)
        taps = self._taps.get(key, [])
        if tap not in taps:
            return False
        taps.remove(tap)
        if not taps:
            del self._taps[key]
        return not taps

    async def intercept(
        self, node: str, port: str = "", *, deadline_ms: int = 0
    ) -> RemoteInterception:
        """Decide about each output of a node before it goes on; see `Session.intercept`.

        An interception of the same port that was here before ends.

        Args:
            node: the node.
            port: its output port; "": the default one.
            deadline_ms: how long each may wait, on the server; 0: 50 ms.

        Raises:
            UsageError: there is no such node or port.
            EdgeClosedError: the session has ended, or the connection was lost.
        """
        before = self._interceptions.get((node, port))
        found = self._interceptions[node, port] = RemoteInterception(self, node, port)
        if before is not None:
            before.end()
        addr = _address(node, port, _OUT)
        await self._order(intercept=control_pb2.Intercept(addr=addr, deadline_ms=deadline_ms))
        found.raise_refused()
        return found

    async def remove_intercept(self, interception: RemoteInterception) -> None:
        """Decide no more; for `RemoteInterception.aclose`."""
        key = (interception.node, interception.port)
        if self._interceptions.get(key) is interception:
            del self._interceptions[key]
            addr = _address(*key, _OUT)
            await self._quietly(remove_intercept=control_pb2.RemoveIntercept(addr=addr))
        interception.end()

    async def publish(
        self,
        node: str,
        payload: Payload,
        port: str = "",
        *,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> None:
        """Give a node a packet beside those its inputs bring; see `Session.publish`.

        Args:
            node: the node.
            payload: what to give it; a Control goes past the data.
            port: its input port; "": the default one.
            metadata: strings that travel with it.

        Raises:
            UsageError: it is no payload.
        """
        buffer = buffer_of(payload, metadata)
        self._raise_refused()
        publication = control_pb2.Publish(addr=_address(node, port, _IN), data=buffer)
        await self.write(control_pb2.ControlFrame(publish=publication))

    async def set_node_state(self, node: str, state: NodeState) -> None:
        """Say what becomes of what comes to a node: "enabled", "bypass", "disabled".

        Raises:
            UsageError: there is no such state, or no such node.
            EdgeClosedError: the session has ended, or the connection was lost.
        """
        if state not in _STATES:
            known = ", ".join(_STATES)
            raise UsageError(f"a node's state is one of {known}, not {quoted(state)}")
        order = control_pb2.SetNodeState(node_id=node, state=_STATES[state])
        await self._order(set_node_state=order)

    async def clear_node_state(self, node: str) -> None:
        """Let a node process again; see `set_node_state`."""
        await self._order(clear_node_state=control_pb2.ClearNodeState(node_id=node))

    async def write(self, frame: control_pb2.ControlFrame) -> None:
        """Send a frame.

        Raises:
            EdgeClosedError: the session has ended, or the connection was lost.
        """
        writing = asyncio.ensure_future(self._write_now(frame))
        writing.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(writing)

    async def _write_now(self, frame: control_pb2.ControlFrame) -> None:
        async with self._writing:
            if not await self._exchange.write(frame):
                raise _over()

    async def _order(self, **op: object) -> None:
        """Send a frame and wait until it was carried out."""
        self._raise_refused()
        await self.write(control_pb2.ControlFrame(**op))  # type: ignore[arg-type]
        node = f"?{next(self._asked)}"
        carried_out = self._questions[node] = asyncio.get_running_loop().create_future()
        carried_out.add_done_callback(lambda future: future.cancelled() or future.exception())
        asking = control_pb2.Unsubscribe(addr=_address(node, "", _OUT))
        try:
            async with asyncio.timeout(_CARRIED_OUT_S):
                await self.write(control_pb2.ControlFrame(unsubscribe=asking))
                await carried_out
        except TimeoutError as error:
            raise TransportError(
                f"the server did not answer an order within {_CARRIED_OUT_S:g} s; it may still be"
                " carried out",
                address=self._client.address,
            ) from error
        self._raise_refused()

    async def _quietly(self, **op: object) -> None:
        if not self._exchange.is_over:
            try:
                await self.write(control_pb2.ControlFrame(**op))  # type: ignore[arg-type]
            except EdgeClosedError:
                return

    def _raise_refused(self) -> None:
        if self._errors:
            raise self._errors.popleft()

    # --- what the server sends --------------------------------------------------------------------

    async def _read(self) -> None:
        failure: RemoteMediaError | None = None
        try:
            while (event := await self._exchange.read()) is not None:
                self._take(event)
            code, details = await self._exchange.status()
            if code not in _ENDS:
                failure = error_of_status(code, details, self._client.address)
        except RemoteMediaError as error:
            failure = error
        finally:
            for carried_out in self._questions.values():
                if not carried_out.done():
                    carried_out.set_exception(failure or _over())
            for taps in self._taps.values():
                for tap in taps:
                    tap.end(failure)
            for interception in self._interceptions.values():
                interception.end(failure)

    def _take(self, event: control_pb2.ControlEvent) -> None:
        match event.WhichOneof("event"):
            case "tap":
                taps = self._taps.get(_key(event.tap.addr))
                if taps:
                    packet = self._incoming.packet(event.tap.addr.node_id, event.tap.data)
                    for tap in taps:
                        tap.take(packet)
            case "intercept_request":
                asked = event.intercept_request
                interception = self._interceptions.get(_key(asked.addr))
                if interception is not None:
                    packet = self._incoming.packet(interception.node, asked.data)
                    interception.take(Question(self, asked.correlation_id, packet))
            case "error":
                self._refused(event.error)
            case "session_closed":
                self.closed = event.session_closed

    def _refused(self, said: control_pb2.ErrorEvent) -> None:
        carried_out = self._questions.pop(said.addr.node_id, None)
        if carried_out is not None:
            if not carried_out.done():
                carried_out.set_result(None)
            return
        code = control_pb2.ControlErrorCode.Name(said.code).removeprefix("CONTROL_ERROR_CODE_")
        cls = NodeError if said.code == control_pb2.CONTROL_ERROR_CODE_INTERNAL else UsageError
        error = cls(said.message, code=code, node_id=said.addr.node_id)
        if said.addr.direction == _OUT:
            key = _key(said.addr)
            interception = self._interceptions.pop(key, None)
            refused = [interception] if interception is not None else self._taps.pop(key, [])
            for shown in refused:
                shown.end(error)
            if refused:
                return
        self._errors.append(error)


def _over() -> EdgeClosedError:
    return EdgeClosedError("the session has ended, or the connection was lost", edge="")


def _address(
    node: str, port: str, direction: control_pb2.ControlDirection
) -> control_pb2.ControlAddress:
    return control_pb2.ControlAddress(node_id=node, port=port, direction=direction)


def _key(addr: control_pb2.ControlAddress) -> tuple[str, str]:
    return addr.node_id, addr.port
