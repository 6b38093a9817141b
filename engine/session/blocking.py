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
from concurrent.futures import CancelledError, Future, wait
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar

from engine.errors import UsageError
from engine.packet import NO_METADATA
from engine.session.blocking_hands import BlockingInterception, BlockingTap
from engine.session.inputs import checked_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from engine.executors.contract import Progress
    from engine.interruption import Settlement
    from engine.observe.statistics import SessionStatistics
    from engine.packet import Packet
    from engine.payloads import Control, Payload
    from engine.session.inputs import Input
    from engine.session.interruptions import Interruption
    from engine.session.session import Session
    from engine.steering import NodeState, ParamsTaken

#: A generator that blocks is waited for so long before it is left to itself.
INPUTS_CLOSE_S = 1.0

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
        #: Held while something is given to the loop, so that nothing comes behind its end.
        self._giving = threading.Lock()
        #: What callers wait for, and what runs for them; touched on the loop only.
        self._tasks: dict[Future[Any], asyncio.Task[Any]] = {}
        #: What was meant to end the process and struck on the loop, until a caller has raised it.
        self._struck: BaseException | None = None

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise UsageError("the session is open already: enter its `with` block once")
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
        with self._giving:
            thread, self._thread = self._thread, None
            if thread is not None and self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
        if thread is not None:
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
            SystemExit, KeyboardInterrupt: what ran on the loop raised it, now or since the last
                call.
        """
        self.raise_struck()
        try:
            return self.complete(function, *args, **kwargs)
        except CancelledError:
            self.raise_struck()
            raise
        except (SystemExit, KeyboardInterrupt):
            self._struck = None
            raise

    def complete(
        self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `call`, whatever has struck the loop before: for what must be done at the end."""
        if self._thread is threading.current_thread():
            raise UsageError(
                "a blocking call on the session's own thread would wait for itself; use `session()`"
                " and await its methods there"
            )
        future: Future[T] = Future()
        with self._giving:
            loop = self._loop
            if loop is None or self._thread is None:
                raise UsageError("the session is not open: use it inside its `with` block")
            loop.call_soon_threadsafe(self._begin, loop, function(*args, **kwargs), future)
        try:
            return future.result()
        except BaseException:
            if not future.done():  # the caller was interrupted
                loop.call_soon_threadsafe(self._cancel, future)
                wait([future])  # or what comes next would meet it half ended
            raise

    def _begin(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], future: Future[T]
    ) -> None:
        task = loop.create_task(coroutine)
        self._tasks[future] = task
        task.add_done_callback(lambda _: self._settle(future, task))

    def _settle(self, future: Future[T], task: asyncio.Task[T]) -> None:
        del self._tasks[future]
        if task.cancelled():
            future.set_exception(CancelledError())
        elif (error := task.exception()) is not None:
            future.set_exception(error)
        else:
            future.set_result(task.result())

    def _cancel(self, future: Future[Any]) -> None:
        task = self._tasks.get(future)
        if task is not None:
            task.cancel()

    def raise_struck(self) -> None:
        """Raise, once, the SystemExit or KeyboardInterrupt that struck the loop, if one did."""
        struck, self._struck = self._struck, None
        if struck is not None:
            raise struck

    def _serve(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            loop.call_soon(started.set_result, loop)
            while self._interrupted(loop):
                pass

    def _interrupted(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Run the loop until it is stopped: False; or something ends it that is not for it: True.

        A SystemExit or KeyboardInterrupt of an operator is raised where a caller waits, as it would
        be without this thread; the loop goes on, since the session has yet to be closed on it.
        """
        try:
            loop.run_forever()
        except (KeyboardInterrupt, SystemExit) as error:
            self._struck = error
            for task in self._tasks.values():
                task.cancel()
            return True
        return False


class BlockingInterruption:
    """The acknowledgement of an interrupt, see `engine.session.interruptions.Interruption`.

    Attributes:
        generation: what is sent from now on belongs to it.
        nodes: the scope.
        reason: why, as its caller said.
    """

    def __init__(self, acknowledgement: Interruption, thread: LoopThread) -> None:
        """Wait for it on the session's loop."""
        self.generation = acknowledgement.generation
        self.nodes = acknowledgement.nodes
        self.reason = acknowledgement.reason
        self._acknowledgement = acknowledgement
        self._thread = thread

    @property
    def over(self) -> bool:
        """Whether nothing more is waited for."""
        return self._acknowledgement.over

    def settled(self) -> Settlement:
        """Wait until every stage has dropped what is stale, or the deadline has come.

        Returns:
            What was dropped, where, and which stages had not answered.
        """
        if self.over:  # then the session may be closed as well
            return self._acknowledgement.settlement
        return self._thread.call(self._acknowledgement.settled)


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
                self._thread.complete(self._session.aclose)
        finally:
            self._thread.__exit__(None, None, None)
        self._thread.raise_struck()

    @property
    def id(self) -> str:
        """The session's id."""
        return self._session.id

    @property
    def phase(self) -> str:
        """Where the session is, as a word."""
        return self._session.phase

    def on_progress(self, callback: Callable[[Progress], object]) -> Callable[[], None]:
        """Have a callback told how far each node's start is; see `Session.on_progress`.

        It is called on the session's own thread while that runs. Any thread may end it.
        """

        async def subscribe() -> Callable[[], None]:
            return self._session.on_progress(callback)

        if self._thread.is_running:
            return self._thread.call(subscribe)
        return self._session.on_progress(callback)

    def send(
        self,
        payload: Payload,
        node: str | None = None,
        *,
        port: str | None = None,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
        uninterruptible: bool = False,
    ) -> int:
        """Send one packet, waiting for a credit; see `Session.send`."""
        return self._thread.call(
            self._session.send,
            payload,
            node,
            port=port,
            timestamp_ns=timestamp_ns,
            metadata=metadata,
            uninterruptible=uninterruptible,
        )

    def send_group(
        self,
        payloads: Mapping[str, Payload],
        node: str | None = None,
        *,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
        uninterruptible: bool = False,
    ) -> int:
        """Send packets that belong together; see `Session.send_group`."""
        return self._thread.call(
            self._session.send_group,
            payloads,
            node,
            timestamp_ns=timestamp_ns,
            metadata=metadata,
            uninterruptible=uninterruptible,
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

        Raises:
            EdgeClosedError: the session was ended meanwhile, before everything had come out.
            RemoteMediaError: the session failed, or an input cannot be sent.
        """
        puller: _Puller | None = None
        pulled = inputs
        if not isinstance(inputs, AsyncIterable):
            puller = _Puller(checked_inputs(inputs))
            pulled = puller.items()
        stream = aiter(self._session.stream(pulled))
        try:
            while (packet := self._thread.call(_next_of, stream)) is not None:
                yield packet
        except _InputsRaised as raised:
            raise raised.error from raised.error.__cause__
        finally:
            if self._thread.is_running:  # else the session was closed, and the stream with it
                self._thread.complete(_close, stream)
            if puller is not None:
                puller.join()

    def interrupt(
        self,
        scope: str | None = None,
        *,
        reason: str = "",
        deadline_s: float = 1.0,
        on_late: Literal["continue", "fail"] = "continue",
    ) -> BlockingInterruption:
        """Make stale what is under way; see `Session.interrupt`.

        Any thread may: one that interrupts while another waits in `receive`, for instance.

        Returns:
            The acknowledgement; its `settled()` waits.
        """
        ack = self._thread.call(
            self._session.interrupt,
            scope,
            reason=reason,
            deadline_s=deadline_s,
            on_late=on_late,
        )
        return BlockingInterruption(ack, self._thread)

    def set_params(self, node: str, params: Mapping[str, Any]) -> ParamsTaken:
        """Change params of a running node; see `Session.set_params`."""
        return self._thread.call(self._session.set_params, node, params)

    def set_node_state(self, node: str, state: NodeState) -> None:
        """Say what becomes of what comes to a node; see `Session.set_node_state`."""
        self._thread.call(self._session.set_node_state, node, state)

    def tap(self, node: str, port: str | None = None) -> BlockingTap:
        """Listen to what leaves a node; see `Session.tap`."""
        return BlockingTap(self._thread.call(self._session.tap, node, port), self._thread)

    def intercept(
        self, node: str, port: str | None = None, *, deadline_ms: float | None = None
    ) -> BlockingInterception:
        """Decide about each output of a node; see `Session.intercept`."""
        interception = self._thread.call(
            self._session.intercept, node, port, deadline_ms=deadline_ms
        )
        return BlockingInterception(interception, self._thread)

    def publish(
        self,
        node: str,
        payload: Payload,
        *,
        port: str | None = None,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> int:
        """Give a node a packet beside those its inputs bring; see `Session.publish`."""
        return self._thread.call(
            self._session.publish,
            node,
            payload,
            port=port,
            timestamp_ns=timestamp_ns,
            metadata=metadata,
        )

    def control(
        self, control: Control, scope: str | None = None, *, deadline_s: float = 1.0
    ) -> Settlement:
        """Tell nodes a control message, past the data; see `Session.control`."""
        return self._thread.call(self._session.control, control, scope, deadline_s=deadline_s)

    def cancel(self) -> None:
        """End at once: drop what is queued; see `Session.cancel`."""

        async def cancel() -> None:
            self._session.cancel()

        self._thread.call(cancel)

    def statistics(self) -> SessionStatistics:
        """The counts of the session, its stages and its edges; see `Session.statistics`."""

        async def statistics() -> SessionStatistics:
            return self._session.statistics()

        if not self._thread.is_running:
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


class _InputsRaised(Exception):
    """Carries what a user's iterable raised past the loop, which much of it would end or confuse.

    Attributes:
        error: any exception: a SystemExit, a StopIteration, a CancelledError too.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(repr(error))
        self.error = error


class _Puller:
    """Asks an iterable for its items, each in one thread beside the loop, and closes it.

    A daemon thread of its own, since a pool's would be waited for at the end although it may block
    in the iterable for ever.
    """

    def __init__(self, inputs: Iterable[Any]) -> None:
        self._inputs = inputs
        self._requests: SimpleQueue[Future[Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="remotemedia-inputs", daemon=True)

    async def items(self) -> AsyncIterator[Any]:
        """The items, as long as somebody asks."""
        self._thread.start()
        try:
            while True:
                request: Future[Any] = Future()
                self._requests.put(request)
                item = await asyncio.wrap_future(request)
                if item is _END:
                    return
                if type(item) is _InputsRaised:
                    raise item
                yield item
        finally:
            self._requests.put(None)

    def join(self) -> None:
        """Give what the iterable does at its end (release a microphone) a moment's time."""
        # Where sending failed, nobody closes the items before their frames are collected.
        self._requests.put(None)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(INPUTS_CLOSE_S)

    def _serve(self) -> None:
        iterator: Iterator[Any] | None = None
        while (request := self._requests.get()) is not None:
            if not request.set_running_or_notify_cancel():
                continue
            try:
                if iterator is None:
                    iterator = iter(self._inputs)
                item = next(iterator, _END)
            except BaseException as error:  # noqa: BLE001 - raised again by `stream`
                item = _InputsRaised(error)
            request.set_result(item)
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
