"""What the server, its zygotes and its workers say to each other, and its form on the wire.

Pure: no I/O, no clock. Source: FR-004, FR-008, FR-009.

    server ── SpawnCommand, SignalCommand ─────────────────────▶ zygote
           ◀─ ZygoteReadyEvent, SpawnReplyEvent, ExitedEvent ───
    server ── PingCommand, InterruptCommand, SteerCommand, ShutdownCommand ──▶ worker (its lane)
           ◀─ PongEvent, HeartbeatEvent, ProgressEvent, ReadyEvent, SettledEvent, SteeredEvent,
              ControlEvent, FailedEvent, FinishedEvent ──

One message is one JSON object in one SOCK_SEQPACKET packet: `{"type": "pong", "token": 3, …}`.
Descriptors travel beside a SpawnCommand, see `SPAWN_DESCRIPTORS`, and beside a SteerCommand.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Final, Self, TypeAlias

from engine.interruption import Played, Settlement

#: No message is larger: a packet socket refuses what its send buffer (208 KiB) cannot hold.
MESSAGE_BYTES_MAX: Final = 128 * 1024
#: SCM_RIGHTS carries at most 253 descriptors in one message.
DESCRIPTORS_MAX: Final = 253
#: The descriptors that precede the worker's own in a SpawnCommand, in this order.
SPAWN_DESCRIPTORS: Final = ("control", "page", "stdout", "stderr", "start")


@dataclass(frozen=True, slots=True)
class SpawnCommand:
    """Fork a worker.

    Attributes:
        worker_id: how the server calls it; unique per zygote.
        node_ids: the nodes it runs, for messages.
        title: what `ps` shows.
        paths: its sys.path; empty: the zygote's own.
        directory: its working directory.
        environment: variables that changed since the zygote started; None: removed.
        memory_limit_bytes: bound on its private memory, or None.
        extra_paths: directories that precede its sys.path.
    """

    type: ClassVar[str] = "spawn"
    worker_id: int
    node_ids: tuple[str, ...]
    title: str
    paths: tuple[str, ...]
    directory: str
    environment: dict[str, str | None] = field(default_factory=dict)
    memory_limit_bytes: int | None = None
    extra_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SignalCommand:
    """Send a signal to a worker's process group; without effect once the worker is reaped."""

    type: ClassVar[str] = "signal"
    worker_id: int
    signal: int


@dataclass(frozen=True, slots=True)
class ZygoteReadyEvent:
    """The zygote has loaded everything and can fork, or `error` says why not.

    Attributes:
        pid: its process id.
        versions: of "python", "engine" and each package that workers need; None: it is missing.
        error: what it could not load.
    """

    type: ClassVar[str] = "zygote_ready"
    pid: int
    versions: dict[str, str | None] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class SpawnReplyEvent:
    """A worker was forked, or `error` says why not (then `pid` is 0)."""

    type: ClassVar[str] = "spawn_reply"
    worker_id: int
    pid: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class ExitedEvent:
    """A worker is gone and reaped; `code` or `signal` is set, neither if it never was."""

    type: ClassVar[str] = "exited"
    worker_id: int
    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class PingCommand:
    """Ask the lane for a sign of life."""

    type: ClassVar[str] = "ping"
    token: int


@dataclass(frozen=True, slots=True)
class InterruptCommand:
    """Make what is older than a generation stale at these of the worker's nodes, maybe at none."""

    type: ClassVar[str] = "interrupt"
    generation: int
    node_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SteerCommand:
    """Apply an order to the worker's stages.

    Attributes:
        number: what it is answered by.
        order: `engine.steering.order_to_dict`.
        edges: of the hand it attaches: "shows" and "gives" → the fields of
            `engine.workers.stage_spec.EdgeSpec`, whose descriptors came beside it.
    """

    type: ClassVar[str] = "steer"
    number: int
    order: dict[str, Any]
    edges: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShutdownCommand:
    """Stop what is under way, clean up and leave."""

    type: ClassVar[str] = "shutdown"


@dataclass(frozen=True, slots=True)
class PongEvent:
    """The answer to a ping; `turn_started_ns` is 0 between turns."""

    type: ClassVar[str] = "pong"
    token: int
    turn_started_ns: int = 0


@dataclass(frozen=True, slots=True)
class HeartbeatEvent:
    """The lane is alive; sent every 2 s until the worker is ready."""

    type: ClassVar[str] = "heartbeat"


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far a node's start is; `fraction` in 0…1, `status` a word ("importing", …)."""

    type: ClassVar[str] = "progress"
    node_id: str
    status: str
    fraction: float = 0.0
    message: str = ""


@dataclass(frozen=True, slots=True)
class ReadyEvent:
    """Every node's initialize has returned."""

    type: ClassVar[str] = "ready"


@dataclass(frozen=True, slots=True)
class SettledEvent:
    """An interrupt has been applied.

    Attributes:
        generation: the interrupt's.
        dropped: edge or node id → how much was dropped there.
        played: node id → the fields of each `engine.interruption.Played`, the oldest first.
    """

    type: ClassVar[str] = "settled"
    generation: int
    dropped: dict[str, Any] = field(default_factory=dict)
    played: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, settlement: Settlement) -> Self:
        """What a worker says of its stages."""
        played = {
            node_id: [asdict(each) for each in heard]
            for node_id, heard in settlement.played.items()
        }
        return cls(settlement.generation, settlement.dropped, played)

    def settlement(self) -> Settlement:
        """The same, as it was.

        Raises:
            TypeError: what it says was played is nothing of that kind.
        """
        played = {
            node_id: tuple(Played(**each) for each in heard)
            for node_id, heard in self.played.items()
        }
        return Settlement(self.generation, self.dropped, played)


