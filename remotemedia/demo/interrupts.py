"""Interrupts the replies of the demonstration, and sees what was heard of them.

Source: FR-012, US1.

    commands ─▶ … ▸ stt ═▶ reply ═▶ tts ═▶ player ─▶ whoever listens
                           └──── the scope ─────┘

A command is fed as fast as it is taken, its reply is played as fast as it is heard, and at a random
instant of the reply all of it is interrupted: what speaks, not what listens. From the
acknowledgement on no audio of an older generation may come out. What was heard by then goes into
the history of the conversation.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final

from engine.payloads import Audio, Text
from operators.audio.wav_file import read_blocks
from remotemedia.demo.history import History
from remotemedia.demo.trial import BLOCK_MS, SPEAKER, TRANSCRIBER
from remotemedia.pipeline import Pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from engine.interruption import Played
    from engine.packet import Packet
    from engine.session.session import Session
    from remotemedia.demo.recording import Command, Recording

#: The node that plays the replies, and the first of those that an interrupt is about.
PLAYER: Final = "player"
SCOPE: Final = "reply"
#: The replies are spoken fast: the demonstration lasts about as long as what is heard of them.
_RATE_WPM: Final = 300
#: Silence that is fed before and behind a command; the latter ends it.
_BEFORE_S: Final = 0.3
_BEHIND_S: Final = 0.5
#: So long a reply may take to begin.
_REPLY_WITHIN_S: Final = 20.0
#: For so long stale audio is looked for behind the last interrupt.
_TAIL_S: Final = 0.2


@dataclass(slots=True)
class BargeIn:
    """One interrupt.

    Attributes:
        command: what was said.
        transcripts: what was understood.
        reply_ms: when, since the first audio of its reply came; None: no reply came.
        acknowledged_ms: how long the acknowledgement took.
        received_ns: length of the audio that had come out of the session by then.
        played: what the player said of it.
    """

    command: Command
    transcripts: list[str] = field(default_factory=list)
    reply_ms: float | None = None
    acknowledged_ms: float = 0.0
    received_ns: int = 0
    played: tuple[Played, ...] = ()

    @property
    def played_ns(self) -> int:
        """How much of the reply was played."""
        return sum(each.played_ns for each in self.played)


@dataclass(slots=True)
class Conversation:
    """Commands and replies that were interrupted.

    Attributes:
        barge_ins: the interrupts.
        history: what was said and heard.
        stale: audio packets that came out after the interrupt that made them stale had been
            acknowledged.
        late: how often a stage had not dropped what it held by the deadline.
    """

    barge_ins: list[BargeIn] = field(default_factory=list)
    history: History = field(default_factory=History)
    stale: int = 0
    late: int = 0

    @property
    def right(self) -> bool:
        """Whether every command was answered, and nothing stale came out."""
        answered = all(each.reply_ms is not None for each in self.barge_ins)
        return answered and not self.stale


def with_player(manifest: Path) -> Pipeline:
    """The demonstration's pipeline with a node behind the speaker that plays its audio in time.

    Raises:
        UsageError: the manifest is wrong.
    """
    data = json.loads(manifest.read_text(encoding="utf-8"))
    for node in data["nodes"]:
        if node["id"] == SPEAKER:
            node["params"]["rate_wpm"] = _RATE_WPM
    data["nodes"].append({"id": PLAYER, "node_type": "PlaybackNode"})
    data["connections"].append({"from": SPEAKER, "to": PLAYER})
    return Pipeline.from_manifest(data)


async def converse(
    pipeline: Pipeline, recording: Recording, *, interrupts: int, seed: int
) -> Conversation:
    """Say commands, and interrupt the reply to each.

    Args:
        pipeline: see `with_player`.
        recording: where the commands come from.
        interrupts: how many.
        seed: of the choice of commands and instants.

    Raises:
        RemoteMediaError: the session failed.
    """
    async with pipeline.session() as session:
        talk = _Talk(session, recording, Random(seed))  # noqa: S311 - chance, not secrecy
        for _ in range(interrupts):
            await talk.say_and_interrupt()
        await talk.listen(_TAIL_S)
    return talk.conversation


class _Talk:
    """A conversation that is under way."""

    def __init__(self, session: Session, recording: Recording, random: Random) -> None:
        self.conversation = Conversation()
        self._session = session
        self._random = random
        self._commands = recording.commands
        self._blocks = list(read_blocks(recording.path, BLOCK_MS))
        #: That of the newest interrupt that was acknowledged.
        self._generation = 0
        self._current = BargeIn(recording.commands[0])
        self._reply: Packet | None = None

    async def say_and_interrupt(self) -> None:
        command = self._random.choice(self._commands)
        self._current, self._reply = BargeIn(command), None
        self.conversation.barge_ins.append(self._current)
        await self._say(command)
        await self.listen(_REPLY_WITHIN_S, until_reply=True)
        for transcript in self._current.transcripts:
            self.conversation.history.said(transcript)
        if self._reply is not None:
            began_s = time.monotonic()
            length_s = float(self._reply.metadata["text_ms"]) / 1e3
            await self.listen(self._random.uniform(0, length_s))
            self._current.reply_ms = (time.monotonic() - began_s) * 1e3
        await self._interrupt()

    async def _say(self, command: Command) -> None:
        first = max(0, round((command.start_s - _BEFORE_S) * 1e3 / BLOCK_MS))
        last = round((command.end_s + _BEHIND_S) * 1e3 / BLOCK_MS)
        for block in self._blocks[first:last]:
            await self._session.send(block)

    async def _interrupt(self) -> None:
        while (packet := self._session.receive_nowait()) is not None:
            self._note(packet)  # what has come out was heard
        called_s = time.monotonic()
        ack = await self._session.interrupt(SCOPE, reason="barge-in")
        self._current.acknowledged_ms = (time.monotonic() - called_s) * 1e3
        self._generation = ack.generation
        settlement = await ack.settled()
        self.conversation.late += bool(settlement.late)
        self._current.played = settlement.played.get(PLAYER, ())
        self.conversation.history.heard(self._current.played)

    async def listen(self, seconds: float, *, until_reply: bool = False) -> None:
        """Take what comes out for some time, or until the reply has begun."""
        try:
            async with asyncio.timeout(seconds):
                while not (until_reply and self._reply is not None):
                    packet = await self._session.receive()
                    if packet is None:
                        return
                    self._note(packet)
        except TimeoutError:
            pass

    def _note(self, packet: Packet) -> None:
        payload = packet.payload
        if packet.source.node == TRANSCRIBER and isinstance(payload, Text):
            self._current.transcripts.append(payload.text)
        elif packet.source.node == PLAYER and isinstance(payload, Audio):
            if packet.generation < self._generation:
                self.conversation.stale += 1
                return
            if self._reply is None:
                self._reply = packet
            self._current.received_ns += payload.duration_ns
