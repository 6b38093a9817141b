"""What was said in a conversation, and of what was interrupted only what was heard.

Pure: no I/O, no clock. Source: FR-012, US1.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.interruption import Played


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was said.

    Attributes:
        speaker: who said it.
        text: what; of a reply what was heard of it.
        cut: whether more was to be said.
    """

    speaker: Literal["user", "reply"]
    text: str
    cut: bool = False

    def __str__(self) -> str:
        return f"{self.text} …".lstrip() if self.cut else self.text


class History:
    """The lines of a conversation, in the order in which they were said."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def said(self, text: str) -> None:
        """The user said something."""
        self.lines.append(Line("user", text))

    def heard(self, played: Iterable[Played]) -> None:
        """The user heard a reply, or some: as much of each as was played.

        Args:
            played: what a node that plays audio says of it, from its first word on: of each
                sequence the parts in order. What was not heard at all was never said, but for a
                reply whose sound had set in.
        """
        for _, parts in groupby(played, lambda each: each.sequence):
            reply = list(parts)
            if any(part.played_ns for part in reply):
                texts = [heard_text(part) for part in reply]
                cut = any(_length_ns(part) > part.played_ns for part in reply)
                self.lines.append(Line("reply", " ".join(filter(None, texts)), cut))


def heard_text(played: Played) -> str:
    """The words of a text that were heard: in proportion to how much of its sound was.

    The text is the metadata `text`. A word of which only a part was heard does not count.
    """
    words = played.metadata.get("text", "").split()
    of_ns = _length_ns(played)
    count = len(words) * played.played_ns // of_ns if of_ns else 0
    return " ".join(words[:count])


def _length_ns(played: Played) -> int:
    """How long it is in all: metadata `text_ms` says so before all of it has been made."""
    text_ms = played.metadata.get("text_ms", "")
    return max(int(text_ms) * 1_000_000 if text_ms.isdecimal() else 0, played.of_ns)
