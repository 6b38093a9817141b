"""Which sink's outputs go into which file.

Source: FR-006, US1.

    .wav     audio, 16 bit; the file appears when it is complete
    .txt     Text, Json, File and Control, one per line
    .jsonl   the same, one JSON value per line
    others   Binary, as it is

What can be told before anything starts is told then.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self, TextIO

from engine.errors import MediaError, RemoteMediaError, UsageError
from engine.payloads import Audio, Binary, kind_of
from engine.registry import resolve
from remotemedia.cli.inputs import nearest_of, split_option
from remotemedia.cli.packet_text import TOLD, dump_json, facts_of, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import BinaryIO

    from engine.packet import Packet
    from engine.payloads import Payload
    from engine.plan import NodePlan, Plan
    from remotemedia.cli.inputs import FileInput

_LINES: Final = frozenset({"text", "json", "file", "control"})
#: Suffix → payload kinds such a file takes; every other suffix takes binary.
_KINDS: Final = {
    ".wav": frozenset({"audio"}),
    ".txt": _LINES,
    ".jsonl": _LINES,
    ".ndjson": _LINES,
}
_BINARY: Final = frozenset({"binary"})
#: What to use instead of suffixes that look as if they were understood.
_INSTEAD: Final = {
    ".json": "one JSON value per line goes into .jsonl",
    ".flac": "audio goes into .wav",
    ".ogg": "audio goes into .wav",
    ".mp3": "audio goes into .wav",
}


class _Writer(Protocol):
    """Writes one sink's payloads."""

    def write(self, payload: Payload) -> None:
        """Append a payload of a kind the file takes."""

    def close(self, *, complete: bool) -> None:
        """Close the file; `complete`: everything has come."""


