"""Plays audio as fast as it is heard.

Source: FR-012, US1. No I/O. Goes last before whatever plays the sound: what was made long before it
is heard waits here, where an interrupt drops it, and not behind the pipeline's end.

    packets   |--a--|--b--|--c--|            as fast as they are made, until held_max_ms is held
    blocks    |a1|a2|b1|b2|c1|c2|            each when the one before it has been heard

A block that is a whole packet is handed on as it came; others are views of their packet.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from pydantic import Field

from engine.interruption import Played
from engine.operator import Emission, Operator
from engine.operator import Params as BaseParams
from engine.packet import DEFAULT_OUTPUT
from engine.payloads import Audio
from operators.taking_back import taken_back

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from engine.interruption import CancelledSpan
    from engine.operator import Context, Output
    from engine.packet import Packet
    from engine.payloads import Control

_NS_PER_S: Final = 1_000_000_000
#: Packets it holds, however short they are.
_HELD_COUNT_MAX: Final = 1_000
#: Things it says of that were heard to their end, and things it says of at all.
_HEARD_MAX: Final = 32
_TOLD_MAX: Final = 64
#: Metadata that says what is spoken, see EspeakTTSNode.
_TEXT: Final = "text"
_NO_AUDIO: Final = Audio(np.zeros((0, 1), np.float32), 1)


@dataclass(slots=True)
class _Entry:
    """Packets that follow each other, of one sequence and one text.

    Attributes:
        first: the first of them, without its samples.
        given_ns: length of all that have come.
        done_ns: length of those that were handed on whole.
        played_ns: how much of all was handed on.
    """

    first: Packet
    given_ns: int = 0
    done_ns: int = 0
    played_ns: int = 0

    def covers(self, packet: Packet) -> bool:
        """Whether a packet goes on with it."""
        same = packet.metadata.get(_TEXT) == self.first.metadata.get(_TEXT)
        return same and packet.sequence == self.first.sequence


class _Held(NamedTuple):
    """A packet that waits; `entry` is None where nothing of it is to be heard."""

    packet: Packet
    entry: _Entry | None


class _Stretch:
    """When the next block is due, by the frames since sound set in: no rounding adds up."""

    def __init__(self, start_ns: int = 0) -> None:
        self._start_ns = start_ns
        self._frames = 0
        self._rate: int = 1

    @property
    def due_ns(self) -> int:
        """When all that was handed on has been heard, on the stage's clock."""
        return self._start_ns + self._frames * _NS_PER_S // self._rate

    def add(self, frames: int, rate: int) -> None:
        """A block was handed on."""
        if rate != self._rate:
            self._start_ns, self._frames, self._rate = self.due_ns, 0, rate
        self._frames += frames


