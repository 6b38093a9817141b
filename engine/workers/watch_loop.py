"""A thread that sleeps until a descriptor is ready, a call was posted, or a deadline has come.

Knows nothing of workers. An exception in what it calls is logged and harms nothing else.
Source: FR-008.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import selectors
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    #: What is called when a descriptor is ready, with the ready events (selectors.EVENT_…).
    OnReady: TypeAlias = Callable[[int], None]

_log = logging.getLogger("remotemedia.workers")


class WatchLoop:
    """The loop and its thread. Only `start`, `post` and `end` are for other threads.

    Args:
        name: the thread's name.
        on_deadline: called with the key whose deadline has come.
        on_end: called last, on the thread.

    Attributes:
        ending: whether `end` was called.
    """

    def __init__(
        self, name: str, on_deadline: Callable[[int], None], on_end: Callable[[], None]
    ) -> None:
        self.ending = False
        self._on_deadline = on_deadline
        self._on_end = on_end
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._started = False
        self._ended = False
        self._lock = threading.Lock()
        self._calls: deque[Callable[[], None]] = deque()
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, self._drain_wake)
        #: The deadline of each key; a heap of (deadline, key) whose outdated entries are skipped.
        self._armed: dict[int, int] = {}
        self._deadlines: list[tuple[int, int]] = []

    # --- for any thread ---------------------------------------------------------------------

    def start(self) -> bool:
        """Start the thread unless it runs already; False if it was ended."""
        with self._lock:
            if self.ending:
                return False
            if not self._started:
                self._started = True
                self._thread.start()
            return True

    def post(self, call: Callable[[], None]) -> bool:
        """Have something called on the thread, in order; False if the thread has ended."""
        with self._lock:
            if self._ended:
                return False
            self._calls.append(call)
        self._wake()
        return True

    def end(self, timeout_s: float) -> None:
        """End the thread and wait for it. Idempotent.

        Args:
            timeout_s: how long to wait for it.
        """
        with self._lock:
            first, self.ending = not self.ending, True
        if not self._started:
            if first:
                self.release()
            return
        self._wake()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def release(self) -> None:
        """Close the loop's own descriptors; what is registered stays as it is.

        For the end, and for a forked child, which shares the epoll instance with its parent and
        must not unregister anything.
        """
        self.ending = self._ended = True
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()

    def _wake(self) -> None:
        # Full: it is awake already. Closed: nobody is left to be woken.
        with contextlib.suppress(OSError):
            self._wake_writer.send(b"\0")

    # --- for what runs on the thread ----------------------------------------------------------

    def guard(self, call: Callable[..., object], *arguments: Any) -> None:
        """Call something; what it raises is logged."""
        try:
            call(*arguments)
        except Exception:  # noqa: BLE001 - one worker's trouble must not end the others' supervision
            _log.exception("worker_service_error")

    def register(self, fd: int, call: OnReady) -> None:
        """Have something called whenever a descriptor is readable."""
        self._selector.register(fd, selectors.EVENT_READ, call)

    def watch_writes(self, fd: int, *, wanted: bool) -> None:
        """Begin or cease to call a registered descriptor's callback when it is writable, too."""
        with contextlib.suppress(KeyError, ValueError):  # closed, or its end was read
            key = self._selector.get_key(fd)
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
            if key.events != events:
                self._selector.modify(fd, events, key.data)

    def unregister(self, fd: int) -> None:
        """Forget a descriptor, before it is closed. Idempotent."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(fd)

    def arm(self, key: int, deadline_ns: int | None) -> None:
        """Have `on_deadline` called with a key at a monotonic time, or earlier.

        A deadline that moves away keeps its old entry: looking once too early costs less than an
        entry for each message of a worker.
        """
        if deadline_ns is None:
            return
        armed_ns = self._armed.get(key)
        if armed_ns is None or deadline_ns < armed_ns:
            self._armed[key] = deadline_ns
            heapq.heappush(self._deadlines, (deadline_ns, key))

    def disarm(self, key: int) -> None:
        """Forget a key. Idempotent."""
        self._armed.pop(key, None)

    def run_calls(self) -> None:
        """Run what was posted until now."""
        for _ in range(len(self._calls)):
            self.guard(self._calls.popleft())

    # --- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self.ending:
                for key, mask in self._selector.select(self._timeout_s()):
                    self.guard(key.data, mask)
                self.run_calls()
                # After the messages: a pong that has arrived counts, however late we look.
                self._meet_deadlines()
        finally:
            self.guard(self._on_end)
            self._run_last_calls()
            self.release()

    def _run_last_calls(self) -> None:
        while True:
            self.run_calls()
            with self._lock:
                if not self._calls:
                    self._ended = True
                    return

    def _timeout_s(self) -> float | None:
        if self._calls:
            return 0.0
        if not self._deadlines:
            return None
        return max(0.0, (self._deadlines[0][0] - time.monotonic_ns()) / 1e9)

    def _meet_deadlines(self) -> None:
        now_ns = time.monotonic_ns()
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            deadline_ns, key = heapq.heappop(self._deadlines)
            if self._armed.get(key) == deadline_ns:
                del self._armed[key]
                self.guard(self._on_deadline, key)

    def _drain_wake(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(4096)
