"""Plays a script to operators on a bench; `StageBench.play` and `aplay` are how it is called."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

from engine.errors import RemoteMediaError, UsageError
from engine.packet import Packet
from engine.payloads import Audio
from engine.testing.recording import Event, Recording
from engine.testing.script import Call, End, Fail, Interrupt, Send, SendGroup
from engine.testing.virtual import HangError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.packet import Item
    from engine.payloads import Payload
    from engine.testing.script import Entry, Script
    from engine.testing.stage_bench import StageBench

#: Timers that may be due after the last entry of a script that is not stopped at a time.
TIMERS_MAX = 100_000


class BenchPlayer:
    """One performance on a bench, by its clock."""

    def __init__(self, bench: StageBench, script: Script, until_s: float | None) -> None:
        self._bench = bench
        self._start_ns = bench.host.now_ns()
        self._until_ns = None if until_s is None else self._start_ns + round(until_s * 1e9)
        self._entries = [
            entry
            for entry in script.entries
            if self._until_ns is None or self._start_ns + entry.at_ns <= self._until_ns
        ]
        self._before = {name: len(sink.packets) for name, sink in bench.sinks.items()}
        self._sent_before = {name: len(feeder.sent) for name, feeder in bench.feeders.items()}
        #: In edge and input port → media time at which its next audio begins.
        self._audio_ends_ns: dict[tuple[str | None, str | None], int] = {}

    def play(self) -> None:
        """Play it on a clock that this moves."""
        for entry in self._entries:
            self._advance_to(self._start_ns + entry.at_ns)
            if self._act(entry) is not None:
                raise UsageError("a coroutine needs a loop: play it by aplay(), in run_virtual()")
            self._bench.run()
        self._run_out()

    async def aplay(self) -> None:
        """Play it in the running loop."""
        clock = self._bench.host.now_ns
        for entry in self._entries:
            await asyncio.sleep((self._start_ns + entry.at_ns - clock()) / 1e9)
            awaitable = self._act(entry)
            if awaitable is not None:
                await awaitable
        left_s = None if self._until_ns is None else (self._until_ns - clock()) / 1e9
        try:
            async with asyncio.timeout(left_s):
                await self._bench.finished()
        except TimeoutError:
            self._bench.stage.cancel()

    def recording(self) -> Recording:
        """What has come out since."""
        stage, finished_ns = self._bench.stage, self._bench.finished_ns
        stopped = finished_ns is None or any(not sink.ended for sink in self._bench.sinks.values())
        at_ns = None if finished_ns is None else finished_ns - self._start_ns
        return Recording(
            tuple(sorted(self._events(), key=lambda event: event.at_ns)),
            tuple(sorted(self._sent(), key=lambda sent: sent[0])),
            None if stopped else at_ns,
            stage.error,
            None if stage.error is None else at_ns,
        )

    # --- the source -----------------------------------------------------------------------------

    def _act(self, entry: Entry) -> asyncio.Future[object] | None:
        """Do what an entry says; something to await, if that is what it calls."""
        bench = self._bench
        match entry:
            case Send(_, payload, node, port):
                header = self._header(entry, {port: payload})
                bench.feed(payload, at=node, port=port, **header)
            case SendGroup(_, payloads, node):
                header = self._header(entry, payloads)
                bench.feed_together(payloads, at=node, **header)
            case End(_, node):
                bench.finish(*([] if node is None else [node]))
            case Fail(_, error):
                bench.fail(error)
            case Interrupt():
                bench.interrupt()
            case Call(_, function):
                result = function(bench)
                return asyncio.ensure_future(result) if inspect.isawaitable(result) else None
        return None

    def _header(
        self,
        entry: Send | SendGroup,
        payloads: Mapping[str | None, Payload] | Mapping[str, Payload],
    ) -> dict[str, object]:
        """What an ingress would stamp: a port's audio is laid end to end, the rest has its time."""
        now_ns = self._bench.host.now_ns()
        audio = {
            (entry.node, port): payload
            for port, payload in payloads.items()
            if isinstance(payload, Audio)
        }
        timestamp_ns = entry.timestamp_ns
        if timestamp_ns is None and not audio:
            timestamp_ns = now_ns - self._start_ns
        elif timestamp_ns is None:
            timestamp_ns = max(self._audio_ends_ns.get(end, 0) for end in audio)
        for end, payload in audio.items():
            self._audio_ends_ns[end] = timestamp_ns + payload.duration_ns
        return {"timestamp_ns": timestamp_ns, "ingress_ns": now_ns, "metadata": entry.metadata}

    # --- time -----------------------------------------------------------------------------------

    def _advance_to(self, at_ns: int) -> None:
        clock = self._bench.clock
        clock.advance((at_ns - clock.now_ns()) / 1e9)

    def _run_out(self) -> None:
        """Go on while timers are due: to the end, or to where it is to stop."""
        stage, until_ns = self._bench.stage, self._until_ns
        for _ in range(TIMERS_MAX):
            due_ns = stage.next_due_ns()
            if due_ns is None or (until_ns is not None and due_ns > until_ns):
                break
            self._advance_to(due_ns)
        else:
            raise HangError(
                f"stage {stage.id!r} still has timers after {TIMERS_MAX}: say until_s, or end what"
                " makes them"
            )
        if until_ns is not None:
            self._advance_to(until_ns)

    # --- what came of it ------------------------------------------------------------------------

    def _events(self) -> Iterator[Event]:
        for name, sink in self._bench.sinks.items():
            first = self._before[name]
            for at_ns, packet in zip(sink.arrivals_ns[first:], sink.packets[first:], strict=True):
                yield Event(at_ns - self._start_ns, packet, str(packet.source))

    def _sent(self) -> Iterator[tuple[float, Payload]]:
        for name, feeder in self._bench.feeders.items():
            for at_ns, item in feeder.sent[self._sent_before[name] :]:
                for payload in _payloads(item):
                    yield (at_ns - self._start_ns) / 1e9, payload


def raised(recording: Recording, *, record_errors: bool) -> Recording:
    """A recording, or its error raised.

    Raises:
        RemoteMediaError: it has one, and that is not what the caller wanted to record.
    """
    if isinstance(recording.error, RemoteMediaError) and not record_errors:
        raise recording.error
    return recording


def _payloads(item: Item) -> list[Payload]:
    return [item.payload] if isinstance(item, Packet) else [packet.payload for packet in item]
