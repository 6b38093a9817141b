"""The whole error tree, and its form as data.

Pure: no I/O, no clock. Source: FR-006, FR-010; every error a user can meet is one of these.

    RemoteMediaError                code              raised when
    ├── ManifestError               manifest          a document, a graph or a param is wrong (all
    │                                                 problems at once)
    ├── UsageError                  usage             the API or the command was used wrongly
    ├── MediaError                  media             a media file is missing, or not what it should
    │                                                 be
    ├── ResourceLimitError          resource_limit    a limit would be exceeded, and nothing was
    │                                                 started; or that of memory was
    ├── StartupError                startup           a session could not start
    │   ├── InitTimeoutError        init_timeout      … initialize took longer than init_timeout
    │   └── SpawnError              spawn             … a worker or a zygote could not be started
    ├── NodeError                   node              an operator raised, or its process misbehaved
    │   └── WorkerCrashedError      worker_crashed    … it died or fell silent
    ├── EdgeError                   edge              an edge was damaged or misused
    │   ├── EdgeClosedError         edge_closed       … we closed it
    │   ├── PeerDiedError           peer_died         … the other side died
    │   └── EdgeOverflowError       edge_overflow     … it was full and its policy is `error`
    └── TransportError              transport         a door failed
"""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Text that crosses a process boundary inside an error is cut to this many characters.
REMOTE_TEXT_CHARS_MAX = 16_384
#: A line of a traceback is cut to this.
_TRACEBACK_LINE_CHARS_MAX = 2_000


