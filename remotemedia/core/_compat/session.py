"""Session: the older way to start a pipeline and to wait for it, without an event loop.

Source: FR-004, FR-009.
"""

from __future__ import annotations

import dataclasses
import logging
import time
import uuid
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from engine.errors import InitTimeoutError, NodeError, UsageError
from engine.pipeline import Pipeline as EnginePipeline
from engine.session.blocking import BlockingSession
from engine.session.session import Session as EngineSession
from remotemedia.core._compat.errors import InitializationFailedError, InitializationTimeoutError
from remotemedia.core._compat.pipeline import Pipeline
from remotemedia.core._compat.progress import InitProgress
from remotemedia.core._compat.running import input_of, value_of
from remotemedia.registration import builtin_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from types import TracebackType

    from engine.errors import RemoteMediaError
    from engine.executors.contract import Progress
    from engine.plan import Plan
    from remotemedia.core._compat.runtime_data import RuntimeData

    ProgressCallback = Callable[[InitProgress], object]

logger = logging.getLogger("remotemedia.compat")


class SessionStatus(StrEnum):
    """Where a session is."""

    CREATED = "created"
    INITIALIZING = "initializing"
    READY = "ready"
    RUNNING = "running"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    ERROR = "error"


class Ready(int):
    """True, which may also be awaited: some callers do."""

    def __await__(self) -> Generator[Any, None, bool]:
        return True
        yield


