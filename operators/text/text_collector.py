"""Assembles sentences from streamed text.

Source: FR-002. No I/O. Goes between a language model, which streams tokens, and what wants whole
sentences, such as speech synthesis.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, field_validator

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Text
from operators.taking_back import taken_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.interruption import CancelledSpan
    from engine.operator import Context, Output
    from engine.packet import Origin, Packet
    from engine.payloads import Control

#: What models send where a turn of text, or of speech, ends.
END_MARKS: Final = ("<|text_end|>", "<|audio_end|>")
_END_MARK: Final = re.compile("|".join(re.escape(mark) for mark in END_MARKS))
_MARK_LENGTH_MAX: Final = max(map(len, END_MARKS))


class TextCollector(Operator):
    r"""Emits text sentence by sentence, however it was cut into packets.

    A sentence ends behind a match of `split_pattern`, as soon as that has come, unless it is still
    shorter than `min_sentence_length` (without white space around it): then it goes on. Nothing is
    trimmed: the outputs together are the inputs, character by character. A sentence longer than
    `max_sentence_length` is cut, behind a blank if there is one.

    An end mark, `<|text_end|>` or `<|audio_end|>`, ends the sentence under way and follows it as a
    text of its own; so does a change of language or channel, without a mark. The end of the stream
    ends it, too. Without `yield_partial_on_end` what has no end yet is dropped at a mark, and at
    the end of the stream. Payloads that are not text pass through at once.

    Other params hold for what is held, too, when the next text comes. What a CancelSpeculation
    takes back is dropped of what is held, by the media times of the packets that brought it.
    """

    node_type = "TextCollectorNode"
    accepts = frozenset({"text"})
    emits = frozenset({"text"})
    stateful = True
    hot = frozenset(
        {"split_pattern", "min_sentence_length", "yield_partial_on_end", "max_sentence_length"}
    )

    class Params(BaseParams):
        split_pattern: str = Field(
            r"[.!?;\n]+", min_length=1, description="regular expression; a match ends a sentence"
        )
        min_sentence_length: int = Field(
            3, ge=0, le=10_000, description="shorter sentences go on, characters"
        )
        yield_partial_on_end: bool = Field(
            True, description="emit what has no end yet at an end mark and at the stream's end"
        )
        max_sentence_length: int = Field(
            10_000, ge=1, le=1_000_000, description="longer sentences are cut, characters"
        )

        @field_validator("split_pattern")
        @classmethod
        def _compiles(cls, value: str) -> str:
            try:
                re.compile(value)
            except re.error as error:
                where = "" if error.pos is None else f" at position {error.pos}"
                raise ValueError(f"is no regular expression: {error.msg}{where}") from error
            return value

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._pattern = re.compile(self.params.split_pattern)
        self._held = ""
        #: Language and channel of what is held.
        self._kind = ("", "")
        #: Characters that have come, and of each packet whose text is held: (those that had come
        #: with it, its origin).
        self._received = 0
        self._origins: deque[tuple[int, Origin]] = deque()

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        text = packet.payload
        if not isinstance(text, Text):
            return [packet]
        kind = (text.language, text.channel)
        outputs: list[Output] = []
        if kind != self._kind:
            outputs += self._take()
            self._kind = kind
        self._hold(text.text, packet.origin)
        outputs += self._collect()
        while self._origins and self._origins[0][0] <= self._received - len(self._held):
            self._origins.popleft()
        return outputs

    def flush(self, ctx: Context) -> list[Output]:
        return [*self._end()]

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._pattern = re.compile(self.params.split_pattern)

    def control(self, control: Control, ctx: Context) -> None:
        span = taken_back(control)
        if span is not None:
            self._drop(span)

    def reset(self, ctx: Context) -> None:
        self._held = ""
        self._origins.clear()

    def _drop(self, span: CancelledSpan) -> None:
        """Drop what packets of a span have brought."""
        begin = self._received - len(self._held)
        held, origins = self._held, self._origins
        self._held, self._origins = "", deque()
        for stop, origin in origins:
            text, held = held[: stop - begin], held[stop - begin :]
            begin = stop
            if not span(origin):
                self._hold(text, origin)

    def _hold(self, text: str, origin: Origin) -> None:
        if text:  # of what is empty nothing is held
            self._held += text
            self._received += len(text)
            self._origins.append((self._received, origin))

    def _collect(self) -> Iterator[Text]:
        """Everything that is complete in what is held."""
        held, begin = self._held, 0
        for mark in _END_MARK.finditer(held):
            self._held = held[begin : mark.start()]
            yield from self._sentences(len(self._held))
            yield from self._end()
            yield Text(mark.group(), *self._kind)
            begin = mark.end()
        self._held = held[begin:]
        yield from self._sentences(len(self._held) - self._begun_mark())
        yield from self._cut()

    def _sentences(self, stop: int) -> Iterator[Text]:
        """The sentences that end before a position."""
        held, begin = self._held, 0
        for match in self._pattern.finditer(held, 0, stop):
            sentence = held[begin : match.end()]
            if sentence and len(sentence.strip()) >= self.params.min_sentence_length:
                yield Text(sentence, *self._kind)
                begin = match.end()
        self._held = held[begin:]

    def _cut(self) -> Iterator[Text]:
        """The parts of a sentence that is too long."""
        held, begin, length_max = self._held, 0, self.params.max_sentence_length
        while len(held) - begin > length_max:
            end = held.rfind(" ", begin, begin + length_max) + 1 or begin + length_max
            yield Text(held[begin:end], *self._kind)
            begin = end
        self._held = held[begin:]

    def _begun_mark(self) -> int:
        """How many characters at the end may be the beginning of an end mark."""
        for length in range(min(len(self._held), _MARK_LENGTH_MAX - 1), 0, -1):
            if any(mark.startswith(self._held[-length:]) for mark in END_MARKS):
                return length
        return 0

    def _end(self) -> Iterator[Text]:
        """What has no end yet."""
        partial = list(self._take())
        if self.params.yield_partial_on_end:
            yield from partial

    def _take(self) -> Iterator[Text]:
        """All that is held, if there is anything."""
        taken, self._held = self._held, ""
        if taken:
            yield Text(taken, *self._kind)
