"""Speaks text with espeak-ng: small, offline, in more than 100 languages.

Source: FR-002. No I/O but loading voices. Speaks several hundred times faster than real time; the
first chunk of a text is there after 4 to 9 ms.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Audio, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from engine.operator import Context, Outputs
    from engine.packet import Packet
    from operators.speech.espeak_library import EspeakLibrary

#: What ends a clause: a punctuation mark and what closes around it, before white space; the marks
#: of scripts that set none; an empty line. "3.5" and "1,000" stay whole.
_CLAUSE_END: Final = re.compile(
    r"[.!?;:,…]+[\"'»”’)\]]*(?=\s)|[。！？；：，、]+|\n\s*\n"  # noqa: RUF001
)
#: Longer clauses are cut between words: what one call speaks is held in memory.
_CLAUSE_CHARS_MAX: Final = 400
_INT16_SCALE: Final = 32_768.0


class EspeakTTS(Operator):
    """Turns text into speech: float32, mono, 22050 Hz, in chunks of `chunk_ms`.

    Chunks come clause by clause, as they are asked for: a text of any length is spoken in little
    memory, and its beginning does not wait for its end. A text's samples depend on the text and
    the params alone. Every clause ends with its pause, the last one too, so that texts that follow
    each other sound like sentences that do. Text for channel "ui" is not spoken: it passes through,
    like all that is not text. A text without words emits nothing.

    Metadata say what a chunk is part of: `text` is the clause, behind such as are too short for a
    chunk, and `text_ms` how long that is in all, so that whoever plays it can say what was heard.
    A chunk that two clauses share is part of the later one.

    Params that are changed while it runs hold from the next text on.
    """

    node_type = "EspeakTTSNode"
    default_executor = "process"
    accepts = frozenset({"text"})
    emits = frozenset({"audio"})
    hot = frozenset({"voice", "rate_wpm", "pitch", "volume", "chunk_ms"})

    class Params(BaseParams):
        voice: str = Field(
            "en-us", min_length=1, description='language or voice name, "+variant" may follow'
        )
        rate_wpm: int = Field(175, ge=80, le=450, description="words per minute")
        pitch: int = Field(50, ge=0, le=99, description="0…99")
        volume: int = Field(100, ge=0, le=200, description="percent; above 100 it may distort")
        chunk_ms: int = Field(40, ge=20, le=1_000, description="length of a chunk, ms")

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._library: EspeakLibrary | None = None

    async def initialize(self, ctx: Context) -> None:
        """Load the library, and try the voice.

        Raises:
            ValueError: there is no such voice.
        """
        from operators.speech.espeak_library import EspeakLibrary

        ctx.progress(0.0, "loading espeak-ng")
        self._library = EspeakLibrary()
        ctx.progress(0.5, f"loading voice {self.params.voice}")
        self._try_voice()

    def process(self, packet: Packet, ctx: Context) -> Outputs:
        payload = packet.payload
        if not isinstance(payload, Text) or payload.channel == "ui":
            return packet
        return self._speak(packet, payload.text, ctx)

    def params_changed(self, before: Params, ctx: Context) -> None:
        """Try another voice.

        Raises:
            ValueError: there is no such voice.
        """
        if self.params.voice != before.voice:
            self._try_voice()

    async def cleanup(self) -> None:
        library, self._library = self._library, None
        if library is not None:
            library.close()

    def _try_voice(self) -> None:
        assert self._library is not None, "initialize has not run"
        with self._library.image() as image:
            image.set_voice(self.params.voice)

    def _speak(self, packet: Packet, text: str, ctx: Context) -> Iterator[Packet]:
        assert self._library is not None, "initialize has not run"
        clauses = split_clauses(text)
        if not clauses:
            return
        params = self.params
        with self._library.image() as image:
            image.set_voice(params.voice)
            image.set_manner(rate_wpm=params.rate_wpm, pitch=params.pitch, volume=params.volume)
            rate = image.sample_rate
            chunk_frames = rate * params.chunk_ms // 1000
            rest = np.empty(0, np.float32)
            unsaid = ""
            for number, clause in enumerate(clauses, 1):
                if ctx.cancelled:
                    return
                unsaid = f"{unsaid} {clause}".lstrip()
                spoken = np.concatenate((rest, _samples(image.speak(clause))))
                spoken.flags.writeable = False  # so that chunks may be views of it
                whole = len(spoken) // chunk_frames * chunk_frames
                stop = whole if number < len(clauses) else len(spoken)
                rest = spoken[stop:]
                if not stop:  # too short for a chunk of its own
                    continue
                text_ms = str(stop * 1_000 // rate)
                metadata = {**packet.metadata, "text": unsaid, "text_ms": text_ms}
                unsaid = ""
                for start in range(0, stop, chunk_frames):
                    chunk = Audio(spoken[start : min(start + chunk_frames, stop)], rate)
                    yield packet.with_payload(chunk, metadata)


def split_clauses(text: str) -> list[str]:
    """Split text where espeak-ng makes a pause; spoken one by one they sound as they do together.

    Returns:
        The clauses with their punctuation; none of them without a letter or digit.
    """
    ends = [found.end() for found in _CLAUSE_END.finditer(text)]
    clauses = []
    for start, end in pairwise((0, *ends, len(text))):
        rest = text[start:end].strip()
        while len(rest) > _CLAUSE_CHARS_MAX:
            cut = rest.rfind(" ", 0, _CLAUSE_CHARS_MAX)
            cut = cut if cut > 0 else _CLAUSE_CHARS_MAX
            clauses.append(rest[:cut])
            rest = rest[cut:].strip()
        clauses.append(rest)
    return [clause for clause in clauses if any(map(str.isalnum, clause))]


def _samples(pcm: bytes) -> npt.NDArray[np.float32]:
    return np.frombuffer(pcm, np.int16).astype(np.float32) / np.float32(_INT16_SCALE)
