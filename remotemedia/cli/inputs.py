"""Which file feeds which ingress node, and what is in it. Source: FR-006, US1.

    .wav .flac .ogg …   audio in blocks of 20 ms
    .txt                one Text per line
    .json               one Json
    .jsonl .ndjson      one Json per line
    others              one Binary

Everything that can be told without reading a file to its end is told before anything starts.
"""

from __future__ import annotations

import json
import mimetypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.errors import MediaError, UsageError
from engine.payloads import Audio, Binary, Json, Text
from engine.wording import nearest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from engine.payloads import Payload
    from engine.plan import Plan

BLOCK_MS: Final = 20
_AUDIO_SUFFIXES: Final = frozenset(
    {".aif", ".aiff", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"}
)
_LINES_SUFFIXES: Final = frozenset({".jsonl", ".ndjson"})


@dataclass(frozen=True, slots=True)
class FileInput:
    """A file on its way into an ingress node.

    Attributes:
        node: the ingress node.
        path: the file.
        duration_s: length of audio, or None.
    """

    node: str
    path: Path
    duration_s: float | None = None

    @property
    def name(self) -> str:
        """For people: what goes where."""
        return f"{self.path.name} → {self.node}"

    def payloads(self) -> Generator[Payload]:
        """Read the file, no further than what is asked for.

        Raises:
            MediaError: it cannot be read, or it is damaged.
        """
        suffix = self.path.suffix.lower()
        if suffix in _AUDIO_SUFFIXES:
            from operators.audio.wav_file import read_blocks

            yield from read_blocks(self.path, BLOCK_MS)
        elif suffix == ".txt":
            for _, line in _lines(self.path):
                yield Text(line)
        elif suffix == ".json":
            yield Json(_parsed(_read(self.path), self.path))
        elif suffix in _LINES_SUFFIXES:
            for number, line in _lines(self.path):
                if line.strip():
                    yield Json(_parsed(line, self.path, number))
        else:
            mime_type = mimetypes.guess_type(self.path.name)[0] or "application/octet-stream"
            yield Binary(_read(self.path), mime_type)


def assign_inputs(options: Sequence[str], plan: Plan) -> list[FileInput]:
    """Read the --input options.

    Args:
        options: "node=FILE", or "FILE" where there is one ingress node.
        plan: has the ingress nodes.

    Raises:
        UsageError: no such ingress node, or it has two inputs.
        MediaError: a file is missing, unreadable, or not what its name says.
    """
    inputs: dict[str, FileInput] = {}
    for option in options:
        node, file = split_option(option, plan.ingress)
        if node is None:
            node = _only_ingress(option, plan)
        elif node not in plan.ingress:
            raise _no_ingress(node, plan)
        if node in inputs:
            raise UsageError(
                f"--input {option}: node {node!r} is fed by {inputs[node].path} already;"
                " a node takes one file",
                node_id=node,
            )
        inputs[node] = _checked(node, Path(file))
    return list(inputs.values())


def split_option(option: str, nodes: Sequence[str]) -> tuple[str | None, str]:
    """Take "node=FILE" apart; a file whose name has a "=" in it needs no node if it exists.

    Returns:
        The node, or None, and the file.
    """
    node, equals, file = option.partition("=")
    if not equals:
        return None, option
    if node not in nodes and Path(option).exists():
        return None, option
    return node, file


def _only_ingress(option: str, plan: Plan) -> str:
    if len(plan.ingress) == 1:
        return plan.ingress[0]
    raise UsageError(
        f"--input {option}: say which node it is for, as NODE={option}; the ingress nodes are"
        f" {', '.join(plan.ingress)}"
    )


def _no_ingress(node: str, plan: Plan) -> UsageError:
    ids = [other.id for stage in plan.stages for other in stage.nodes]
    if node in ids:
        return UsageError(
            f"--input {node}=…: node {node!r} takes what other nodes emit, no input from outside;"
            f" the ingress nodes are {', '.join(plan.ingress)}",
            node_id=node,
        )
    return UsageError(
        f"--input {node}=…: there is no node {node!r}{nearest_of(node, plan.ingress)}; the ingress"
        f" nodes are {', '.join(plan.ingress)}",
        node_id=node,
    )


def nearest_of(node: str, nodes: Sequence[str]) -> str:
    """Part of a sentence: which node was probably meant."""
    match = nearest(node, nodes)
    return f" (did you mean {match!r}?)" if match is not None else ""


def _checked(node: str, path: Path) -> FileInput:
    if not path.exists():
        raise MediaError(f"there is no file {path} for node {node!r}", path=str(path), node_id=node)
    if not path.is_file():
        what = "a directory" if path.is_dir() else "no regular file"
        raise MediaError(
            f"{path} for node {node!r} is {what}; give a file", path=str(path), node_id=node
        )
    if not os.access(path, os.R_OK):
        raise MediaError(
            f"{path} for node {node!r} cannot be read: permission denied",
            path=str(path),
            node_id=node,
        )
    suffix = path.suffix.lower()
    if suffix in _AUDIO_SUFFIXES:
        from operators.audio.wav_file import read_info

        return FileInput(node, path, read_info(path).duration_s)
    if suffix == ".json":
        _parsed(_read(path), path)
    return FileInput(node, path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MediaError(f"cannot read {path}: {error.strerror}", path=str(path)) from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file and their numbers, from 1."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                yield number, line.rstrip("\n")
    except OSError as error:
        raise MediaError(f"cannot read {path}: {error.strerror}", path=str(path)) from error
    except UnicodeDecodeError as error:
        raise MediaError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}", path=str(path)
        ) from error


def _parsed(text: str | bytes, path: Path, line: int | None = None) -> object:
    where = f"{path}, line {line}," if line is not None else f"{path}"
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        row = "" if line is not None else f"line {error.lineno}, "
        raise MediaError(
            f"{where} is not JSON: {row}column {error.colno}: {error.msg}", path=str(path)
        ) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise MediaError(f"{where} is not JSON: {error}", path=str(path)) from error


def size_of(payload: Payload) -> float:
    """How much of a file a payload is, for progress: seconds of audio, otherwise one item."""
    return payload.duration_ns / 1e9 if isinstance(payload, Audio) else 1.0
