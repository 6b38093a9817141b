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
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from engine.workers.messages import (
    DESCRIPTORS_MAX,
    MESSAGE_BYTES_MAX,
    ControlEvent,
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
    SteerCommand,
    SteeredEvent,
    decode,
    encode,
    trimmed_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.interruption import Settlement
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
        self._on_command: Callable[[InterruptCommand | SteerCommand, list[int]], object] | None
        self._on_command = None
        self._shutdown_asked = False
        #: What came before anybody wanted to know.
        self._early: list[tuple[InterruptCommand | SteerCommand, list[int]]] = []
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

    def on_command(
        self, callback: Callable[[InterruptCommand | SteerCommand, list[int]], object]
    ) -> None:
        """Set what is called with each interrupt and order; at once with those that came already.

        Args:
            callback: called on the lane's thread (or here) with the descriptors that came beside
                it, which are its own from then on; must only schedule.
        """
        with self._lock:
            self._on_command = callback
            early, self._early = self._early, []
        for command, fds in early:
            callback(command, fds)

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

    def settled(self, settlement: Settlement) -> None:
        """Say that an interrupt has been applied, and what became of it.

        Of more that was played than a message holds the newest is told.
        """
        while True:
            try:
                self._send(SettledEvent.of(settlement))
            except ValueError:
                if not any(settlement.played.values()):
                    raise
                played = settlement.played.items()
                newest = {node_id: heard[(len(heard) + 1) // 2 :] for node_id, heard in played}
                settlement = replace(settlement, played=newest)
            else:
                return

    def steered(self, number: int, answer: dict[str, Any]) -> None:
        """Say that an order has been applied."""
        self._send(SteeredEvent(number, answer))

    def refused(self, number: int, error: dict[str, Any]) -> None:
        """Say that an order was refused; `error` is `RemoteMediaError.to_dict()`."""
        self._send(SteeredEvent(number, error=trimmed_error(error)))

    def control(self, node_id: str, control: dict[str, Any]) -> None:
        """Pass on what a node tells all behind it.

        Raises:
            TypeError: JSON cannot carry its metadata.
            ValueError: it is too large.
        """
        self._send(ControlEvent(node_id, control))

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
        fds: list[int] = []
        try:
            data, fds, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES_MAX, DESCRIPTORS_MAX)
        except OSError:
            data = b""
        for fd in fds:
            os.set_inheritable(fd, False)  # recv_fds takes no notice of its flags
        if not data:
            # Nobody is left to work for, and no cleanup of ours may outlive the server.
            os._exit(EXIT_SERVER_GONE)
        try:
            self._handle(decode(data), fds)
        except Exception:  # noqa: BLE001 - a callback of the stage's; the lane must live on
            traceback.print_exc(file=sys.stderr)

    def _handle(self, message: Message, fds: list[int]) -> None:
        match message:
            case PingCommand():
                self._send(PongEvent(message.token, self.page.turn_started_ns))
            case InterruptCommand() | SteerCommand():
                self._hand_on(message, fds)
            case ShutdownCommand():
                self._shutdown()
            case _:
                raise ValueError(f"{message.type!r} is no message for a worker")

    def _hand_on(self, command: InterruptCommand | SteerCommand, fds: list[int]) -> None:
        with self._lock:
            callback = self._on_command
            if callback is None:
                self._early.append((command, fds))
                return
        callback(command, fds)

    def _shutdown(self) -> None:
        with self._lock:
            if self._shutdown_asked:
                return
            self._shutdown_asked = True
            callback = self._on_shutdown
        if callback is not None:
            callback()