@dataclass(frozen=True, slots=True)
class SteeredEvent:
    """What became of an order: its answer, or `error`, which is `RemoteMediaError.to_dict()`."""

    type: ClassVar[str] = "steered"
    number: int
    answer: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ControlEvent:
    """A node tells all behind it something: `control` is `Control.to_dict()`."""

    type: ClassVar[str] = "control"
    node_id: str
    control: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """The worker met an error and will leave; `error` is `RemoteMediaError.to_dict()`."""

    type: ClassVar[str] = "failed"
    error: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FinishedEvent:
    """The stage is done and the worker will leave."""

    type: ClassVar[str] = "finished"
    statistics: dict[str, Any] = field(default_factory=dict)


Message: TypeAlias = (
    SpawnCommand
    | SignalCommand
    | ZygoteReadyEvent
    | SpawnReplyEvent
    | ExitedEvent
    | PingCommand
    | InterruptCommand
    | SteerCommand
    | ShutdownCommand
    | PongEvent
    | HeartbeatEvent
    | ProgressEvent
    | ReadyEvent
    | SettledEvent
    | SteeredEvent
    | ControlEvent
    | FailedEvent
    | FinishedEvent
)

#: Cut shorter than this, the texts of an error's context say nothing any more.
_CONTEXT_CHARS_MIN: Final = 64

_CLASSES: Final[dict[str, type[Any]]] = {cls.type: cls for cls in Message.__args__}

#: What JSON values the annotations above stand for. bool is an int in Python, never meant here.
_ACCEPTED: Final[dict[str, tuple[type, ...]]] = {
    "int": (int,),
    "int | None": (int, type(None)),
    "float": (int, float),
    "str": (str,),
    "tuple[str, ...]": (list,),
    "dict[str, Any]": (dict,),
    "dict[str, str | None]": (dict,),
}


def encode(message: Message) -> bytes:
    """The bytes of a message.

    Raises:
        TypeError: a value in it is nothing JSON can carry.
        ValueError: the message is larger than MESSAGE_BYTES_MAX.
    """
    data: dict[str, Any] = {"type": message.type}
    for item in fields(message):
        data[item.name] = getattr(message, item.name)
    encoded = _dump(data)
    if len(encoded) > MESSAGE_BYTES_MAX:
        raise ValueError(
            f"a {message.type!r} message of {len(encoded)} bytes exceeds {MESSAGE_BYTES_MAX}"
        )
    return encoded


def decode(data: bytes) -> Message:
    """The message that `encode` turned into these bytes.

    Raises:
        ValueError: the bytes are damaged, or of a message this version does not know.
    """
    try:
        loaded = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"a damaged message of {len(data)} bytes: {error}") from error
    if not isinstance(loaded, dict):
        raise ValueError(  # noqa: TRY004 - of the caller's bytes, not of its types
            f"a damaged message: {type(loaded).__name__} instead of an object"
        )
    name = loaded.pop("type", None)
    cls = _CLASSES.get(name) if isinstance(name, str) else None
    if cls is None:
        raise ValueError(f"an unknown message: {name!r}")
    message: Message = _build(cls, loaded)
    return message


def _build(cls: type[Any], data: dict[str, Any]) -> Any:
    for item in fields(cls):
        if item.name not in data:
            continue
        value = data[item.name]
        if isinstance(value, bool) or not isinstance(value, _ACCEPTED[str(item.type)]):
            found = type(value).__name__
            raise ValueError(  # noqa: TRY004 - as above
                f"a damaged {cls.type!r} message: {item.name} is {found}"
            )
        if isinstance(value, list):
            data[item.name] = tuple(value)
    try:
        return cls(**data)
    except TypeError as error:
        raise ValueError(f"a damaged {cls.type!r} message: {error}") from error


def _dump(data: Any) -> bytes:
    # surrogatepass: file names that are not UTF-8 hold lone surrogates; json.loads undoes it.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def trimmed_error(
    error: dict[str, Any], bytes_max: int = MESSAGE_BYTES_MAX - 1024
) -> dict[str, Any]:
    """An error's data, its texts cut until it fits into a message.

    The ends of tracebacks and the beginnings of messages are kept; last, the context is given up.

    Args:
        error: `RemoteMediaError.to_dict()`.
        bytes_max: what it may take, encoded; at least 1 KiB.
    """
    text_chars = 1 << 16
    result = error
    while len(_dump(result)) > bytes_max:
        text_chars //= 2
        result = {
            "code": str(error.get("code", ""))[:64],
            "message": str(error.get("message", ""))[:text_chars],
            "context": _cut(error.get("context") or {}, text_chars)
            if text_chars >= _CONTEXT_CHARS_MIN
            else {},
            "traceback": str(error.get("traceback", ""))[-text_chars:],
        }
    return result


def _cut(value: Any, chars_max: int) -> Any:
    if isinstance(value, str):
        return value[-chars_max:]
    if isinstance(value, list | tuple):
        return [_cut(item, chars_max) for item in value[-chars_max:]]
    if isinstance(value, dict):
        return {str(key)[:chars_max]: _cut(item, chars_max) for key, item in value.items()}
    return value
