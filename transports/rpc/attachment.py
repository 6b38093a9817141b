"""One client attached to a session: its taps, interceptions, and what it publishes. Source: FR-012.

Frames are done in their order, apart from the reader, so that a reply to a question never waits
behind an order that a busy node has not answered; what is published waits apart, too, since it may
have to wait for room.

    socket ─▶ _read ─▶ _frames ─▶ _work ─▶ _published ─▶ _publish ─▶ session
                  └─ replies ────▶ session
    session ─▶ _show, _ask (one per hand) ─▶ outbox ─▶ socket

Whatever ends it takes its hands away: taps and interceptions. The states it gave nodes stay, as
they are the session's.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from engine.payloads import Control, kind_of
from protos.remotemedia.v1 import common_pb2, control_pb2
from transports.rpc.control_faults import (
    IN,
    OUT,
    ControlFaultError,
    fault_of,
    node_of,
    port_of,
    protocol_fault,
)
from transports.rpc.control_outbox import ControlOutbox
from transports.rpc.conversion.buffers import fill, receive
from transports.rpc.inbox import Inbox
from transports.rpc.malformed import MALFORMED

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from engine.packet import Packet
    from engine.payloads import Payload
    from engine.session.hands import Interception, Listener, Request, Tap
    from engine.steering import NodeState
    from transports.rpc.service import Context, PipelineService
    from transports.rpc.sessions import LiveSession

logger = logging.getLogger("remotemedia.rpc")

#: How long a decision is waited for where the client does not say.
_DEADLINE_MS: Final = 50
#: Frames, and then publications, that may wait.
_FRAMES_MAX: Final = 64
_FRAME_BYTES_MAX: Final = 4 << 20
#: How long the last taps of a session may take to come, in seconds.
_LAST_TAPS_S: Final = 1.0
#: How long a client may take to read what waits for it at the end, in seconds.
_GOODBYE_S: Final = 10.0
_STATES: Final[dict[int, NodeState]] = {
    control_pb2.NODE_STATE_ENABLED: "enabled",
    control_pb2.NODE_STATE_BYPASS: "bypass",
    control_pb2.NODE_STATE_DISABLED: "disabled",
}

#: Node and port.
_Address: TypeAlias = tuple[str, str]


class Attachment:
    """One client's hands on one session."""

    def __init__(self, service: PipelineService, context: Context, live: LiveSession) -> None:
        """Prepare; nothing is attached yet.

        Args:
            service: what all services share.
            context: the call.
            live: the session.
        """
        self._service = service
        self._context = context
        self._live = live
        self._session = live.session
        self._rules = service.limits.for_call(common_pb2.ResourceLimits()).rules
        self._outbox = ControlOutbox()
        #: Frames that wait for those before them; None: the client sends no more.
        self._frames: Inbox[control_pb2.ControlFrame | None] = Inbox(_FRAMES_MAX, _FRAME_BYTES_MAX)
        self._published: Inbox[control_pb2.Publish | None] = Inbox(_FRAMES_MAX, _FRAME_BYTES_MAX)
        self._taps: dict[_Address, _Hand] = {}
        self._interceptions: dict[_Address, _Hand] = {}
        #: Number of a question → the request, and what forgets it when no answer counts any more.
        self._questions: dict[int, tuple[Request, asyncio.TimerHandle]] = {}
        self._asked = 0
        self._loop = asyncio.get_running_loop()

    async def run(self, attach_id: str) -> None:
        """Serve it until the client leaves, or the session has ended.

        A client that does not read what waits for it then is given up: the call's status says so.

        Args:
            attach_id: what the client calls it.
        """
        attached = control_pb2.Attached(session_id=self._live.id, attach_id=attach_id)
        await self._outbox.put(control_pb2.ControlEvent(attached=attached))
        facts = {"session_id": self._live.id, "attach_id": attach_id[:100]}
        logger.info("attached", extra=facts)
        writing = asyncio.create_task(self._outbox.run(self._write))
        listening = asyncio.create_task(self._listen())
        ending = asyncio.create_task(self._live.ended.wait())
        try:
            await asyncio.wait({writing, listening, ending}, return_when=asyncio.FIRST_COMPLETED)
            goodbye_s = self._loop.time() + _GOODBYE_S
            if ending.done():
                async with asyncio.timeout_at(goodbye_s):
                    await self._say_closed()
            await self._let_go()
            self._outbox.finish()
            async with asyncio.timeout_at(goodbye_s):
                await writing
        except TimeoutError:
            # Not `abort`, which waits until what was written before it has been read.
            self._context.set_code(grpc.StatusCode.ABORTED)
            self._context.set_details(
                f"what waited for this client was not read within {_GOODBYE_S:g} s"
            )
        except Exception as error:  # noqa: BLE001 - nobody reads, whatever the transport calls that
            logger.debug("attached_client_gone", extra={**facts, "reason": str(error)})
        finally:
            for task in (writing, listening, ending):
                task.cancel()
            await asyncio.gather(writing, listening, ending, return_exceptions=True)
            await self._let_go()
            self._outbox.clear()
            logger.info("detached", extra={**facts, "taps_dropped": self._outbox.dropped})

    async def _write(self, event: control_pb2.ControlEvent) -> None:
        await self._context.write(event)

    async def _say_closed(self) -> None:
        """Say that the session has ended, behind its last taps."""
        pumps = [hand.pump for hand in (*self._taps.values(), *self._interceptions.values())]
        if pumps:
            await asyncio.wait(pumps, timeout=_LAST_TAPS_S)
        error = self._live.error
        reason = control_pb2.CLOSE_REASON_CODE_NORMAL
        detail = "the session has ended"
        if error is not None:
            reason = control_pb2.CLOSE_REASON_CODE_ERROR
            # Our own errors' texts are for clients; of others they might say too much.
            detail = getattr(error, "message", "") or type(error).__name__
        closed = control_pb2.SessionClosed(reason=reason, detail=detail)
        await self._outbox.put(control_pb2.ControlEvent(session_closed=closed))

    async def _let_go(self) -> None:
        """Take all hands away."""
        hands = [*self._taps.values(), *self._interceptions.values()]
        self._taps.clear()
        self._interceptions.clear()
        for _, forgetting in self._questions.values():
            forgetting.cancel()
        self._questions.clear()
        await asyncio.gather(*(hand.aclose() for hand in hands), return_exceptions=True)

    # --- frames -----------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Do what the client asks for, until it asks for nothing more and all is done."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            group.create_task(self._work())
            group.create_task(self._publish_all())

    async def _read(self) -> None:
        while True:
            try:
                frame = await self._context.read()
            except DecodeError:
                await self._tell(protocol_fault(MALFORMED), None)
                continue
            if frame is grpc.aio.EOF:
                await self._frames.put(None, 0)
                return
            if frame.WhichOneof("op") == "intercept_reply":
                await self._try(self._reply(frame.intercept_reply), None)
            else:
                await self._frames.put(frame, frame.ByteSize())

    async def _work(self) -> None:
        while (frame := await self._frames.get()) is not None:
            op = frame.WhichOneof("op")
            body = getattr(frame, op) if op is not None else None
            address = getattr(body, "addr", None)
            await self._try(self._do(op, body), address)
        await self._published.put(None, 0)

    async def _try(
        self, doing: Coroutine[Any, Any, None], address: control_pb2.ControlAddress | None
    ) -> None:
        """Do something; tell the client what is wrong with it."""
        try:
            await doing
        except Exception as error:
            fault = fault_of(error)
            if fault.code == control_pb2.CONTROL_ERROR_CODE_INTERNAL:
                logger.exception("control_failed", extra={"session_id": self._live.id})
            await self._tell(fault, address)

    async def _tell(
        self, fault: ControlFaultError, address: control_pb2.ControlAddress | None
    ) -> None:
        event = control_pb2.ErrorEvent(code=fault.code, message=fault.message, addr=address)
        await self._outbox.put(control_pb2.ControlEvent(error=event))

    async def _do(self, op: str | None, body: Any) -> None:
        match op:
            case "subscribe":
                await self._subscribe(body.addr)
            case "unsubscribe":
                await self._unsubscribe(body.addr)
            case "publish":
                port_of(self._live.plan, body.addr, IN)
                await self._published.put(body, body.ByteSize())
            case "intercept":
                await self._intercept(body.addr, body.deadline_ms or _DEADLINE_MS)
            case "remove_intercept":
                await self._remove_intercept(body.addr)
            case "set_node_state":
                await self._set_state(body.node_id, body.state)
            case "clear_node_state":
                await self._set_state(body.node_id, control_pb2.NODE_STATE_ENABLED)
            case "hello":
                raise protocol_fault("Hello was sent before: an attachment has one")
            case _:
                raise protocol_fault("the ControlFrame is empty: set subscribe, publish, …")

    async def _set_state(self, node_id: str, state: int) -> None:
        node_of(self._live.plan, node_id)
        if state not in _STATES:
            raise protocol_fault(
                f"there is no node state {state}; there are ENABLED (1), BYPASS (2), DISABLED (3)"
            )
        await self._session.set_node_state(node_id, _STATES[state])

    # --- taps -------------------------------------------------------------------------------------

    async def _subscribe(self, addr: control_pb2.ControlAddress) -> None:
        """Show an output; a second time changes nothing."""
        port = port_of(self._live.plan, addr, OUT)
        address = (addr.node_id, port)
        before = self._taps.get(address)
        if before is not None and not before.listener.ended:
            return
        tap = await self._session.tap(*address)
        self._taps[address] = _Hand(tap, self._show(tap, _named(addr)))

    async def _unsubscribe(self, addr: control_pb2.ControlAddress) -> None:
        """Show it no more; one that is not shown is none."""
        address = (addr.node_id, port_of(self._live.plan, addr, OUT))
        hand = self._taps.pop(address, None)
        if hand is not None:
            await hand.aclose()
            self._outbox.forget_taps(address)

    async def _show(self, tap: Tap, addr: control_pb2.ControlAddress) -> None:
        address = (tap.node, tap.port)
        while (packet := await tap.receive()) is not None:
            event = control_pb2.ControlEvent()
            event.tap.addr.CopyFrom(addr)
            if await self._filled(event.tap.data, packet, addr):
                self._outbox.put_tap(address, event)

    async def _filled(
        self,
        buffer: common_pb2.DataBuffer,
        packet: Packet,
        addr: control_pb2.ControlAddress,
    ) -> bool:
        """Convert an output; False: the wire cannot say it, and the client is told so."""
        try:
            fill(buffer, packet)
        except (ValueError, TypeError) as error:
            fault = protocol_fault(f"an output of {addr.node_id!r} cannot be shown: {error}")
            await self._tell(fault, addr)
            return False
        return True

    # --- interceptions ----------------------------------------------------------------------------

    async def _intercept(self, addr: control_pb2.ControlAddress, deadline_ms: int) -> None:
        """Ask about an output; a second time with another deadline, from now on."""
        address = (addr.node_id, port_of(self._live.plan, addr, OUT))
        before = self._interceptions.pop(address, None)
        if before is not None:
            await before.aclose()
        interception = await self._session.intercept(*address, deadline_ms=deadline_ms)
        asking = self._ask(interception, _named(addr), deadline_ms / 1e3)
        self._interceptions[address] = _Hand(interception, asking)

    async def _remove_intercept(self, addr: control_pb2.ControlAddress) -> None:
        address = (addr.node_id, port_of(self._live.plan, addr, OUT))
        hand = self._interceptions.pop(address, None)
        if hand is not None:
            await hand.aclose()

    async def _ask(
        self, interception: Interception, addr: control_pb2.ControlAddress, deadline_s: float
    ) -> None:
        while (request := await interception.receive()) is not None:
            self._asked += 1
            event = control_pb2.ControlEvent()
            question = event.intercept_request
            question.correlation_id = self._asked
            question.addr.CopyFrom(addr)
            if not await self._filled(question.data, request.packet, addr):
                request.let_pass()
                continue
            until_s = self._loop.time() + deadline_s
            try:
                async with asyncio.timeout_at(until_s):
                    await self._outbox.put(event)
            except TimeoutError:
                continue  # it has passed: there is nothing to ask any more
            # Kept, with what it holds, as long as an answer counts.
            forgetting = self._loop.call_at(until_s, self._forget, self._asked, event)
            self._questions[self._asked] = (request, forgetting)

    def _forget(self, number: int, event: control_pb2.ControlEvent) -> None:
        self._questions.pop(number, None)
        self._outbox.take_back(event)

    async def _reply(self, reply: control_pb2.InterceptReply) -> None:
        number = reply.correlation_id
        if not 0 < number <= self._asked:
            raise protocol_fault(f"nothing was asked with the correlation_id {number}")
        decision = reply.decision.WhichOneof("decision")
        if decision is None:
            raise protocol_fault("the InterceptDecision is empty: set pass, replace or drop")
        payload: Payload | None = None
        if decision == "replace":
            payload = receive(reply.decision.replace, self._rules).payload
        if number not in self._questions:
            return  # too late, or answered before: the first decision counts
        request, forgetting = self._questions.pop(number)
        forgetting.cancel()
        if payload is not None:
            request.replace(payload)
        elif decision == "drop":
            request.drop()
        else:
            request.let_pass()

    # --- publications -----------------------------------------------------------------------------

    async def _publish_all(self) -> None:
        while (publication := await self._published.get()) is not None:
            await self._try(self._publish(publication), publication.addr)

    async def _publish(self, publication: control_pb2.Publish) -> None:
        port = port_of(self._live.plan, publication.addr, IN)
        node = node_of(self._live.plan, publication.addr.node_id)
        received = receive(publication.data, self._rules)
        if isinstance(received.payload, Control):
            await self._session.control(received.payload, node.id)
            return
        self._check_kind(node.node_type, received.payload)
        await self._session.publish(
            node.id,
            received.payload,
            port=port,
            timestamp_ns=received.timestamp_ns,
            metadata=received.metadata,
        )

    def _check_kind(self, node_type: str, payload: Payload) -> None:
        """Refuse what would fail the session."""
        spec = self._service.registry.get(node_type)
        if spec is None or not spec.cls.strict or spec.cls.accepts is None:
            return
        if kind_of(payload) not in spec.cls.accepts:
            taken = " and ".join(sorted(spec.cls.accepts))
            raise protocol_fault(f"{node_type} takes {taken}, got {kind_of(payload)}")


class _Hand:
    """A tap or an interception, and the task that hands on what it shows."""

    def __init__(self, listener: Listener, pumping: Coroutine[Any, Any, None]) -> None:
        self.listener = listener
        self.pump = asyncio.create_task(pumping)

    async def aclose(self) -> None:
        """Take it away; nothing of it is handed on any more."""
        self.pump.cancel()
        await asyncio.gather(self.pump, return_exceptions=True)
        await self.listener.aclose()


def _named(addr: control_pb2.ControlAddress) -> control_pb2.ControlAddress:
    """An address as events name it: as the client wrote it, which it looks for."""
    named = control_pb2.ControlAddress()
    named.CopyFrom(addr)
    named.direction = OUT
    return named
