"""Text, Json, Binary and File: payloads of plain Python values.

Pure: no I/O, no clock. A File names a file; nothing here opens it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from engine.payloads.base import Fields
from engine.payloads.checks import U64_MAX, check_text, whole_number


@dataclass(slots=True, repr=False)
class Text(Fields):
    """Text.

    Attributes:
        text: the text.
        language: BCP 47 tag or "".
        channel: which audience it is for: "tts" (spoken) or "ui".
    """

    text: str
    language: str = ""
    channel: str = "tts"

    def __post_init__(self) -> None:
        if type(self.text) is not str or type(self.language) is not str:
            check_text("Text", text=self.text, language=self.language)
        if type(self.channel) is not str:
            check_text("Text", channel=self.channel)


@dataclass(slots=True, repr=False)
class Json(Fields):
    """A JSON value.

    Attributes:
        value: what `json.loads` would give: dict, list, str, int, float, bool or None. It is looked
            at only where it leaves the process.
        schema_type: name of the value's schema, or "".
    """

    value: Any
    schema_type: str = ""

    def __post_init__(self) -> None:
        if type(self.schema_type) is not str:
            check_text("Json", schema_type=self.schema_type)


@dataclass(slots=True, repr=False)
class Binary(Fields):
    """Bytes of some MIME type.

    Attributes:
        data: the bytes; a bytearray or memoryview is copied into bytes, which nobody can change.
        mime_type: what they are.
    """

    data: bytes
    mime_type: str = "application/octet-stream"

    def __post_init__(self) -> None:
        if type(self.data) is not bytes:
            if not isinstance(self.data, bytes | bytearray | memoryview):
                raise TypeError(
                    f"Binary.data must be bytes, a bytearray or a memoryview, got"
                    f" {type(self.data).__name__}"
                )
            self.data = bytes(self.data)
        if type(self.mime_type) is not str:
            check_text("Binary", mime_type=self.mime_type)


@dataclass(slots=True, repr=False)
class File(Fields):
    """A file, or a part of one; its content stays where it is.

    Attributes:
        path: where it is; a pathlib path becomes a string.
        filename: its name for people, or "".
        mime_type: what it is, or "".
        size: length of the whole file in bytes; 0: unknown.
        offset: first byte of the part that is meant.
        length: bytes of that part; 0: to the end.
        stream_id: which stream it belongs to, or "".
    """

    path: str
    filename: str = ""
    mime_type: str = ""
    size: int = 0
    offset: int = 0
    length: int = 0
    stream_id: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.path, os.PathLike):
            self.path = os.fspath(self.path)
        check_text(
            "File",
            path=self.path,
            filename=self.filename,
            mime_type=self.mime_type,
            stream_id=self.stream_id,
        )
        if not self.path:
            raise ValueError("File.path must not be empty")
        self.size = whole_number("File.size", self.size, 0, U64_MAX)
        self.offset = whole_number("File.offset", self.offset, 0, U64_MAX)
        self.length = whole_number("File.length", self.length, 0, U64_MAX)
        if self.size and self.offset + self.length > self.size:
            raise ValueError(
                f"File: bytes {self.offset} to {self.offset + self.length} of a file of"
                f" {self.size} bytes"
            )
