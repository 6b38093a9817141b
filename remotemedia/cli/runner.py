"""Runs a plan for the command: files in, results out, signals in between.

Source: FR-008, FR-009, US1.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from engine.errors import EdgeClosedError
from engine.payloads import Audio, kind_of, payload_bytes
from engine.session.session import Session
from remotemedia.cli.exits import DONE
from remotemedia.cli.inputs import size_of
from remotemedia.cli.packet_text import TOLD, dump_json, one_line, packet_data
from remotemedia.cli.progress import display_for
from remotemedia.cli.signals import Interrupts
from remotemedia.cli.summary import summarize, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.executors.contract import Progress
    from engine.packet import Packet
    from engine.plan import Plan
    from remotemedia.cli.console import Console
    from remotemedia.cli.inputs import FileInput
    from remotemedia.cli.outputs import OutputFiles
    from remotemedia.cli.remote_session import RemoteSession
    from remotemedia.cli.stdout import ResultStream
    from remotemedia.cli.summary import NodeSummary
    from remotemedia.cli.wrapped_input import WrappedInput

#: What is run: here, or on a server.
RunSession: TypeAlias = "Session | RemoteSession"
OpenSession: TypeAlias = "Callable[[Callable[[Progress], object]], RunSession]"

#: Results are written together up to this many packets, while more of them are there already.
_BATCH_MAX: Final = 64
#: The bars hear of a file no more often than this.
_PROGRESS_INTERVAL_S: Final = 0.05
#: Beyond twice the grace period, for the interpreter's own end.
_END_MARGIN_S: Final = 2.0


class _KilledError(Exception):
    """A signal ended it before its end: what is open is to be given up."""


class Runner:
    """One run of a plan; `run` is its only use."""

    def __init__(
        self,
        plan: Plan,
        inputs: Sequence[FileInput | WrappedInput],
        outputs: OutputFiles,
        console: Console,
        results: ResultStream,
        *,
        as_json: bool,
        open_session: OpenSession | None = None,
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            plan: what is run.
            inputs: what feeds it; ingress nodes without one get only the end of stream.
            outputs: files of some of its sinks; the others' results go to standard output.
            console: for the person.
            results: standard output.
            as_json: whether results are JSON lines.
            open_session: makes the session, which is told of progress; None: one of our own.
        """
        self._open_session: OpenSession = open_session or (lambda tell: Session(plan, tell))
        self._plan = plan
        self._inputs = inputs
        self._outputs = outputs
        self._console = console
        self._results = results
        self._as_json = as_json
        self._display = display_for(console)
        self._ending = asyncio.Event()
        self._session: RunSession | None = None
        self._starting: asyncio.Task[None] | None = None
        #: Packets sent, per ingress node.
        self._sent = {file.node: 0 for file in inputs}
        #: Per sink, what is only summed up: audio and bytes without a file.
        self._sums: dict[str, _Sum] = {}
        self._received = 0

    async def run(self) -> int:
        """Run it.

        Returns:
            The exit code: done, or what a signal made of it.

        Raises:
            RemoteMediaError: it failed.
            ReaderGoneError: nobody reads the results.
        """
        grace_s = self._plan.settings.cleanup_grace_s
        with Interrupts(self._drain, self._kill, 2 * grace_s + _END_MARGIN_S) as interrupts:
            try:
                return await self._run(interrupts)
            except _KilledError:
                self._console.note("killed" if interrupts.killed else "ended")
                return interrupts.exit_code

    async def _run(self, interrupts: Interrupts) -> int:
        began_s = time.monotonic()
        with self._outputs, self._display:
            session = self._session = self._open_session(self._display.node)
            try:
                if not await self._start(session):
                    raise _KilledError
                ready_s = time.monotonic()
                self._display.ready(self._ready_sentence(ready_s - began_s))
                await self._stream(session)
                ended_s = time.monotonic()
            finally:
                await session.aclose()
            if interrupts.killed:
                raise _KilledError
        rows = summarize(self._plan, session.statistics())
        times = {"start_ms": (ready_s - began_s) * 1e3, "wall_ms": (ended_s - ready_s) * 1e3}
        await self._conclude(session, rows, times, interrupts.name)
        return DONE

    # --- signals ------------------------------------------------------------------------------

    def _drain(self) -> None:
        self._ending.set()
        if self._starting is not None and not self._starting.done():
            self._console.note("interrupted while starting")
            self._console.hears_workers = False
            self._starting.cancel()
            return
        self._console.note(
            "interrupted: no more input is read, what is under way is finished;"
            " a second time ends it at once"
        )

    def _kill(self) -> None:
        self._console.hears_workers = False
        self._results.abandon()
        self._ending.set()
        if self._starting is not None:
            self._starting.cancel()
        if self._session is not None:
            self._session.kill()

    # --- the session --------------------------------------------------------------------------

    async def _start(self, session: RunSession) -> bool:
        """Start the session; False if a signal ended that."""
        self._starting = asyncio.create_task(session.start())
        try:
            await self._starting
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return False
        return True

    async def _stream(self, session: RunSession) -> None:
        """Feed the session and hand out what it gives, to its end."""
        feeding = asyncio.create_task(self._feed(session))
        feeding.add_done_callback(lambda task: _stop_if_failed(task, session))
        try:
            while (packet := await session.receive()) is not None:
                batch = [packet]
                while len(batch) < _BATCH_MAX and (more := session.receive_nowait()) is not None:
                    batch.append(more)
                await self._hand_out(batch)
        finally:
            if not feeding.done():
                feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await feeding
        if not feeding.cancelled():
            feeding.result()

    async def _feed(self, session: RunSession) -> None:
        """Read all files at once, then say that there is no more."""
        reading = {asyncio.create_task(self._read(file, session)) for file in self._inputs}
        ending = asyncio.create_task(self._ending.wait())
        pending: set[asyncio.Task[Any]] = set(reading)
        try:
            while pending and not ending.done():
                done, _ = await asyncio.wait(
                    {*pending, ending}, return_when=asyncio.FIRST_COMPLETED
                )
                pending -= done
                for task in done:
                    task.result()
        finally:
            for task in (*pending, ending):
                task.cancel()
            await asyncio.gather(*pending, ending, return_exceptions=True)
        await session.end_input()

    async def _read(self, file: FileInput | WrappedInput, session: RunSession) -> None:
        done, shown_s = 0.0, 0.0
        with contextlib.closing(file.payloads()) as payloads:
            for payload in payloads:
                try:
                    await session.send(payload, file.node)
                except EdgeClosedError:
                    if session.phase in {"running", "draining"}:
                        raise
                    if session.phase == "finished":  # it takes only so much
                        break
                    return
                self._sent[file.node] += 1
                done += size_of(payload)
                now_s = time.monotonic()
                if now_s - shown_s >= _PROGRESS_INTERVAL_S:
                    shown_s = now_s
                    self._display.reading(file.name, done, file.duration_s)
        length = f", {done:.2f} s" if file.duration_s is not None else ""
        self._display.finished(file.name, f"read, {_counted(self._sent[file.node])}{length}")

    # --- results ------------------------------------------------------------------------------

    async def _hand_out(self, batch: Sequence[Packet]) -> None:
        lines = []
        for packet in batch:
            self._received += 1
            to_file = packet.source.node in self._outputs
            if to_file:
                self._outputs.write(packet)
            if self._as_json:
                lines.append(dump_json(packet_data(packet)))
            elif to_file:
                continue
            elif isinstance(packet.payload, TOLD):
                lines.append(f"{packet.source.node}: {one_line(packet.payload)}")
            else:
                self._sums.setdefault(packet.source.node, _Sum()).add(packet)
        await self._print(lines)

    async def _print(self, lines: Sequence[str]) -> None:
        if not lines:
            return
        text = "\n".join(lines)
        if not (self._results.is_terminal and self._display.line(text)):
            await self._results.write(f"{text}\n")

    async def _conclude(
        self,
        session: RunSession,
        rows: list[NodeSummary],
        times: dict[str, float],
        interrupted_by: str,
    ) -> None:
        for node, path in self._outputs.paths.items():
            written = self._outputs.written[node]
            self._console.note(
                f"{path}: {_counted(written)} of {node}"
                if written
                else f"{path}: nothing came out of {node}"
            )
        if self._as_json:
            summary = {
                "manifest": self._plan.name,
                "session_id": session.id,
                "interrupted_by": interrupted_by or None,
                **{name: round(value, 3) for name, value in times.items()},
                "inputs": self._sent,
                "outputs": self._received,
                "nodes": {row.id: row.to_dict() for row in rows},
            }
            await self._print([dump_json({"summary": summary})])
        else:
            await self._print([f"{node}: {total}" for node, total in self._sums.items()])
            self._console.rich.print(table_of(rows))
        self._console.note(
            f"{_counted(self._received)} in {times['wall_ms'] / 1e3:.2f} s,"
            f" after {times['start_ms'] / 1e3:.2f} s of starting"
        )

    def _ready_sentence(self, start_s: float) -> str:
        rows = summarize(self._plan, self._session.statistics()) if self._session else []
        processes = [f"{row.id} {row.pid}" for row in rows if row.executor == "process" and row.pid]
        where = f"; processes: {', '.join(processes)}" if processes else ""
        return f"{self._plan.name}: ready after {start_s:.2f} s{where}"


