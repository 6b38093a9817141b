"""Standard output as the place for results: nothing else gets in, writing never blocks the loop.

Source: FR-006, US1.

While it is in use, whatever else in this process prints (an operator's `print`, a C library) goes
to standard error: a reader of `--json` sees results only. A reader that is slow stops the pipeline,
since its outputs are not taken meanwhile; signals are handled all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import select
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

from engine.errors import RemoteMediaError

if TYPE_CHECKING:
    from types import TracebackType

_STDERR_FD = 2
#: A pipe that is ready for writing takes this many bytes without blocking.
_SLICE_BYTES = select.PIPE_BUF
#: Width of tables where standard output is no terminal.
_PIPED_WIDTH = 160


class ReaderGoneError(Exception):
    """Whoever read standard output has closed it."""


def open_standard_streams() -> None:
    """Let the standard streams that were closed lead nowhere.

    Else the next file or socket to be opened would be one of them. Called before anything is.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - open to the end
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def say(text: str, *, end: str = "\n") -> None:
    """Print on standard output; for commands that do not take it over.

    Args:
        text: what is printed.
        end: what follows it.

    Raises:
        ReaderGoneError: nobody reads any more.
        RemoteMediaError: it cannot be written to; the disk is full.
    """
    try:
        sys.stdout.write(f"{text}{end}")
        sys.stdout.flush()
    except OSError as error:
        _discard()
        raise _fault_of(error) from error


def say_rich(*parts: object) -> None:
    """The same for what rich renders: tables, and lines beside them."""
    from rich.console import Console

    shown = io.StringIO()
    console = Console(
        file=shown, highlight=False, force_terminal=True if sys.stdout.isatty() else None
    )
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    for part in parts:
        console.print(part)
    say(shown.getvalue(), end="")


def cannot_write(error: OSError) -> RemoteMediaError:
    """The error that standard output cannot be written to."""
    return RemoteMediaError(f"cannot write to standard output: {error.strerror}")


def _fault_of(error: OSError) -> Exception:
    return ReaderGoneError() if isinstance(error, BrokenPipeError) else cannot_write(error)


def _discard() -> None:
    """Let what waits to be written go nowhere: the interpreter would try again at its end."""
    stdout = sys.stdout
    if stdout is not sys.__stdout__ or stdout is None:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stdout.fileno())
    os.close(nowhere)


class ResultStream:
    """Takes standard output over; a context manager.

    Where `sys.stdout` has been replaced, by a test or an embedding program, that is written to.
    """

    def __init__(self) -> None:
        self._fd: int | None = None
        self._stdout_fd = -1
        self._pollable = False
        self._abandoned = asyncio.Event()

    def __enter__(self) -> Self:
        if sys.stdout is not sys.__stdout__ or sys.stdout is None:
            return self
        sys.stdout.flush()
        self._stdout_fd = sys.stdout.fileno()
        self._fd = os.dup(self._stdout_fd)
        self._pollable = not stat.S_ISREG(os.fstat(self._fd).st_mode)
        with contextlib.suppress(OSError):  # started without a standard error: prints stay here
            os.dup2(_STDERR_FD, self._stdout_fd)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._fd is None:
            return
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()  # prints of operators, on their way to standard error
        os.dup2(self._fd, self._stdout_fd)
        os.close(self._fd)
        self._fd = None

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads it."""
        return self._fd is not None and os.isatty(self._fd)

    def abandon(self) -> None:
        """Write nothing more; a `write` that waits for its reader returns."""
        self._abandoned.set()

    async def write(self, text: str) -> None:
        """Write text, waiting for a reader that is slow.

        Raises:
            ReaderGoneError: nobody reads any more.
            RemoteMediaError: it cannot be written to; the disk is full.
        """
        if self._fd is None:
            self.write_nowait(text)
            return
        rest = memoryview(text.encode(errors="backslashreplace"))
        while rest and not self._abandoned.is_set():
            if not self._pollable:
                rest = rest[self._write(rest) :]
            elif self._is_writable():
                rest = rest[self._write(rest[:_SLICE_BYTES]) :]
            else:
                await self._wait_writable()

    def write_nowait(self, text: str) -> None:
        """Write text, blocking while the reader is slow; for the last words, after the loop.

        Raises:
            ReaderGoneError: nobody reads any more.
            RemoteMediaError: it cannot be written to.
        """
        if self._abandoned.is_set():
            return
        if self._fd is None:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        rest = memoryview(text.encode(errors="backslashreplace"))
        while rest:
            rest = rest[self._write(rest) :]

    def _write(self, data: memoryview) -> int:
        assert self._fd is not None
        try:
            return os.write(self._fd, data)
        except OSError as error:
            raise _fault_of(error) from error

    def _is_writable(self) -> bool:
        assert self._fd is not None
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        return bool(poller.poll(0))

    async def _wait_writable(self) -> None:
        assert self._fd is not None
        loop = asyncio.get_running_loop()
        # A duplicate: the loop may know the descriptor already, as somebody else's pipe.
        fd = os.dup(self._fd)
        ready = asyncio.Event()
        try:
            loop.add_writer(fd, ready.set)
            waits = [asyncio.ensure_future(event.wait()) for event in (ready, self._abandoned)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        finally:
            loop.remove_writer(fd)
            os.close(fd)