class RemoteMediaError(Exception):
    """Root of the tree.

    Attributes:
        code: stable identifier of the kind of error.
        message: what happened, where, and what to do.
        context: JSON-compatible facts about it (`node_id`, `session_id`, `limit`, …).
        remote_traceback: traceback text of the process where it happened, or "".
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **context: Any) -> None:
        super().__init__(message)
        self.message = message
        self.context: dict[str, Any] = context
        self.remote_traceback = ""

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON-compatible data, the way it crosses processes."""
        remote_traceback = self.remote_traceback or _traceback_of(self)
        return {
            "code": self.code,
            "message": self.message[:REMOTE_TEXT_CHARS_MAX],
            "context": {key: _plain(value) for key, value in self.context.items()},
            "traceback": remote_traceback[-REMOTE_TEXT_CHARS_MAX:],
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> RemoteMediaError:
        """Build the error that `to_dict` described; an unknown code becomes the root class."""
        cls = _by_code().get(str(data.get("code")), RemoteMediaError)
        error = cls._restore(str(data.get("message", "")), dict(data.get("context") or {}))
        error.remote_traceback = str(data.get("traceback", ""))
        if error.remote_traceback:
            error.add_note(f"In its own process:\n{error.remote_traceback.rstrip()}")
        return error

    @classmethod
    def _restore(cls, message: str, context: dict[str, Any]) -> Self:
        return cls(message, **context)


def _said_by(error: BaseException) -> str:
    """An exception's own words, as far as anybody reads; it may be unable to say them."""
    try:
        said = str(error)
    except Exception as failure:  # noqa: BLE001 - whatever it raises, it is not the one to report
        return f"(its text cannot be read: {type(failure).__name__})"
    return said if len(said) <= REMOTE_TEXT_CHARS_MAX else f"{said[:REMOTE_TEXT_CHARS_MAX]}…"


def _traceback_of(error: BaseException) -> str:
    """A traceback whose lines are cut, so that a long text leaves room for the frames."""
    lines = traceback.format_exception(error)
    return "".join(
        line if len(line) <= _TRACEBACK_LINE_CHARS_MAX else f"{line[:_TRACEBACK_LINE_CHARS_MAX]}…\n"
        for line in lines
    )


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a manifest.

    Attributes:
        path: where, as a path into the document: `nodes[2].params.threshold`.
        message: what is wrong and what would be right.
        severity: "error" or "warning".
        node_id: the node it is about, or None.
    """

    path: str
    message: str
    severity: str = "error"
    node_id: str | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class ManifestError(RemoteMediaError):
    """A manifest that cannot run; carries every problem found, not the first."""

    code = "manifest"

    def __init__(self, problems: Sequence[Problem], **context: Any) -> None:
        errors = [problem for problem in problems if problem.severity == "error"]
        count = len(errors)
        noun = "problem" if count == 1 else "problems"
        lines = "\n".join(f"  - {problem}" for problem in errors)
        super().__init__(f"{count} {noun} in the manifest:\n{lines}", **context)
        self.problems: tuple[Problem, ...] = tuple(problems)

    def to_dict(self) -> dict[str, Any]:
        """The error as data, with its problems in the context."""
        data = super().to_dict()
        data["context"]["problems"] = [asdict(problem) for problem in self.problems]
        return data

    @classmethod
    def _restore(cls, message: str, context: dict[str, Any]) -> Self:
        del message  # it is made of the problems
        problems = [Problem(**problem) for problem in context.pop("problems", [])]
        return cls(problems, **context)


class UsageError(RemoteMediaError):
    """The API or the command line was used in a way that cannot work."""

    code = "usage"


class MediaError(RemoteMediaError):
    """A media file is missing, unreadable, or not of the format it should have."""

    code = "media"


class ResourceLimitError(RemoteMediaError):
    """A limit would be, or was, exceeded; `context` has `limit` and `requested`. Source: FR-010.

    Only the limit of memory can be exceeded once a session has started.
    """

    code = "resource_limit"


class StartupError(RemoteMediaError):
    """A session could not start."""

    code = "startup"


class InitTimeoutError(StartupError):
    """A node did not finish `initialize` in time; names the step it was in."""

    code = "init_timeout"


class SpawnError(StartupError):
    """A worker or its zygote could not be started."""

    code = "spawn"


class NodeError(RemoteMediaError):
    """An operator raised. `context` has `node_id`, `sequence` and `exception`."""

    code = "node"

    @property
    def node_id(self) -> str:
        """The node to blame, or "" where none is known."""
        return str(self.context.get("node_id", ""))

    @classmethod
    def of(
        cls,
        node_id: str,
        cause: BaseException,
        *,
        during: str,
        sequence: int | None = None,
        hint: str = "",
    ) -> NodeError:
        """Wrap what an operator raised.

        Args:
            node_id: the node whose operator raised.
            cause: what it raised; becomes `__cause__`.
            during: the contract's method: "initialize", "process", "flush", …
            sequence: sequence of the packet being processed, if there was one.
            hint: what to do about it.
        """
        said = _said_by(cause)
        what = f"{type(cause).__name__}: {said}" if said else type(cause).__name__
        if isinstance(cause, ValueError) and "read-only" in said:
            what += ". A payload's arrays are read-only: write into a copy, or into ctx.empty(...)"
        if hint:
            what += f". {hint}"
        where = f" (packet {sequence})" if sequence is not None else ""
        error = cls(
            f"node {node_id!r} failed in {during}{where}: {what}",
            node_id=node_id,
            during=during,
            sequence=sequence,
            exception=type(cause).__name__,
        )
        error.__cause__ = cause
        return error


class WorkerCrashedError(NodeError):
    """A worker died or fell silent; has `exit_code` or `signal`, and `last_lines` of its output."""

    code = "worker_crashed"


class EdgeError(RemoteMediaError):
    """An edge was damaged or misused; `context` has `edge`."""

    code = "edge"


class EdgeClosedError(EdgeError):
    """The edge was closed on this side; nothing more can be sent or received."""

    code = "edge_closed"


class PeerDiedError(EdgeError):
    """The other side of the edge is gone without having ended the stream."""

    code = "peer_died"


class EdgeOverflowError(EdgeError):
    """The edge was full and its overflow policy is `error`."""

    code = "edge_overflow"


class TransportError(RemoteMediaError):
    """A door failed."""

    code = "transport"


def _by_code() -> dict[str, type[RemoteMediaError]]:
    found: dict[str, type[RemoteMediaError]] = {}
    pending: list[type[RemoteMediaError]] = [RemoteMediaError]
    while pending:
        cls = pending.pop()
        found[cls.code] = cls
        pending.extend(cls.__subclasses__())
    return found


def _plain(value: Any) -> Any:
    """Turn a context value into something JSON can carry."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value[-REMOTE_TEXT_CHARS_MAX:]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value)
