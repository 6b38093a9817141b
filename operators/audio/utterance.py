"""Cuts a stream of VAD markers and audio into utterances, to the sample.

Pure: no I/O, no clock. Source: FR-002. Shared by the operators that listen to a voice activity
detector, so that one that collects an utterance and one that works on it while it is spoken see
the same samples.

    ─────────┬── lead ──┬───── speech ─────┬── silence ──┬──────────▶ samples
           begin      start                             end
                                          (where the detector was sure of it)

A marker is a Json payload with `is_speech_start` and `is_speech_end`. Its `offset_samples` says
where the utterance starts or ends, counted from the first sample of the audio packet that follows.
With it the cut is the same however the audio was packed, also if one packet holds several
utterances. A marker without it, as other detectors send it, cuts between packets: the utterance
then begins with the last `PRE_ROLL_PACKETS` packets.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.payloads import Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from engine.interruption import Lineage, Unwanted
    from engine.packet import Packet
    from engine.payloads import Audio, Payload

#: Packets before an unlocated start that belong to its utterance, as far as `REACH_MS` goes.
PRE_ROLL_PACKETS = 20
#: Sound before a located start that belongs to its utterance: recognizers want some background.
LEAD_MS = 300
#: How far back a start may lie: detectors announce it only when speech has lasted for a while.
REACH_MS = 3_000
#: Markers that may wait for the audio they speak of; a packet of an hour has fewer.
MARKERS_WAITING_MAX = 65_536
#: Larger packets may be leased memory, which a view would keep from being reused.
_VIEW_BYTES_MAX = 65_536


#: Metadata key of audio that is a part of an utterance; see `Part`.
PART = "utterance_part"


class Part(StrEnum):
    """Where a packet stands in an utterance that is sent while it is being spoken."""

    BEGIN = "begin"
    MIDDLE = "middle"
    END = "end"


class Piece(NamedTuple):
    """A stretch of one utterance.

    Attributes:
        samples: shape (frames, channels), a view of a packet or of what was kept; empty in a last
            piece that only says that the utterance is over.
        sample_rate: Hz.
        begins: it is the utterance's first piece.
        ends: it is the utterance's last piece.
        speech_frames: frames of the utterance up to here, without its lead.
        origin: that of the packet it was cut from, where the cutter was told.
    """

    samples: npt.NDArray[Any]
    sample_rate: int
    begins: bool
    ends: bool
    speech_frames: int
    origin: Lineage | None = None


class _Cut(NamedTuple):
    """A marker that waits for its audio; position in frames from the beginning of the stream."""

    begins: bool
    position: int
    located: bool
    origin: Lineage | None


@dataclass(slots=True)
class _Recent:
    """Frames that can still become a lead; what is taken back keeps its place, and is not heard."""

    samples: npt.NDArray[Any]
    origin: Lineage | None
    wanted: bool = True

    def __len__(self) -> int:
        return len(self.samples)


def marker_of(payload: Payload) -> dict[str, Any] | None:
    """A voice activity detector's word on the audio that follows; None if it is something else."""
    value = payload.value if isinstance(payload, Json) else None
    if isinstance(value, dict) and "is_speech_start" in value and "is_speech_end" in value:
        return value
    return None


def part_of(packet: Packet) -> Part | None:
    """Which part of an utterance an audio packet is; None: it is not one of several."""
    word = packet.metadata.get(PART)
    return Part(word) if word in set(Part) else None


def as_part(packet: Packet, audio: Audio, part: Part) -> Packet:
    """An audio packet that is a part of an utterance; it keeps the metadata of `packet`."""
    return packet.with_payload(audio, {**packet.metadata, PART: part.value})


def detached(samples: npt.NDArray[Any], packet_bytes: int) -> npt.NDArray[Any]:
    """Samples to keep beyond the turn: a view of a small packet, a copy of a part of a large one.

    Args:
        samples: a part of a packet's samples.
        packet_bytes: size of the whole packet.
    """
    return samples if packet_bytes <= _VIEW_BYTES_MAX else samples.copy()


