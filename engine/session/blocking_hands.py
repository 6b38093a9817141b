"""Hands on a session without a loop, see `engine.session.hands`; each method waits.

Those on a session elsewhere are handled alike: see `remotemedia.client.blocking_hands`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from engine.session.hands import Interception

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import TracebackType

    from engine.packet import Packet
    from engine.payloads import Payload
    from engine.session.blocking import LoopThread
    from engine.session.hands import Request


class Showing(Protocol):
    """What shows the outputs of one port, until it is closed."""

    @property
    def node(self) -> str:
        """The node."""

    @property
    def port(self) -> str:
        """Its output port."""

    @property
    def dropped(self) -> int:
        """How many were given up, since they were not taken in time."""

    async def receive(self) -> Any:
        """The next one, or None once nothing more comes."""

    async def aclose(self) -> None:
        """Show no more."""


class ShowingPackets(Showing, Protocol):
    """A tap, here or elsewhere."""

    async def receive(self) -> Packet | None:
        """The next output, or None once nothing more comes."""


HandT = TypeVar("HandT", bound=Showing)


class BlockingHand(Generic[HandT]):
    """A hand whose methods wait. Use it as a context manager, or close it."""

    def __init__(self, hand: HandT, thread: LoopThread) -> None:
        """Take over a hand that is served on a thread of its own."""
        self._hand = hand
        self._thread = thread

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def node(self) -> str:
        """The node."""
        return self._hand.node

    @property
    def port(self) -> str:
        """Its output port."""
        return self._hand.port

    @property
    def dropped(self) -> int:
        """How many were given up, since they were not taken in time."""
        return self._hand.dropped

    def close(self) -> None:
        """Show no more; once the session is closed there is nothing left to close."""
        if self._thread.is_running:
            self._thread.complete(self._hand.aclose)

    def _on_loop(self, act: Callable[[], None]) -> None:
        async def do() -> None:
            act()

        if self._thread.is_running:  # else there is nothing left to decide about
            self._thread.call(do)

    def _call(self, function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return self._thread.call(function) if self._thread.is_running else None


class BlockingTap(BlockingHand[ShowingPackets]):
    """See `Tap`."""

    def receive(self) -> Packet | None:
        """The next output, or None once nothing more comes."""
        packet: Packet | None = self._call(self._hand.receive)
        return packet

    def __iter__(self) -> Iterator[Packet]:
        while (packet := self.receive()) is not None:
            yield packet


class BlockingInterception(BlockingHand[Interception]):
    """See `Interception`."""

    def receive(self) -> BlockingRequest | None:
        """The next output to decide about, or None once nothing more comes."""
        request: Request | None = self._call(self._hand.receive)
        return None if request is None else BlockingRequest(request, self._on_loop)

    def __iter__(self) -> Iterator[BlockingRequest]:
        while (request := self.receive()) is not None:
            yield request


class BlockingRequest:
    """See `Request`.

    Attributes:
        packet: the output.
    """

    def __init__(self, request: Request, on_loop: Callable[[Callable[[], None]], None]) -> None:
        """Decide on the session's loop."""
        self.packet = request.packet
        self._request = request
        self._on_loop = on_loop

    def let_pass(self) -> None:
        """See `Request.let_pass`."""
        self._on_loop(self._request.let_pass)

    def replace(self, payload: Payload) -> None:
        """See `Request.replace`."""
        self._on_loop(lambda: self._request.replace(payload))

    def drop(self) -> None:
        """See `Request.drop`."""
        self._on_loop(self._request.drop)