class Session:
    """A pipeline's session; a context manager, or ended by `terminate`.

    Its loop runs in a thread of its own, on which progress callbacks are called as well.

    Attributes:
        session_id: what the caller calls it.
        status: where it is.
    """

    def __init__(self, *of: Any, session_id: str | None = None, pipeline: Any = None) -> None:
        """Prepare; nothing is started yet.

        Args:
            of: by position, in any order: a session id, and what it runs: a Pipeline of this layer
                or of the engine, node objects in a list, or a manifest as mapping, JSON or path.
            session_id: by default made up.
            pipeline: what it runs, by name.
        """
        for item in of:
            if isinstance(item, str) and not item.lstrip().startswith("{"):
                session_id = item
            else:
                pipeline = item
        self.session_id = session_id or uuid.uuid4().hex
        self.pipeline = pipeline
        self.status = SessionStatus.CREATED
        self._callbacks: list[ProgressCallback] = []
        self._progress: dict[str, InitProgress] = {}
        self._types: dict[str, str] = {}
        self._running: BlockingSession | None = None
        self._created_s = time.monotonic()

    # --- the start ----------------------------------------------------------------------------

    def wait_for_initialization(
        self,
        timeout_secs: float = 30.0,
        progress_callback: ProgressCallback | None = None,
        poll_interval_ms: float = 0.0,
    ) -> Ready:
        """Start every node and wait until all are ready.

        Args:
            timeout_secs: bound on each node's start.
            progress_callback: told of each step of each node's start.
            poll_interval_ms: without effect: nothing is polled.

        Returns:
            True. At once, if it has been ready before.

        Raises:
            InitializationTimeoutError: a node was not ready in time; it is named. Also a
                TimeoutError and a RuntimeError.
            InitializationFailedError: a node raised or died; it is named. Also a RuntimeError.
            ManifestError, UsageError: there is nothing that could be started.
        """
        del poll_interval_ms
        if progress_callback is not None:
            self.add_progress_callback(progress_callback)
        if self._running is None:
            self.status = SessionStatus.INITIALIZING
            try:
                self._start(timeout_secs)
            except BaseException:
                self.status = SessionStatus.ERROR
                raise
            self.status = SessionStatus.READY
        return Ready(True)

    def _start(self, timeout_s: float) -> None:
        plan = _plan_of(self.pipeline)
        settings = dataclasses.replace(plan.settings, init_timeout_s=timeout_s)
        self._types = {node.id: node.node_type for stage in plan.stages for node in stage.nodes}
        started = EngineSession(dataclasses.replace(plan, settings=settings), self._tell)
        session = BlockingSession(started)
        try:
            session.__enter__()
        except InitTimeoutError as error:
            raise _as(InitializationTimeoutError, error) from error
        except NodeError as error:
            raise _as(InitializationFailedError, error) from error
        self._running = session

    def _tell(self, progress: Progress) -> None:
        told = InitProgress.of(progress, self._types.get(progress.node_id, ""))
        self._progress[told.node_id] = told
        for callback in self._callbacks:
            try:
                callback(told)
            except Exception:  # the caller's own; a start must not depend on it
                logger.exception("progress_callback_raised: node %s", told.node_id)

    def get_init_progress(self) -> list[InitProgress]:
        """The last step of each node's start."""
        return list(self._progress.values())

    def add_progress_callback(self, callback: ProgressCallback) -> None:
        """Have a function told of each step from now on."""
        self._callbacks.append(callback)

    def remove_progress_callback(self, callback: ProgressCallback) -> None:
        """Tell it no more."""
        if callback in self._callbacks:
            self._callbacks.remove(callback)

    # --- while it runs ------------------------------------------------------------------------

    def run(self, input_data: Iterable[Any] | None = None) -> list[RuntimeData]:
        """Begin to run; with input, send it, say that it was all, and return all outputs.

        Args:
            input_data: values to send; None: only the status changes.

        Raises:
            RuntimeError: it is not ready: call wait_for_initialization first.
            RemoteMediaError: a node failed; it is named.
        """
        running = self._started()
        self.status = SessionStatus.RUNNING
        if input_data is None:
            return []
        payloads = (input_of(value)[0] for value in input_data)
        return [value_of(packet) for packet in running.stream(payloads)]

    def send(self, value: Any) -> int:
        """Send one value, waiting until the pipeline takes it; returns its sequence."""
        payload, metadata = input_of(value)
        return self._started().send(payload, metadata=metadata)

    def end_input(self) -> None:
        """Say that nothing more will be sent."""
        self._started().end_input()

    def receive(self, timeout_secs: float | None = None) -> RuntimeData | None:
        """The next output, or None once everything has come out.

        Raises:
            TimeoutError: nothing came in that time.
            RemoteMediaError: a node failed; it is named.
        """
        packet = self._started().receive(timeout_secs)
        return None if packet is None else value_of(packet)

    def _started(self) -> BlockingSession:
        if self._running is None:
            raise StartupNeededError(
                f"session {self.session_id!r} is {self.status.value}: call wait_for_initialization"
                " first"
            )
        return self._running

    # --- the end ------------------------------------------------------------------------------

    def terminate(self) -> None:
        """End it, and wait until nothing is left; a second call does nothing."""
        running, self._running = self._running, None
        if running is not None:
            self.status = SessionStatus.TERMINATING
            running.close()
        if self.status is not SessionStatus.ERROR:
            self.status = SessionStatus.TERMINATED

    close = stop = cleanup = terminate

    def get_status(self) -> SessionStatus:
        """Where it is."""
        return self.status

    def get_uptime(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._created_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.terminate()


class StartupNeededError(UsageError, RuntimeError):
    """A session is used that has not been started."""

    code = "startup_needed"


def _plan_of(pipeline: Any) -> Plan:
    """What a session is to run, checked."""
    if pipeline is None:
        raise UsageError("a session needs something to run: Session('id', pipeline)")
    if isinstance(pipeline, list | tuple):
        pipeline = Pipeline(list(pipeline))
    if isinstance(pipeline, Pipeline):
        pipeline = pipeline.to_engine()
    elif not isinstance(pipeline, EnginePipeline):
        pipeline = EnginePipeline.from_manifest(pipeline, registry=builtin_registry())
    plan: Plan = pipeline.plan()
    return plan


def _as(cls: type[Any], error: RemoteMediaError) -> Any:
    made = cls(error.message, **error.context)
    made.remote_traceback = error.remote_traceback
    return made