class OutputFiles:
    """The files of the --output options; a context manager around the time they are open."""

    def __init__(
        self, options: Sequence[str], plan: Plan, inputs: Sequence[FileInput] = ()
    ) -> None:
        """Check the options; opens nothing yet.

        Args:
            options: "node=FILE", or "FILE" where there is one sink.
            plan: has the sinks.
            inputs: what is read; none of it may be written to.

        Raises:
            UsageError: no such sink, two files for one sink, one file for two, or a file that
                cannot take what the sink emits.
            MediaError: the file's folder does not exist or cannot be written to.
        """
        self.paths: dict[str, Path] = {}
        #: Packets written per sink.
        self.written: Counter[str] = Counter()
        self._writers: dict[str, _Writer] = {}
        nodes = {node.id: node for stage in plan.stages for node in stage.nodes}
        read = {file.path.resolve(): file for file in inputs}
        for option in options:
            node, path = _assigned(option, plan, nodes)
            if node in self.paths:
                raise UsageError(
                    f"--output {option}: node {node!r} goes to {self.paths[node]} already",
                    node_id=node,
                )
            resolved = path.resolve()
            if resolved in read:
                raise UsageError(f"--output {option}: {path} is an input of this run", node_id=node)
            if resolved in {other.resolve() for other in self.paths.values()}:
                raise UsageError(f"--output {option}: {path} is the output of another node already")
            _check_place(path, node)
            _check_kinds(path, nodes[node])
            self.paths[node] = path

    def __enter__(self) -> Self:
        for node, path in self.paths.items():
            self._writers[node] = _writer(path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            writer.close(complete=kind is None)

    def __contains__(self, node: str) -> bool:
        return node in self.paths

    def write(self, packet: Packet) -> None:
        """Write a packet of a sink that has a file.

        Raises:
            UsageError: the file does not take its kind.
            RemoteMediaError: the file cannot be written.
        """
        node = packet.source.node
        path = self.paths[node]
        kind = kind_of(packet.payload)
        if kind not in _kinds(path):
            raise _kind_error(path, node, kind)
        try:
            self._writers[node].write(packet.payload)
        except OSError as error:
            raise RemoteMediaError(
                f"cannot write {path}: {error.strerror}", path=str(path)
            ) from error
        self.written[node] += 1


def _assigned(option: str, plan: Plan, nodes: Mapping[str, NodePlan]) -> tuple[str, Path]:
    node, file = split_option(option, plan.sinks)
    if node is None:
        if len(plan.sinks) != 1:
            raise UsageError(
                f"--output {option}: say whose outputs it is for, as NODE={option}; the nodes whose"
                f" outputs leave the pipeline are {', '.join(plan.sinks) or 'none'}"
            )
        return plan.sinks[0], Path(file)
    if node in plan.sinks:
        return node, Path(file)
    if node in nodes:
        raise UsageError(
            f"--output {option}: the outputs of node {node!r} go to other nodes only; set"
            f' "is_output_node": true in the manifest to have them, too. The nodes whose outputs'
            f" leave the pipeline are {', '.join(plan.sinks)}",
            node_id=node,
        )
    raise UsageError(
        f"--output {option}: there is no node {node!r}{nearest_of(node, plan.sinks)}; the nodes"
        f" whose outputs leave the pipeline are {', '.join(plan.sinks)}",
        node_id=node,
    )


def _check_place(path: Path, node: str) -> None:
    facts = {"path": str(path), "node_id": node}
    if path.is_dir():
        raise MediaError(f"cannot write {path}: it is a directory", **facts)
    if not path.parent.is_dir():
        raise MediaError(f"cannot write {path}: there is no directory {path.parent}", **facts)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise MediaError(f"cannot write {path}: permission denied", **facts)


def _check_kinds(path: Path, node: NodePlan) -> None:
    """Refuse a file that could take nothing of what the node's operator says it emits."""
    emits = resolve(node.target).emits
    if emits is not None and emits and not emits & _kinds(path):
        raise _kind_error(path, node.id, " and ".join(sorted(emits)))
    instead = _INSTEAD.get(path.suffix.lower())
    if instead is not None:
        raise UsageError(f"cannot write {path}: {instead}", path=str(path), node_id=node.id)


def _kinds(path: Path) -> frozenset[str]:
    return _KINDS.get(path.suffix.lower(), _BINARY)


def _kind_error(path: Path, node: str, kind: str) -> UsageError:
    *most, last = sorted(_kinds(path))
    takes = f"{', '.join(most)} and {last}" if most else last
    better = {"audio": ".wav", "text": ".txt or .jsonl", "json": ".jsonl"}.get(kind)
    hint = f"; {kind} goes into {better}" if better else ""
    return UsageError(
        f"node {node!r} emits {kind}, and {path} takes {takes}{hint}", path=str(path), node_id=node
    )


def _writer(path: Path) -> _Writer:
    suffix = path.suffix.lower()
    if suffix == ".wav":
        return _AudioWriter(path)
    try:
        if suffix in _KINDS:
            return _LinesWriter(path.open("w", encoding="utf-8"), as_json=suffix != ".txt")
        return _BytesWriter(path.open("wb"))
    except OSError as error:
        raise MediaError(f"cannot write {path}: {error.strerror}", path=str(path)) from error


class _AudioWriter:
    def __init__(self, path: Path) -> None:
        from operators.audio.wav_file import WavWriter

        self._file = WavWriter(path)

    def write(self, payload: Payload) -> None:
        assert isinstance(payload, Audio)
        self._file.write(payload)

    def close(self, *, complete: bool) -> None:
        if complete:
            self._file.close()
        else:
            self._file.discard()


class _LinesWriter:
    def __init__(self, file: TextIO, *, as_json: bool) -> None:
        self._file = file
        self._as_json = as_json

    def write(self, payload: Payload) -> None:
        if self._as_json:
            assert isinstance(payload, TOLD)
            self._file.write(f"{dump_json(facts_of(payload))}\n")
        else:
            self._file.write(f"{one_line(payload)}\n")

    def close(self, *, complete: bool) -> None:
        del complete  # what has come is worth keeping
        self._file.close()


class _BytesWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, payload: Payload) -> None:
        assert isinstance(payload, Binary)
        self._file.write(payload.data)

    def close(self, *, complete: bool) -> None:
        del complete
        self._file.close()
