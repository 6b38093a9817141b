"""Finds for each frame the audio nearest to it in media time, whichever comes first.

Pure: no I/O, no clock; time is what the packets say. Source: FR-002.

    audio   ──┬─────┬─────┬─────┬──        a frame's audio is known as soon as audio of the
    video   ─────┬──────────┬──────        frame's time or later has come, or, where none comes,
                 └ nearest start           as soon as video is `window_ns` ahead
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from engine.interruption import Unwanted
    from engine.packet import Packet

#: Packets kept of one side at most; the oldest goes first.
HELD_MAX = 256


class Pair(NamedTuple):
    """What was found: a frame and its audio, or one of them whose partner is missing."""

    audio: Packet | None
    video: Packet | None


class Pairing:
    """Pairs two streams of packets, each in order of time.

    Every frame is decided once, in order. One whose nearest audio is farther than `window_ns` has
    none: of a run of such frames the first is reported, alone, the others are dropped. So is the
    first audio packet that comes while no frame has come for `window_ns`.

    A side whose time jumps back begins anew: what is held of both is decided or forgotten.

    Args:
        window_ns: how far apart partners may be, and how long one waits for the other. May be
            changed.
    """

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self._audio: deque[Packet] = deque()
        self._video: deque[Packet] = deque()
        #: Time up to which each side has come; None: not at all yet.
        self._audio_ns: int | None = None
        self._video_ns: int | None = None
        #: Time from which a side is missed: that of its last packet, or of the other's first.
        self._audio_missed_ns: int | None = None
        self._video_missed_ns: int | None = None
        self._audio_silent = self._video_silent = False

    @property
    def held(self) -> int:
        """Packets kept of both sides together."""
        return len(self._audio) + len(self._video)

    def feed_audio(self, packet: Packet) -> list[Pair]:
        """Take audio; what is decided by it."""
        pairs: list[Pair] = []
        now = packet.timestamp_ns
        if self._audio_ns is not None and now < self._audio_ns:
            pairs = self.flush()
        self._audio_ns = self._audio_missed_ns = now
        self._audio_silent = False
        self._audio.append(packet)
        if len(self._audio) > HELD_MAX:
            self._audio.popleft()
        if self._video_missed_ns is None:
            self._video_missed_ns = now
        return [*pairs, *self._decide(), *self._miss_video(packet)]

    def feed_video(self, packet: Packet) -> list[Pair]:
        """Take a frame; what is decided by it."""
        pairs: list[Pair] = []
        now = packet.timestamp_ns
        if self._video_ns is not None and now < self._video_ns:
            pairs = self.flush()
        self._video_ns = self._video_missed_ns = now
        self._video_silent = False
        self._video.append(packet)
        pairs += self._decide()
        if len(self._video) > HELD_MAX:
            pairs += self._pair(self._video.popleft())
        return pairs

    def flush(self) -> list[Pair]:
        """Decide what waits by what there is, and begin anew."""
        pairs = [pair for video in self._video for pair in self._pair(video)]
        self.reset()
        return pairs

    def take_back(self, unwanted: Unwanted) -> None:
        """Forget the packets that are not wanted any more."""
        self._audio = deque(packet for packet in self._audio if not unwanted(packet))
        self._video = deque(packet for packet in self._video if not unwanted(packet))

    def reset(self) -> None:
        """Forget both sides."""
        self._audio.clear()
        self._video.clear()
        self._audio_ns = self._video_ns = None
        self._audio_missed_ns = self._video_missed_ns = None
        self._audio_silent = self._video_silent = False

    def _decide(self) -> list[Pair]:
        """Decide the frames that nothing to come can have a nearer partner for."""
        pairs: list[Pair] = []
        while self._video:
            at_ns = self._video[0].timestamp_ns
            arrived = self._audio_ns is not None and self._audio_ns >= at_ns
            assert self._video_ns is not None
            if not arrived and self._video_ns - at_ns <= self.window_ns:
                break
            pairs += self._pair(self._video.popleft())
        return pairs

    def _pair(self, video: Packet) -> list[Pair]:
        """Find one frame's audio; audio that is behind it and not the nearest is forgotten."""
        at_ns = video.timestamp_ns
        audio = self._audio
        while len(audio) > 1 and audio[1].timestamp_ns <= at_ns:
            audio.popleft()
        nearest = min(
            list(audio)[:2], key=lambda packet: abs(packet.timestamp_ns - at_ns), default=None
        )
        if nearest is not None and abs(nearest.timestamp_ns - at_ns) <= self.window_ns:
            return [Pair(nearest, video)]
        if self._audio_silent:
            return []
        self._audio_silent = True
        return [Pair(None, video)]

    def _miss_video(self, audio: Packet) -> list[Pair]:
        """Say once that audio goes on without video; it waits for no frame that is far behind."""
        assert self._video_missed_ns is not None
        if self._video:
            return []
        while (
            len(self._audio) > 1
            and audio.timestamp_ns - self._audio[0].timestamp_ns > self.window_ns
        ):
            self._audio.popleft()
        silent = audio.timestamp_ns - self._video_missed_ns > self.window_ns
        if not silent or self._video_silent:
            return []
        self._video_silent = True
        return [Pair(audio, None)]
