"""Runs the recording through the pipeline and notes what comes out, and when.

Source: US1, NFR-003.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from engine.payloads import Audio, Text
from operators.audio.wav_file import read_blocks
from remotemedia.cli.summary import summarize

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from engine.packet import Packet
    from remotemedia.cli.summary import NodeSummary
    from remotemedia.demo.recording import Command, Recording
    from remotemedia.pipeline import Pipeline

BLOCK_MS: Final = 20
#: The node whose text is the transcript, and the one whose audio is the reply.
TRANSCRIBER: Final = "stt"
SPEAKER: Final = "tts"


@dataclass(slots=True)
class Heard:
    """What became of one command.

    Attributes:
        command: what was said.
        transcripts: what was understood; one text, unless it was missed or cut in two.
        reply_s: length of the spoken reply.
        latency_ms: from the end of its speech to the first audio of the reply; None: no reply.
        text_latency_ms: the same to the transcript.
    """

    command: Command
    transcripts: list[str] = field(default_factory=list)
    reply_s: float = 0.0
    latency_ms: float | None = None
    text_latency_ms: float | None = None

    @property
    def transcript(self) -> str:
        """What was understood."""
        return " / ".join(self.transcripts)

    @property
    def right(self) -> bool:
        """Whether that is what was said."""
        return self.transcripts == [self.command.text]


@dataclass(slots=True)
class Trial:
    """One run of the recording.

    Attributes:
        heard: the commands.
        replies: the audio of all replies, in order.
        nodes: what each node did.
        start_ms: time until all nodes were ready.
        wall_ms: from the first block sent to the last output.
    """

    heard: list[Heard]
    replies: list[Audio] = field(default_factory=list)
    nodes: list[NodeSummary] = field(default_factory=list)
    start_ms: float = 0.0
    wall_ms: float = 0.0

    @property
    def busy_ms(self) -> float:
        """What the nodes worked, added up."""
        return sum(node.busy_ms for node in self.nodes)

    @property
    def right(self) -> bool:
        """Whether every command was understood and answered."""
        return all(heard.right and heard.reply_s for heard in self.heard)

    @property
    def latencies_ms(self) -> list[float]:
        """From the end of speech to the first audio, sorted."""
        return sorted(heard.latency_ms for heard in self.heard if heard.latency_ms is not None)


async def run_trial(
    pipeline: Pipeline,
    recording: Recording,
    *,
    paced: bool,
    on_heard: Callable[[Heard], None] | None = None,
) -> Trial:
    """Run the recording through a session of the pipeline.

    Args:
        pipeline: the demonstration's.
        recording: what is fed, in blocks of 20 ms.
        paced: as a microphone would, each block when it is complete; else as fast as it is taken.
        on_heard: told of each command when its reply begins.

    Raises:
        RemoteMediaError: the session failed.
    """
    trial = Trial([Heard(command) for command in recording.commands])
    feed = _Feed(recording, paced=paced)
    began_s = time.monotonic()
    async with pipeline.session() as session:
        started_s = time.monotonic()
        async for packet in session.stream(feed.blocks()):
            _note(packet, trial, feed, on_heard)
        ended_s = time.monotonic()
    trial.nodes = summarize(session.plan, session.statistics())
    trial.start_ms = (started_s - began_s) * 1e3
    trial.wall_ms = (ended_s - started_s) * 1e3
    return trial


class _Feed:
    """Hands out the recording's blocks, and remembers when the last speech of each command left."""

    def __init__(self, recording: Recording, *, paced: bool) -> None:
        self._recording = recording
        self._paced = paced
        #: For each command that has been fed to its end, the monotonic time of that.
        self.ended_s: dict[int, float] = {}

    async def blocks(self) -> AsyncIterator[Audio]:
        began_s = time.monotonic()
        fed_s = 0.0
        for block in read_blocks(self._recording.path, BLOCK_MS):
            fed_s += block.duration_ns / 1e9
            if self._paced:
                await asyncio.sleep(began_s + fed_s - time.monotonic())
            self._note_ends(fed_s)
            yield block

    def _note_ends(self, fed_s: float) -> None:
        now_s = time.monotonic()
        for index, command in enumerate(self._recording.commands):
            if command.end_s <= fed_s:
                self.ended_s.setdefault(index, now_s)


def _note(
    packet: Packet, trial: Trial, feed: _Feed, on_heard: Callable[[Heard], None] | None
) -> None:
    now_s = time.monotonic()
    index = command_at(packet.timestamp_ns, [heard.command for heard in trial.heard])
    heard = trial.heard[index]
    since_ms = (now_s - feed.ended_s.get(index, now_s)) * 1e3
    payload = packet.payload
    if packet.source.node == TRANSCRIBER and isinstance(payload, Text):
        heard.transcripts.append(payload.text)
        if heard.text_latency_ms is None:
            heard.text_latency_ms = since_ms
    elif packet.source.node == SPEAKER and isinstance(payload, Audio):
        if heard.latency_ms is None:
            heard.latency_ms = since_ms
            if on_heard is not None:
                on_heard(heard)
        heard.reply_s += payload.duration_ns / 1e9
        trial.replies.append(payload)


def command_at(timestamp_ns: int, commands: Sequence[Command]) -> int:
    """Which command an output belongs to.

    Args:
        timestamp_ns: media time of the block that caused it: in the command, or in the silence
            behind it, which ended the utterance.
        commands: in order, at least one.

    Returns:
        Its index; the first where it comes before all of them.
    """
    begun = sum(command.start_s * 1e9 <= timestamp_ns for command in commands)
    return max(begun - 1, 0)