class UtteranceCutter:
    """Turns markers and audio into pieces of utterances.

    Args:
        utterance_ms_max: an utterance ends after so long; another one goes on without a gap. May
            be changed.
    """

    def __init__(self, utterance_ms_max: int) -> None:
        self.utterance_ms_max = utterance_ms_max
        self._form: tuple[int, int, Any] = (0, 1, np.dtype(np.float32))
        self.reset()

    def reset(self) -> None:
        """Forget the stream: what follows is the beginning of another one."""
        self._received = 0
        self._cuts: deque[_Cut] = deque()
        #: What can still become a lead: the frames before the next one to handle, while closed.
        self._recent: deque[_Recent] = deque()
        self._recent_frames = 0
        self._open = False
        #: The open utterance's first piece has been handed out.
        self._begun = False
        self._open_frames = 0
        self._lead_frames = 0

    def take_back(self, unwanted: Unwanted) -> None:
        """Drop what is kept, and the markers that wait, of packets that are not wanted any more."""
        self._cuts = deque(
            cut for cut in self._cuts if cut.origin is None or not unwanted(cut.origin)
        )
        for recent in self._recent:
            if recent.origin is not None and unwanted(recent.origin):
                recent.wanted = False

    def mark(self, marker: dict[str, Any], origin: Lineage | None = None) -> None:
        """Take a marker's value; it acts when the audio it speaks of comes.

        Args:
            marker: the value.
            origin: that of its packet, by which it may be taken back.

        Raises:
            ValueError: markers come, but no audio.
        """
        offset = marker.get("offset_samples")
        located = isinstance(offset, int)
        position = self._received + offset if isinstance(offset, int) else self._received
        if marker["is_speech_end"]:
            self._cuts.append(_Cut(False, position, located, origin))
        if marker["is_speech_start"]:
            self._cuts.append(_Cut(True, position, located, origin))
        if len(self._cuts) > MARKERS_WAITING_MAX:
            raise ValueError(
                f"{len(self._cuts)} speech markers came without the audio they speak of:"
                " connect the detector's audio as well"
            )

    def feed(self, audio: Audio, origin: Lineage | None = None) -> Iterator[Piece]:
        """Take an audio packet; gives the pieces known with it. Must be read to the end.

        Args:
            audio: its payload.
            origin: its origin, by which it may be taken back.
        """
        samples = audio.samples
        form = (audio.sample_rate, audio.channels, samples.dtype)
        if form != self._form:
            yield from self._change(form)
        handled = 0
        while self._cuts and self._cuts[0].position <= self._received + audio.frames:
            cut = self._cuts.popleft()
            at = cut.position - self._received
            if cut.begins and not self._open:
                handled = self._begin(at, handled, located=cut.located)
            elif self._open and not cut.begins:
                stop = max(at, handled)
                yield from self._speak(samples[handled:stop], origin)
                yield from self._end()
                handled = stop
        if self._open:
            yield from self._speak(samples[handled:], origin)
        else:
            self._remember(samples[handled:], samples.nbytes, origin)
        self._received += audio.frames

    def flush(self) -> Iterator[Piece]:
        """End the stream, and with it an utterance that is still open."""
        yield from self._end()
        self.reset()

    def _change(self, form: tuple[int, int, Any]) -> Iterator[Piece]:
        # Waiting markers are about the new audio, relative to where the old one stopped.
        cuts = [cut._replace(position=cut.position - self._received) for cut in self._cuts]
        yield from self._end()
        self.reset()
        self._cuts.extend(cuts)
        self._form = form

    def _begin(self, start: int, handled: int, *, located: bool) -> int:
        """Open an utterance; `start` and `handled` count from the current packet's first frame.

        Returns:
            The first frame of the packet that belongs to the utterance and is not in `_recent`.
        """
        if located:
            lead = self._form[0] * LEAD_MS // 1000
        else:
            lead = sum(len(kept) for kept in islice(reversed(self._recent), PRE_ROLL_PACKETS))
        # Not before the end of the utterance before, nor before what is kept.
        begin = max(start - lead, handled - self._recent_frames)
        self._open = True
        self._begun = False
        self._open_frames = 0
        self._lead_frames = max(start - begin, 0)
        self._trim_recent(max(handled - begin, 0))
        return max(begin, handled)

    def _speak(self, samples: npt.NDArray[Any], origin: Lineage | None) -> Iterator[Piece]:
        """Hand out what was kept, then `samples`, as pieces of the open utterance."""
        while self._recent:
            recent = self._recent.popleft()
            if recent.wanted:
                yield from self._portions(recent.samples, recent.origin)
            else:
                self._lead_frames = max(self._lead_frames - len(recent), 0)
        self._recent_frames = 0
        yield from self._portions(samples, origin)

    def _portions(self, samples: npt.NDArray[Any], origin: Lineage | None) -> Iterator[Piece]:
        frames_max = max(1, self._form[0] * self.utterance_ms_max // 1000)
        while len(samples):
            portion = samples[: max(frames_max - self._open_frames, 0)]
            samples = samples[len(portion) :]
            self._open_frames += len(portion)
            full = self._open_frames >= frames_max
            yield self._piece(portion, ends=full, origin=origin)
            if full:
                self._begun = False
                self._open_frames = self._lead_frames = 0

    def _end(self) -> Iterator[Piece]:
        self._open = False
        if self._begun:
            _, channels, dtype = self._form
            yield self._piece(np.empty((0, channels), dtype), ends=True)
            self._begun = False

    def _piece(
        self, samples: npt.NDArray[Any], *, ends: bool, origin: Lineage | None = None
    ) -> Piece:
        begins, self._begun = not self._begun, True
        speech_frames = max(self._open_frames - self._lead_frames, 0)
        return Piece(samples, self._form[0], begins, ends, speech_frames, origin)

    def _remember(
        self, samples: npt.NDArray[Any], packet_bytes: int, origin: Lineage | None
    ) -> None:
        reach = self._form[0] * REACH_MS // 1000
        if not len(samples):
            return
        kept = _Recent(detached(samples[-reach:], packet_bytes), origin)
        self._recent.append(kept)
        self._recent_frames += len(kept)
        while self._recent_frames - len(self._recent[0]) >= reach:
            self._recent_frames -= len(self._recent.popleft())

    def _trim_recent(self, frames: int) -> None:
        """Keep only the last `frames` of what is kept."""
        while self._recent and self._recent_frames - len(self._recent[0]) >= frames:
            self._recent_frames -= len(self._recent.popleft())
        surplus = self._recent_frames - frames
        if surplus > 0:
            first = self._recent[0]
            self._recent[0] = replace(first, samples=first.samples[surplus:])
            self._recent_frames = frames
