"""Plays a script to a whole session, and records what comes out.

    recording = run_virtual(play(pipeline, Script.marbles("-a--b-|")))
    recording.expect("-a--b-|")

On a loop on virtual time this takes no time; on another one it takes as long as the script.
"""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from engine.clock import clock_of
from engine.errors import RemoteMediaError, UsageError
from engine.pipeline import Pipeline
from engine.testing.recording import Event, Recording
from engine.testing.script import Call, End, Fail, Interrupt, Script, Send, SendGroup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from engine.composition.composable import Composable
    from engine.session.inputs import Input
    from engine.session.session import Session
    from engine.testing.script import Entry


class HasSession(Protocol):
    """A pipeline, of whichever package."""

    def session(self) -> Any:
        """See `engine.pipeline.Pipeline.session`."""


#: What a script is played to: a pipeline, an operator, or a flow of operators.
Playable: TypeAlias = "HasSession | Composable"


@dataclass(frozen=True, slots=True)
class Reader:
    """How the outputs of a session are read; by default as they come.

    Attributes:
        every_s: at most one packet in so much time: a slow sink.
        stops_s: when it stops to read, in seconds from the beginning; None: never.
        resumes_s: when it reads on; None: never.
    """

    every_s: float = 0.0
    stops_s: float | None = None
    resumes_s: float | None = None


async def play(
    target: Playable,
    script: Script,
    *,
    reader: Reader | None = None,
    until_s: float | None = None,
    record_errors: bool = False,
) -> Recording:
    """Run a session, do what a script says, and record what comes out.

    Time counts from when the session is ready. What finds no credit is sent late, and what follows
    it in the script after it, as by any source that waits.

    Args:
        target: a pipeline; an operator or a flow gets a pipeline of its own. All nodes are local
            on virtual time.
        script: what its source does.
        reader: how its outputs are read.
        until_s: when to stop it, in seconds; None: when it has ended, which the script must bring
            about.
        record_errors: keep what it fails with in the recording, instead of raising it.

    Raises:
        UsageError: the script cannot be played, or never ends and `until_s` is not given.
        RemoteMediaError: the session failed.
        Exception: what the script let its source raise.
    """
    script.check_stop(until_s)
    async with _session_of(target) as session:
        player = _Player(session, reader or Reader())
        await player.run(script, until_s)
    if player.error is not None and (player.mistaken or not record_errors):
        raise player.error
    return player.recording()


async def source(script: Script) -> AsyncIterator[Input]:
    """A script's payloads at their times: an input for `Session.stream`.

    Yields payloads, groups of them, and pairs of a node and these where the script names a node.

    Raises:
        UsageError: the script does what an input cannot.
        Exception: what the script lets it raise.
    """
    clock = clock_of(asyncio.get_running_loop())
    start_ns = clock()
    for entry in script.entries:
        await asyncio.sleep((start_ns + entry.at_ns - clock()) / 1e9)
        match entry:
            case Send(payload=payload, node=node, port=None):
                yield payload if node is None else (node, payload)
            case SendGroup(payloads=payloads, node=node):
                yield payloads if node is None else (node, payloads)
            case End():
                return
            case Fail(error=error):
                raise error
            case _:
                raise UsageError(f"an input cannot do this: {entry!r}; use play()")
    if not script.ends:  # a source that stalls
        await asyncio.Event().wait()


def _session_of(target: Playable) -> AbstractAsyncContextManager[Session]:
    pipeline: Any = target if hasattr(target, "session") else Pipeline("played") | target
    session: AbstractAsyncContextManager[Session] = pipeline.session()
    return session


