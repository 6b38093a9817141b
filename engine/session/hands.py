"""Hands on a running session: who listens to a node's outputs, decides about them, or feeds a node.

Source: FR-012. The stage's side is `engine.stage_hands`; in between are edges made for each hand.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Self

from engine.errors import EdgeError, UsageError
from engine.interruption import is_stale, older_than
from engine.packet import Origin, Packet
from engine.payloads import PAYLOAD_TYPES, Binary
from engine.session.inputs import not_an_input
from engine.session.wiring import INGRESS
from engine.steering import DECISION_KEY, DROP, GO_ON, REPLACE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from types import TracebackType

    from engine.payloads import Payload
    from engine.session.hand_edges import HandEdges
    from engine.steering import Decision

logger = logging.getLogger("remotemedia.session")


class Listener:
    """What is shown of one output port, as it comes. Iterate over it, or call `receive`.

    It ends with the node, with the session, and when it is closed. Nothing is lost with it: a
    session closes what is still open.

    Attributes:
        node: the node.
        port: its output port.
    """

    def __init__(
        self, node: str, port: str, edges: HandEdges, detach: Callable[[], Awaitable[None]]
    ) -> None:
        """Listen to a port whose stage has been told so.

        Args:
            node: the node.
            port: its output port.
            edges: what shows it.
            detach: has the stage take the hand away.
        """
        assert edges.receiver is not None
        self.node = node
        self.port = port
        self._edges = edges
        self._receiver = edges.receiver
        self._receiver.on_readable = self._notify
        self._detach = detach
        self._changed = asyncio.Event()
        self._stale_below = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def dropped(self) -> int:
        """How many outputs were not shown, since what had been shown was not taken in time."""
        return self._edges.refused

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        receiver = self._receiver
        return self._closed or receiver.ended or receiver.error is not None

    async def aclose(self) -> None:
        """Listen no more. A second call does nothing."""
        if not self._closed:
            self.close()
            await self._detach()

    def close(self) -> None:
        """Close this side only: the stage is gone, or will see it. A second call does nothing."""
        self._closed = True
        self._edges.close()
        self._changed.set()

    def interrupt(self, generation: int) -> None:
        """Show nothing older from now on."""
        self._stale_below = generation

    def _take(self) -> Packet | None:
        item = None if self._closed else self._receiver.try_receive()
        if item is None:
            return None
        self._receiver.release()
        self._receiver.flush()
        assert isinstance(item, Packet)
        return item

    def _is_stale(self, packet: Packet) -> bool:
        return is_stale(packet.origin, self._stale_below)

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()


class Tap(Listener):
    """What leaves a node by an output port, seen from outside; never holds the node up.

    A packet that comes behind some that were not shown has FLAG_GAP.
    """

    async def __aiter__(self) -> AsyncIterator[Packet]:
        while (packet := await self.receive()) is not None:
            yield packet

    async def receive(self) -> Packet | None:
        """The next output, or None once nothing more comes. A cancelled call loses nothing."""
        while True:
            packet = self.receive_nowait()
            if packet is not None or self.ended:
                return packet
            await self._wait()

    def receive_nowait(self) -> Packet | None:
        """The next output, or None if there is none now."""
        while (packet := self._take()) is not None:
            if not self._is_stale(packet):
                return packet
        return None

    def interrupt(self, generation: int) -> None:
        """See `Listener`; what has come and is older goes at once."""
        super().interrupt(generation)
        self._receiver.discard(older_than(generation))


class Request:
    """An output that waits for a decision. The first decision counts, if it comes in time.

    Attributes:
        packet: the output.
    """

    def __init__(self, packet: Packet, decide: Callable[[Decision, Payload | None], None]) -> None:
        self.packet = packet
        self._decide = decide

    def let_pass(self) -> None:
        """Let it go on as it is."""
        self._decide(GO_ON, None)

    def replace(self, payload: Payload) -> None:
        """Let another payload go on in its place, with the same lineage and metadata.

        Raises:
            UsageError: it is no payload.
            EdgeError: it cannot cross to the node's process; nothing has been decided.
        """
        if type(payload) not in PAYLOAD_TYPES:
            raise UsageError(not_an_input(payload))
        self._decide(REPLACE, payload)

    def drop(self) -> None:
        """Let nothing go on in its place."""
        self._decide(DROP, None)


class Interception(Listener):
    """The outputs of one port, each of which goes on when somebody has decided about it.

    Iterate over it for `Request`s. What is not decided about in time passes.
    """

    def __init__(
        self, node: str, port: str, edges: HandEdges, detach: Callable[[], Awaitable[None]]
    ) -> None:
        """Intercept a port; see `Listener`."""
        super().__init__(node, port, edges, detach)
        assert edges.sender is not None
        self._sender = edges.sender
        self._sender.on_credit = self._go_on
        self._waiting: deque[Packet] = deque()
        self._requests = 0

    async def __aiter__(self) -> AsyncIterator[Request]:
        while (request := await self.receive()) is not None:
            yield request

    async def receive(self) -> Request | None:
        """The next output to decide about, or None once nothing more comes."""
        while True:
            request = self.receive_nowait()
            if request is not None or self.ended:
                return request
            await self._wait()

    def receive_nowait(self) -> Request | None:
        """The next output to decide about, or None if there is none now."""
        while (packet := self._take()) is not None:
            decide = partial(self._decide, self._requests)
            self._requests += 1
            if not self._is_stale(packet):
                return Request(packet, decide)
        return None

    def _decide(self, number: int, decision: Decision, payload: Payload | None) -> None:
        if self._closed:
            return
        origin = Origin("", number, 0, 0, metadata={DECISION_KEY: decision})
        carried = Binary(b"") if payload is None else payload
        self._waiting.append(Packet(carried, INGRESS, "", 0, origin))
        self._send()

    def _send(self) -> None:
        while self._waiting:
            try:
                if not self._sender.try_send(self._waiting[0]):
                    break
            except EdgeError:
                self._waiting.popleft()
                raise
            self._waiting.popleft()
        self._sender.flush()

    def _go_on(self) -> None:
        """There is room again for what was decided."""
        try:
            self._send()
        except EdgeError as error:  # its packet passes when its time is over
            logger.warning("decision_lost: %s", error.message, extra={"node_id": self.node})
