"""One subscription to a pipeline: from a source through a session to an observer.

The session, and all that the observer is told, is on one loop; the source may be on any thread.

    source ─▶ Inbox ─▶ Session ─▶ observer
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from typing import TYPE_CHECKING, Any

from reactivex.disposable import Disposable, SingleAssignmentDisposable

from engine.errors import EdgeClosedError, NodeError, RemoteMediaError, UsageError
from engine.packet import Packet
from engine.reactive.inbox import NOTHING, Inbox
from engine.session.inputs import is_group, split_input

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import Observable
    from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

    from engine.reactive.bridge import SessionMaker
    from engine.session.session import Session

logger = logging.getLogger("remotemedia.reactive")


class Passage:
    """See the module.

    Attributes:
        inbox: where inputs wait.
        emitted: how many outputs were pushed.
    """

    def __init__(
        self,
        pipeline: SessionMaker,
        observer: ObserverBase[Packet],
        *,
        capacity: int,
        overflow: str,
        drains: bool,
        on_ended: Callable[[Passage], None],
    ) -> None:
        self._pipeline = pipeline
        self._observer = observer
        self._blocks = overflow == "block"
        self._drains = drains
        self._on_ended = on_ended
        self.inbox = Inbox(f"pipeline {pipeline.name!r}", capacity, overflow, self._wake)
        self.emitted = 0
        self._source = SingleAssignmentDisposable()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[Any] | None = None
        self._arrived = asyncio.Event()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        #: Whether it is told to end; by whom comes first, with the error it ends with, if any.
        self._stopped = False
        self._stopping = threading.Lock()
        self._error: Exception | None = None
        self._is_disposed = False
        #: From here on the session ends by itself and must not be cancelled any more.
        self._closing = False
        self._observer_raised = False

    # --- from outside ---------------------------------------------------------------------------

    def begin(self, source: Observable[Any], scheduler: SchedulerBase | None) -> DisposableBase:
        """Start the session, and subscribe to the source; returns what disposes both."""
        loop = _running_loop()
        if loop is not None:
            self._begin_on(loop)
        else:
            self._begin_in_thread()
        try:
            self._source.disposable = source.subscribe(
                self._on_next, self._on_error, self.inbox.finish, scheduler=scheduler
            )
        except BaseException:
            self.dispose()
            raise
        return Disposable(self._dispose)

    def dispose(self) -> concurrent.futures.Future[None]:
        """End at once and tell the observer nothing; returns what is done when all has ended."""
        self._is_disposed = True
        self._stop(None)
        return self._ended

    def join(self) -> None:
        """Wait until its thread, if it has one, is gone; only once it has ended."""
        if self._thread is not None:
            self._thread.join()

    @property
    def is_here(self) -> bool:
        """Whether the caller is on the thread it runs on."""
        return threading.get_ident() == self._loop_thread

    def _dispose(self) -> None:
        self.dispose()

    def _begin_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._loop_thread = threading.get_ident()
        task = loop.create_task(self._run(), name=f"remotemedia-operator {self._pipeline.name}")
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._finish()
        self._ended.set_result(None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # An observer that raised has no other place to be heard of.
            message = "an observer of a pipeline raised"
            context = {"message": message, "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    def _begin_in_thread(self) -> None:
        self._loop = loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._serve,
            args=(loop,),
            name=f"remotemedia-operator-{self._pipeline.name}",
            daemon=True,  # like the threads of reactivex
        )
        self._thread.start()
        self._loop_thread = self._thread.ident or 0

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._run())
        finally:
            self._ended.set_result(None)

    def _finish(self) -> None:
        """Leave the source, and be counted among the past; a second call does nothing."""
        self._release_source()
        self._on_ended(self)

    # --- the source's side ----------------------------------------------------------------------

    def _on_next(self, item: Any) -> None:
        try:
            if self._blocks and self.is_here:
                raise UsageError(
                    f"the overflow policy 'block' cannot make the source of pipeline"
                    f" {self._pipeline.name!r} wait: it is on the thread of the loop that would"
                    " make room. Choose another policy, or let the source emit on another thread"
                )
            dropped = self.inbox.dropped
            self.inbox.put(item)
        except RemoteMediaError as error:
            self._stop(error)
            return
        if not dropped and self.inbox.dropped:
            logger.warning(
                "inputs_dropped: the source of pipeline %r is quicker than the pipeline",
                self._pipeline.name,
                extra={"pipeline": self._pipeline.name},
            )

    def _on_error(self, error: Exception) -> None:
        if self._drains:
            self._error = error
            self.inbox.finish()
        else:
            self._stop(error)

    def _stop(self, error: Exception | None) -> None:
        """End the session; any thread. The first call counts."""
        with self._stopping:
            if self._stopped:
                return
            self._stopped = True
            self._error = error
        self._release_source()
        self._on_loop(self._cancel)

    def _release_source(self) -> None:
        self.inbox.close()
        self._source.dispose()

    def _wake(self) -> None:
        self._on_loop(self._arrived.set)

    def _on_loop(self, act: Callable[[], object]) -> None:
        if self.is_here:
            act()
            return
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:  # the loop is closed: it has ended already
            logger.debug("act_after_close")

    def _cancel(self) -> None:
        """Cancel the task, unless it would find out by itself: it runs, has not begun, or ends."""
        task = self._task
        if task is not None and not self._closing and task is not _current_task():
            task.cancel()

    # --- the loop's side ------------------------------------------------------------------------

    async def _run(self) -> None:
        """Run the session to its end, then tell the observer how it ended."""
        self._task = asyncio.current_task()
        try:
            if not self._stopped:
                await self._pass_through()
        except asyncio.CancelledError:
            if not self._stopped:  # by the loop's owner
                self._error = EdgeClosedError(
                    f"the loop that ran pipeline {self._pipeline.name!r} was ended", edge=""
                )
                self._tell_end()
                raise
        except Exception as error:
            if self._observer_raised:
                raise
            if not self._stopped:
                self._error = error
        finally:
            self._finish()
        self._tell_end()

    async def _pass_through(self) -> None:
        session = self._pipeline.session()
        feeding: asyncio.Task[None] | None = None
        try:
            await session.start()
            feeding = asyncio.create_task(self._feed(session))
            while not self._stopped and (packet := await session.receive()) is not None:
                self._tell(packet)
        finally:
            self._closing = True
            self._release_source()
            if feeding is not None:
                feeding.cancel()
                await asyncio.wait([feeding])
            await session.aclose()

    async def _feed(self, session: Session) -> None:
        """Send what comes; an error of the session's own is left to whoever receives from it."""
        try:
            while (item := await self._next()) is not NOTHING:
                await _send(session, item)
            await session.end_input()
        except (EdgeClosedError, NodeError) as error:
            logger.debug("feeding_ended", extra={"reason": error.message})
        except Exception as error:  # noqa: BLE001 - the observer is told
            self._stop(error)

    async def _next(self) -> Any:
        """The next input, or NOTHING once there is none any more."""
        while True:
            finished = self.inbox.finished  # before the look, or what came between would be lost
            item = self.inbox.take()
            if item is not NOTHING or finished:
                return item
            self._arrived.clear()
            if not len(self.inbox) and not self.inbox.finished:
                await self._arrived.wait()

    def _tell(self, packet: Packet) -> None:
        self.emitted += 1
        try:
            self._observer.on_next(packet)
        except BaseException:
            self._observer_raised = True
            raise

    def _tell_end(self) -> None:
        if self._is_disposed:
            return
        if self._error is not None:
            self._observer.on_error(self._error)
        else:
            self._observer.on_completed()


async def _send(session: Session, item: Any) -> None:
    """Send one input in whichever form it came."""
    if isinstance(item, Packet):
        await session.send(item.payload, timestamp_ns=item.timestamp_ns, metadata=item.metadata)
        return
    node, payload = split_input(item)
    if is_group(payload):
        await session.send_group(payload, node)
    else:
        await session.send(payload, node)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