class _Player:
    """One performance."""

    def __init__(self, session: Session, reader: Reader) -> None:
        self.error: Exception | None = None
        #: Whether the error is the script's own, and nothing to be recorded.
        self.mistaken = False
        #: Nodes whose input the script ends by name; the session's ends with the last of them.
        self._unended: set[str] = set()
        self._session = session
        self._reader = reader
        self._clock = clock_of(asyncio.get_running_loop())
        self._start_ns = self._clock()
        self._events: list[Event] = []
        self._sent: list[tuple[float, Any]] = []
        self._ended_ns: int | None = None
        self._failed_ns: int | None = None
        self._failed = asyncio.Event()

    async def run(self, script: Script, until_s: float | None) -> None:
        """Send and read until it has ended, failed, or is stopped."""
        self._unended = {
            entry.node for entry in script.entries if type(entry) is End and entry.node
        }
        sending = asyncio.create_task(self._send_all(script), name="scripted source")
        reading = asyncio.create_task(self._read_all(), name="scripted sink")
        failing = asyncio.create_task(self._failed.wait(), name="scripted failure")
        tasks = {sending, reading, failing}
        try:
            timeout_s = None if until_s is None else until_s - self._now_s()
            await asyncio.wait(
                {reading, failing}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if reading.done() and not reading.cancelled():
            reading.result()

    def recording(self) -> Recording:
        """What has come out."""
        return Recording(
            tuple(self._events), tuple(self._sent), self._ended_ns, self.error, self._failed_ns
        )

    # --- the source -----------------------------------------------------------------------------

    async def _send_all(self, script: Script) -> None:
        try:
            for entry in script.entries:
                await self._sleep_until(entry.at_ns)
                await self._act(entry)
        except UsageError as error:
            self.mistaken = True
            self._fail(error)
        except RemoteMediaError:  # the session's: its outputs end by it, too
            return
        except Exception as error:  # noqa: BLE001 - what the script lets the source raise
            self._fail(error)

    async def _act(self, entry: Entry) -> None:
        session = self._session
        match entry:
            case Send(_, payload, node, port, timestamp_ns, metadata):
                await session.send(
                    payload, node, port=port, timestamp_ns=timestamp_ns, metadata=metadata
                )
                self._sent.append((self._now_s(), payload))
            case SendGroup(_, payloads, node, timestamp_ns, metadata):
                await session.send_group(
                    payloads, node, timestamp_ns=timestamp_ns, metadata=metadata
                )
                self._sent += [(self._now_s(), payload) for payload in payloads.values()]
            case End(_, node):
                self._unended.discard(node or "")
                if node is None or not self._unended:
                    await session.end_input()
            case Fail(_, error):
                raise error
            case Interrupt():
                await session.interrupt()
            case Call(_, function):
                await _finished(function(session))

    def _fail(self, error: Exception) -> None:
        if self._failed_ns is None:
            self.error = error
            self._failed_ns = self._now_ns()
            self._failed.set()

    # --- the sink -------------------------------------------------------------------------------

    async def _read_all(self) -> None:
        try:
            while (packet := await self._read()) is not None:
                self._events.append(Event(self._now_ns(), packet, str(packet.source)))
                await asyncio.sleep(self._reader.every_s)
            self._ended_ns = self._now_ns()
        except RemoteMediaError as error:
            self._fail(error)

    async def _read(self) -> Any:
        """The next output; none is taken while the reader has stopped."""
        stops_s, resumes_s = self._reader.stops_s, self._reader.resumes_s
        if stops_s is None or (resumes_s is not None and self._now_s() >= resumes_s):
            return await self._session.receive()
        try:
            async with asyncio.timeout(stops_s - self._now_s()):
                return await self._session.receive()
        except TimeoutError:
            if resumes_s is None:
                await asyncio.get_running_loop().create_future()
            else:
                await self._sleep_until(round(resumes_s * 1e9))
        return await self._session.receive()

    # --- time -----------------------------------------------------------------------------------

    async def _sleep_until(self, at_ns: int) -> None:
        await asyncio.sleep((at_ns - self._now_ns()) / 1e9)

    def _now_ns(self) -> int:
        return self._clock() - self._start_ns

    def _now_s(self) -> float:
        return self._now_ns() / 1e9


async def _finished(result: Any) -> None:
    if inspect.isawaitable(result):
        await result
