"""A worker's control path: a thread that answers for it while its operators compute.

It blocks on the control socket, so it costs nothing while nothing is said. Measured beside
pure-Python compute, with the workers' switch interval of 0.5 ms: it answers in 0.7 ms.
Source: FR-008, FR-009.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, Final

from engine.interruption import Interrupt
from engine.workers.messages import (
    MESSAGE_BYTES_MAX,
    FailedEvent,
    FinishedEvent,
    HeartbeatEvent,
    InterruptCommand,
    Message,
    PingCommand,
    PongEvent,
    ProgressEvent,
    ReadyEvent,
    SettledEvent,
    ShutdownCommand,
    decode,
    encode,
    trimmed_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.workers.control_page import ControlPage

#: Time between heartbeats until the worker is ready.
HEARTBEAT_S: Final = 2.0
#: Exit code of a worker whose server is gone.
EXIT_SERVER_GONE: Final = 3


class Lane:
    """One worker's side of its control socket. Every method is callable from any thread.

    Args:
        control: a connected, blocking SOCK_SEQPACKET socket; owned by the lane.
        page: the control page.

    Attributes:
        page: the control page; `page.begin_turn` and `page.end_turn` are the stage's to call.
    """

    def __init__(self, control: socket.socket, page: ControlPage) -> None:
        self.page = page
        self._control = control
        self._lock = threading.Lock()
        self._on_shutdown: Callable[[], object] | None = None
        self._on_interrupt: Callable[[Interrupt], object] | None = None
        self._shutdown_asked = False
        #: Interrupts that came before anybody wanted to know.
        self._early: list[Interrupt] = []
        self._ready = False
        self._ended = False

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="lane", daemon=True).start()

    # --- what the server wants --------------------------------------------------------------

    def on_shutdown(self, callback: Callable[[], object]) -> None:
        """Set what is called, once, when the worker is to stop; at once if that was asked already.

        Args:
            callback: called on the lane's thread (or here); must only schedule.
        """
        with self._lock:
            self._on_shutdown = callback
            asked = self._shutdown_asked
        if asked:
            callback()

    def on_interrupt(self, callback: Callable[[Interrupt], object]) -> None:
        """Set what is called with each interrupt; at once with those that came already.

        Args:
            callback: called on the lane's thread (or here); must only schedule.
        """
        with self._lock:
            self._on_interrupt = callback
            early, self._early = self._early, []
        for interrupt in early:
            callback(interrupt)

    @property
    def shutdown_asked(self) -> bool:
        """Whether the worker is to stop."""
        return self._shutdown_asked

    @property
    def ended(self) -> bool:
        """Whether `failed` or `finished` has been said."""
        return self._ended

    # --- what the worker says ---------------------------------------------------------------

    def progress(self, node_id: str, status: str, fraction: float = 0.0, message: str = "") -> None:
        """Report how far a node's start is; `fraction` in 0…1, texts are cut to 4096 characters."""
        text, word = str(message)[:4096], str(status)[:4096]
        self._send(ProgressEvent(node_id, word, float(fraction), text))

    def ready(self) -> None:
        """Say that every node's initialize has returned."""
        self._ready = True
        self._send(ReadyEvent())

    def settled(self, generation: int, dropped: dict[str, int]) -> None:
        """Say that an interrupt has been applied, and how much was dropped, by edge or node."""
        self._send(SettledEvent(generation, dropped))

    def failed(self, error: dict[str, Any]) -> None:
        """Report the error that ends the worker; its texts are cut to what a message holds.

        Args:
            error: `RemoteMediaError.to_dict()`.
        """
        self._send(FailedEvent(trimmed_error(error)))
        self._ended = True

    def finished(self, statistics: dict[str, Any] | None = None) -> None:
        """Say that the stage is done.

        Args:
            statistics: JSON-compatible, at most 127 KiB of it.

        Raises:
            TypeError: JSON cannot carry the statistics.
            ValueError: they are too large.
        """
        self._send(FinishedEvent(statistics or {}))
        self._ended = True

    def _send(self, message: Message) -> None:
        # A packet socket sends a message whole or not at all, so threads need no lock here.
        with contextlib.suppress(OSError):  # the server is gone: the thread sees that and exits
            self._control.send(encode(message), socket.MSG_NOSIGNAL)

    # --- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        while True:
            silent = not poller.poll(None if self._ready else HEARTBEAT_S * 1000)
            self.page.beat()
            if silent:
                self._send(HeartbeatEvent())
            else:
                self._receive()

    def _receive(self) -> None:
        try:
            data = self._control.recv(MESSAGE_BYTES_MAX)
        except OSError:
            data = b""
        if not data:
            # Nobody is left to work for, and no cleanup of ours may outlive the server.
            os._exit(EXIT_SERVER_GONE)
        try:
            self._handle(decode(data))
        except Exception:  # noqa: BLE001 - a callback of the stage's; the lane must live on
            traceback.print_exc(file=sys.stderr)

    def _handle(self, message: Message) -> None:
        match message:
            case PingCommand():
                self._send(PongEvent(message.token, self.page.turn_started_ns))
            case InterruptCommand():
                self._interrupt(Interrupt(message.generation, frozenset(message.node_ids)))
            case ShutdownCommand():
                self._shutdown()
            case _:
                raise ValueError(f"{message.type!r} is no message for a worker")

    def _interrupt(self, interrupt: Interrupt) -> None:
        with self._lock:
            callback = self._on_interrupt
            if callback is None:
                self._early.append(interrupt)
                return
        callback(interrupt)

    def _shutdown(self) -> None:
        with self._lock:
            if self._shutdown_asked:
                return
            self._shutdown_asked = True
            callback = self._on_shutdown
        if callback is not None:
            callback()