class _Sum:
    """What a sink without a file has given that is not shown packet by packet."""

    def __init__(self) -> None:
        self._packets = 0
        self._frames = 0
        self._seconds = 0.0
        self._bytes = 0
        self._kinds: set[str] = set()
        self._rates: set[int] = set()

    def add(self, packet: Packet) -> None:
        payload = packet.payload
        self._packets += 1
        if isinstance(payload, Audio):
            self._frames += payload.frames
            self._seconds += payload.duration_ns / 1e9
            self._rates.add(payload.sample_rate)
        else:
            self._bytes += payload_bytes(payload)
            self._kinds.add(kind_of(payload))

    def __str__(self) -> str:
        parts = [_counted(self._packets)]
        if self._frames:
            rates = " and ".join(str(rate) for rate in sorted(self._rates))
            parts.append(f"{self._frames} frames of audio, {self._seconds:.3f} s at {rates} Hz")
        if self._bytes:
            kinds = " and ".join(sorted(self._kinds - {"binary"}))
            parts.append(f"{self._bytes} bytes{f' of {kinds}' if kinds else ''}")
        return ", ".join(parts)


def _stop_if_failed(task: asyncio.Task[None], session: RunSession) -> None:
    if not task.cancelled() and task.exception() is not None:
        session.cancel()


def _counted(packets: int) -> str:
    return f"{packets} packet" if packets == 1 else f"{packets} packets"
