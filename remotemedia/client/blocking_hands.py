"""Hands on a running session without a loop, see `remotemedia.client.hands`; each method waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from engine.packet import NO_METADATA
from engine.session.blocking_hands import BlockingHand, BlockingTap
from remotemedia.client.hands import RemoteInterception

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from engine.payloads import Payload
    from engine.session.blocking import LoopThread
    from engine.steering import NodeState
    from protos.remotemedia.v1 import control_pb2
    from remotemedia.client.hands import Hands, Question


class BlockingHands:
    """Hands on one session. Use it as a context manager; see `Hands`."""

    def __init__(self, hands: Hands, thread: LoopThread) -> None:
        """Take over hands that are not attached; see `BlockingClient.attach`."""
        self._hands = hands
        self._thread = thread

    def __enter__(self) -> Self:
        self._thread.call(self._hands.start)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close(raises=kind is None)

    @property
    def session_id(self) -> str:
        """See `Hands`."""
        return self._hands.session_id

    @property
    def closed(self) -> control_pb2.SessionClosed | None:
        """See `Hands`."""
        return self._hands.closed

    def close(self) -> None:
        """See `Hands.aclose`."""
        self._close(raises=True)

    def _close(self, *, raises: bool) -> None:
        async def close() -> None:
            await self._hands.aclose(raises=raises)

        if self._thread.is_running:
            self._thread.complete(close)

    def tap(self, node: str, port: str = "") -> BlockingTap:
        """See `Hands.tap`."""
        return BlockingTap(self._thread.call(self._hands.tap, node, port), self._thread)

    def intercept(
        self, node: str, port: str = "", *, deadline_ms: int = 0
    ) -> BlockingRemoteInterception:
        """See `Hands.intercept`."""
        found = self._thread.call(self._hands.intercept, node, port, deadline_ms=deadline_ms)
        return BlockingRemoteInterception(found, self._thread)

    def publish(
        self,
        node: str,
        payload: Payload,
        port: str = "",
        *,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> None:
        """See `Hands.publish`."""
        self._thread.call(self._hands.publish, node, payload, port, metadata=metadata)

    def set_node_state(self, node: str, state: NodeState) -> None:
        """See `Hands.set_node_state`."""
        self._thread.call(self._hands.set_node_state, node, state)

    def clear_node_state(self, node: str) -> None:
        """See `Hands.clear_node_state`."""
        self._thread.call(self._hands.clear_node_state, node)


class BlockingRemoteInterception(BlockingHand[RemoteInterception]):
    """See `RemoteInterception`."""

    def receive(self) -> BlockingQuestion | None:
        """See `RemoteInterception.receive`."""
        question: Question | None = self._call(self._hand.receive)
        return None if question is None else BlockingQuestion(question, self._thread.call)

    def __iter__(self) -> Iterator[BlockingQuestion]:
        while (question := self.receive()) is not None:
            yield question


class BlockingQuestion:
    """See `Question`.

    Attributes:
        packet: the output.
    """

    def __init__(self, question: Question, call: Callable[..., Any]) -> None:
        """Decide on the client's loop."""
        self.packet = question.packet
        self._question = question
        self._call = call

    def let_pass(self) -> None:
        """See `Question.let_pass`."""
        self._call(self._question.let_pass)

    def replace(self, payload: Payload) -> None:
        """See `Question.replace`."""
        self._call(self._question.replace, payload)

    def drop(self) -> None:
        """See `Question.drop`."""
        self._call(self._question.drop)