class Playback(Operator):
    """Takes audio as fast as it comes, and hands it on as fast as it is heard.

    Packets leave in blocks of `block_ms`, the last one of a packet as short as its rest, each when
    the block before it has been heard: who plays them is at most one block ahead. Due times count
    from where sound set in, so that nothing drifts; a block that is late does not delay the next
    ones. When it holds `held_max_ms` it takes no more, and whoever makes the audio waits. Each
    block has the media time of its first frame and its packet's metadata; its sequence is that of
    the packet that came last, as of all that waits for its time. What is not audio leaves behind
    the audio before it. At the end of the stream the rest is still played, in time.

    An interrupt makes it forget what it holds, and its settlement says what was heard
    (`Settlement.played`): an entry for packets that follow each other with one sequence and one
    `text` in their metadata, for the sequence under way from its beginning (of more than 32 heard
    entries the newest), and for what was to follow. A block counts as heard when it is handed on.

    A CancelSpeculation makes it drop the packets of its span, and what is left of the one under
    way; what follows them is heard as soon as what was handed on has been.
    """

    node_type = "PlaybackNode"
    accepts = frozenset({"audio"})
    emits = frozenset({"audio"})
    stateful = True
    chooses = True
    hot = frozenset({"block_ms", "held_max_ms"})

    class Params(BaseParams):
        block_ms: int = Field(20, ge=1, le=1_000, description="length of a block at most, ms")
        held_max_ms: int = Field(
            30_000,
            ge=1,
            le=600_000,
            description="when it holds so much audio it takes no more until less is left, ms",
        )

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._held: deque[_Held] = deque()
        #: Length of the packets that are held, and the frames of the first that were handed on.
        self._held_ns = 0
        self._at = 0
        #: Where the block ends that `_next` has given, and whether it is to be counted.
        self._stop = 0
        self._given = False
        self._stretch = _Stretch()
        self._cancel_timer: Callable[[], None] | None = None
        #: Entries of the sequence under way that were heard, then the one under way and what
        #: follows.
        self._heard: deque[_Entry] = deque(maxlen=_HEARD_MAX)
        self._entries: deque[_Entry] = deque()

    def wants(self, port: str) -> bool:
        held_ns = self._held_ns
        if self._at:
            held_ns -= self._at * _NS_PER_S // self._held[0].packet.expect(Audio).sample_rate
        return held_ns < self.params.held_max_ms * 1_000_000 and len(self._held) < _HELD_COUNT_MAX

    def process(self, packet: Packet, ctx: Context) -> None:
        now_ns = ctx.now_ns
        if not self._held and self._stretch.due_ns < now_ns:
            self._stretch = _Stretch(now_ns)  # there was silence: sound sets in now
        self._hold(packet)
        self._arm(ctx)

    def flush(self, ctx: Context) -> AsyncIterator[Output] | None:
        self._disarm()
        return self._play_rest(ctx) if self._held else None

    def control(self, control: Control, ctx: Context) -> None:
        span = taken_back(control)
        if span is None:
            return
        if self._given:
            self._handed_on()
        timed = self._cancel_timer is not None
        self._disarm()
        self._drop(span)
        if timed:
            self._arm(ctx)

    def reset(self, ctx: Context) -> None:
        self._disarm()
        self._given = False
        self._held.clear()
        self._held_ns = self._at = 0
        self._stretch = _Stretch()
        self._heard.clear()
        self._entries.clear()

    def played(self) -> list[Played]:
        return [
            Played(entry.first.sequence, entry.played_ns, entry.given_ns, entry.first.metadata)
            for entry in islice((*self._heard, *self._entries), _TOLD_MAX)
        ]

    # --- taking -------------------------------------------------------------------------------

    def _hold(self, packet: Packet) -> None:
        audio = packet.payload
        if not isinstance(audio, Audio) or not audio.frames:
            self._held.append(_Held(packet.keep(), None))
            return
        if not (self._entries and self._entries[-1].covers(packet)):
            self._entries.append(_Entry(packet.with_payload(_NO_AUDIO)))
        entry = self._entries[-1]
        entry.given_ns += audio.duration_ns
        self._held_ns += audio.duration_ns
        self._held.append(_Held(packet.keep(), entry))

    def _drop(self, span: CancelledSpan) -> None:
        """Drop the packets of a span; an entry of which nothing was, or will be, heard goes too."""
        if self._at and span(self._held[0].packet):
            entry = self._held[0].entry
            assert entry is not None
            entry.done_ns = entry.played_ns
            self._at = 0
        self._held = deque(held for held in self._held if not span(held.packet))
        sounds = [held for held in self._held if held.entry is not None]
        self._held_ns = sum(held.packet.expect(Audio).duration_ns for held in sounds)
        alive = {id(held.entry) for held in sounds}
        self._entries = deque(
            entry for entry in self._entries if entry.played_ns or id(entry) in alive
        )

    # --- playing ------------------------------------------------------------------------------

    def _arm(self, ctx: Context) -> None:
        if self._held and self._cancel_timer is None:
            self._cancel_timer = ctx.call_later(self._wait_s(ctx), lambda: self._play(ctx))

    def _disarm(self) -> None:
        cancel, self._cancel_timer = self._cancel_timer, None
        if cancel is not None:
            cancel()

    def _play(self, ctx: Context) -> None:
        self._cancel_timer = None
        while self._held and self._wait_s(ctx) <= 0:
            ctx.emit(self._next())
            self._handed_on()
        self._arm(ctx)

    async def _play_rest(self, ctx: Context) -> AsyncIterator[Output]:
        """What is held, in time: by the stage's clock, as `_play` does it."""
        while self._held:
            wait_s = self._wait_s(ctx)
            if wait_s > 0:
                due = asyncio.Event()
                ctx.call_later(wait_s, due.set)
                await due.wait()
                continue  # some of it may have been taken back meanwhile
            yield self._next()
            if self._given:
                self._handed_on()  # now it was taken; what an interrupt drops was not heard

    def _wait_s(self, ctx: Context) -> float:
        """How long until the next output is due."""
        if self._held[0].entry is None:
            return 0.0
        return (self._stretch.due_ns - ctx.now_ns) / _NS_PER_S

    def _next(self) -> Output:
        packet, entry = self._held[0]
        start, self._stop = self._at, 0
        self._given = True
        if entry is None:
            return Emission(DEFAULT_OUTPUT, packet, packet.timestamp_ns)
        audio = packet.expect(Audio)
        rate = audio.sample_rate
        self._stop = min(audio.frames, start + max(1, rate * self.params.block_ms // 1_000))
        if self._stop - start < audio.frames:
            packet = packet.with_payload(Audio(audio.samples[start : self._stop], rate))
        timestamp_ns = packet.timestamp_ns + start * _NS_PER_S // rate
        return Emission(DEFAULT_OUTPUT, packet, timestamp_ns)

    def _handed_on(self) -> None:
        """Count what `_next` gave."""
        self._given = False
        packet, entry = self._held[0]
        if entry is None:
            self._held.popleft()
            return
        self._begin(entry)
        audio = packet.expect(Audio)
        self._stretch.add(self._stop - self._at, audio.sample_rate)
        if self._stop < audio.frames:
            self._at = self._stop
            entry.played_ns = entry.done_ns + self._at * _NS_PER_S // audio.sample_rate
            return
        self._at = 0
        self._held.popleft()
        self._held_ns -= audio.duration_ns
        entry.done_ns += audio.duration_ns
        entry.played_ns = entry.done_ns

    def _begin(self, entry: _Entry) -> None:
        """An entry is under way: those before it were heard."""
        while self._entries[0] is not entry:
            self._heard.append(self._entries.popleft())
        if self._heard and self._heard[-1].first.sequence != entry.first.sequence:
            self._heard.clear()
