"""A session for code without an event loop: its loop runs in a thread of its own. Source: US1."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Iterator,
    Mapping,
)
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from engine.errors import UsageError
from engine.packet import NO_METADATA
from engine.session.inputs import checked_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from engine.observe.statistics import SessionStatistics
    from engine.packet import Packet
    from engine.payloads import Payload
    from engine.session.inputs import Input
    from engine.session.session import Session

T = TypeVar("T")
P = ParamSpec("P")


class LoopThread:
    """An event loop in a thread, which other threads give coroutines to. A context manager."""

    def __init__(self, name: str) -> None:
        """Make it; `__enter__` starts the thread.

        Args:
            name: the thread's.
        """
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=self._serve, args=(started,), name=self._name, daemon=True
        )
        self._thread.start()
        self._loop = started.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End what still runs on the loop, and the thread. A second call does nothing."""
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()

    @property
    def is_running(self) -> bool:
        """Whether it can be given something to do."""
        return self._thread is not None

    def call(
        self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a coroutine function on the loop and wait for it; interrupted, it is cancelled.

        Raises:
            UsageError: this is the loop's own thread, which cannot wait for itself, or the thread
                does not run.
        """
        if self._loop is None or self._thread is None:
            raise UsageError("the session is not open: use it inside its `with` block")
        if self._thread is threading.current_thread():
            raise UsageError(
                "a blocking call on the session's own thread would wait for itself; use `session()`"
                " and await its methods there"
            )
        future = asyncio.run_coroutine_threadsafe(function(*args, **kwargs), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _serve(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            loop.call_soon(started.set_result, loop)
            loop.run_forever()


class BlockingSession:
    """A session whose methods wait instead of being awaited. Use it as a context manager.

    One thread may send while another receives.
    """

    def __init__(self, session: Session) -> None:
        """Take over a session that has not been started."""
        self._session = session
        self._thread = LoopThread(f"remotemedia-session-{session.id[:8]}")

    def __enter__(self) -> Self:
        """Start it; see `Session.start`."""
        self._thread.__enter__()
        try:
            self._thread.call(self._session.start)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session, at once if it has not finished; see `Session.aclose`."""
        try:
            if self._thread.is_running:
                self._thread.call(self._session.aclose)
        finally:
            self._thread.__exit__(None, None, None)

    @property
    def id(self) -> str:
        """The session's id."""
        return self._session.id

    @property
    def phase(self) -> str:
        """Where the session is, as a word."""
        return self._session.phase

    def send(
        self,
        payload: Payload,
        node: str | None = None,
        *,
        port: str | None = None,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> int:
        """Send one packet, waiting for a credit; see `Session.send`."""
        return self._thread.call(
            self._session.send,
            payload,
            node,
            port=port,
            timestamp_ns=timestamp_ns,
            metadata=metadata,
        )

    def send_group(
        self,
        payloads: Mapping[str, Payload],
        node: str | None = None,
        *,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> int:
        """Send packets that belong together; see `Session.send_group`."""
        return self._thread.call(
            self._session.send_group,
            payloads,
            node,
            timestamp_ns=timestamp_ns,
            metadata=metadata,
        )

    def end_input(self) -> None:
        """Say that nothing more will be sent; see `Session.end_input`."""
        self._thread.call(self._session.end_input)

    def receive(self, timeout_s: float | None = None) -> Packet | None:
        """The next output, or None once everything has come out; see `Session.receive`.

        Args:
            timeout_s: how long to wait at most.

        Raises:
            TimeoutError: nothing came in that time; nothing is lost.
            RemoteMediaError: the session failed.
        """
        return self._thread.call(_within, self._session.receive, timeout_s)

    def outputs(self) -> Iterator[Packet]:
        """The outputs until everything has come out; `send` and `end_input` give the input."""
        while (packet := self.receive()) is not None:
            yield packet

    def stream(self, inputs: Iterable[Input] | AsyncIterable[Input]) -> Iterator[Packet]:
        """Send the inputs and yield the outputs as they come; see `Session.stream`.

        An iterable is iterated over in a thread of its own, so that what blocks in it (a
        microphone, a prompt) holds nothing up.
        """
        pulled = inputs if isinstance(inputs, AsyncIterable) else _pull(checked_inputs(inputs))
        stream = aiter(self._session.stream(pulled))
        try:
            while (packet := self._thread.call(_next_of, stream)) is not None:
                yield packet
        finally:
            self._thread.call(_close, stream)

    def cancel(self) -> None:
        """End at once: drop what is queued; see `Session.cancel`."""

        async def cancel() -> None:
            self._session.cancel()

        self._thread.call(cancel)

    def statistics(self) -> SessionStatistics:
        """A snapshot of the counts of the session, its stages and its edges."""

        async def statistics() -> SessionStatistics:
            return self._session.statistics()

        return self._thread.call(statistics)


async def _within(function: Callable[[], Coroutine[Any, Any, T]], timeout_s: float | None) -> T:
    async with asyncio.timeout(timeout_s):
        return await function()


async def _next_of(stream: AsyncIterator[Packet]) -> Packet | None:
    return await anext(stream, None)


async def _close(stream: AsyncIterator[Packet]) -> None:
    if isinstance(stream, AsyncGenerator):
        await stream.aclose()


_END = object()


async def _pull(inputs: Iterable[T]) -> AsyncIterator[T]:
    """The items of an iterable, each asked for in one thread beside the loop.

    A daemon thread of its own, since a pool's would be waited for at the end although it may block
    in the iterable for ever.
    """
    requests: SimpleQueue[Future[Any] | None] = SimpleQueue()
    threading.Thread(
        target=_serve_items, args=(inputs, requests), name="remotemedia-inputs", daemon=True
    ).start()
    try:
        while True:
            request: Future[Any] = Future()
            requests.put(request)
            item = await asyncio.wrap_future(request)
            if item is _END:
                return
            yield item
    finally:
        requests.put(None)


def _serve_items(inputs: Iterable[Any], requests: SimpleQueue[Future[Any] | None]) -> None:
    iterator: Iterator[Any] | None = None
    while (request := requests.get()) is not None:
        if not request.set_running_or_notify_cancel():
            continue
        try:
            if iterator is None:
                iterator = iter(inputs)
            item = next(iterator, _END)
        except BaseException as error:  # noqa: BLE001 - raised again where the item is awaited
            request.set_exception(error)
        else:
            request.set_result(item)
