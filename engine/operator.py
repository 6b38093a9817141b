"""The operator contract: what a node does, written once, run on any executor.

Pure: no I/O, no clock. Source: FR-002, FR-009, US1.

A stage calls an operator like this, never two calls at once unless `concurrency` says so:

    initialize ─▶ process* ─▶ flush ─▶ cleanup
                   ▲   │
                   └─ reset (an interrupt: forget what is held)
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.composition.composable import Composable
from engine.errors import UsageError
from engine.packet import DEFAULT_INPUT, DEFAULT_OUTPUT, Packet
from engine.payloads import Payload

if TYPE_CHECKING:
    import logging

    import numpy as np
    import numpy.typing as npt

    from engine.composition.flow import Flow


class Emission(NamedTuple):
    """A payload on its way to a named output port; made by `ctx.to`.

    Attributes:
        port: the output port.
        payload: what goes there.
        timestamp_ns: its media time; None: that of the input it descends from.
    """

    port: str
    payload: Payload | Packet
    timestamp_ns: int | None = None


class Ports(NamedTuple):
    """The names of a node's ports, in the order in which members of a group are processed."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


#: One thing an operator may hand out.
Output: TypeAlias = Payload | Packet | Emission
#: What process and flush may return (or, if `async def`, their coroutine or asynchronous
#: generator).
Outputs: TypeAlias = Output | Iterable[Output] | None
#: What an operator class's process is, told from its definition alone.
ProcessKind = Literal["sync", "coroutine", "async_generator"]


class Params(BaseModel):
    """Base of an operator's params: unknown names are kept out, both spellings are taken.

    A manifest may say `chunkSize` or `chunk_size`; the loader renames before it validates.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class Context(Protocol):
    """What a stage gives an operator; valid inside the operator's own methods."""

    node_id: str
    session_id: str
    logger: logging.Logger

    @property
    def cancelled(self) -> bool:
        """Whether an interrupt or the session's end made this turn's result unwanted; cheap."""

    def to(
        self, port: str, payload: Payload | Packet, *, timestamp_ns: int | None = None
    ) -> Emission:
        """Select an output port, and where wanted a media time, for what is returned or yielded.

        Args:
            port: the output port.
            payload: what goes there.
            timestamp_ns: its media time, for what knows better than its input does: a file's
                reader, a mixer; None: the input's.

        Raises:
            UsageError: the operator has no such output port.
        """

    def connected(self, port: str) -> bool:
        """Whether anybody takes what leaves by an output port; what nobody takes need not be made.

        Known from the first packet on, not yet in `initialize`.
        """

    def emit(self, output: Output) -> None:
        """Emit now, from a `call_later` callback. Lineage: the last input's."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after `delay_s` seconds of the stage's clock; call it on the stage's thread.

        That clock stands still while the stage waits for credits.

        Returns:
            A function that cancels the call.
        """

    def progress(self, fraction: float, message: str = "", *, status: str = "initializing") -> None:
        """Report how far `initialize` is. Source: FR-009.

        Args:
            fraction: 0…1.
            message: what it is doing.
            status: a word of the node's own for the step it is in, such as "loading_model".
        """

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[np.generic]:
        """A writable array to make a payload of.

        It lies in the outgoing arena where there is room, so that emitting it costs no copy, else
        in ordinary memory. Never blocks.
        """


class Operator(Composable):
    """Base class of all operators.

    An instance a user makes (`Gain(gain_db=3)`) only holds params; each session makes its own
    instances. Subclasses keep their state in attributes set in `initialize`, and import heavy
    modules there.
    """

    #: Name of the node type in manifests.
    node_type: ClassVar[str] = ""
    #: The params' model, a pydantic class; its schema, errors and documentation come from it.
    Params: ClassVar[type[BaseModel]] = Params
    #: Names of the input ports, in the order in which members of a group are processed.
    inputs: tuple[str, ...] = (DEFAULT_INPUT,)
    #: Names of the output ports.
    outputs: tuple[str, ...] = (DEFAULT_OUTPUT,)
    #: Payload kinds process takes ("audio", …); None: any. A mismatch is a warning, or an error if
    #: `strict`.
    accepts: ClassVar[frozenset[str] | None] = None
    #: Payload kinds that come out; None: any, or the same as went in.
    emits: ClassVar[frozenset[str] | None] = None
    #: Whether an input of another kind than `accepts` is an error rather than a warning.
    strict: ClassVar[bool] = False
    #: Executor when the manifest names none: "local" or "process"; None: the pattern rule decides.
    default_executor: ClassVar[str | None] = None
    #: Whether it keeps something between packets; then it must define `reset`.
    stateful: ClassVar[bool] = False
    #: Whether process takes a whole group {port: packet} instead of one packet.
    joins: ClassVar[bool] = False
    #: Whether it chooses between its inputs by overriding `wants` (it then begins a stage).
    chooses: ClassVar[bool] = False
    #: "one_to_one": exactly one output per input; "any": otherwise.
    rate: ClassVar[Literal["one_to_one", "any"]] = "any"
    #: Bound on what it keeps, in packets, shown in statistics; None: bounded by its params.
    held_max: ClassVar[int | None] = None
    #: Whether the params are JSON; False: they hold functions, so the node runs in this process
    #: only and has no manifest.
    portable: ClassVar[bool] = True
    #: How many asynchronous calls may run at once; results leave in order of arrival.
    concurrency: ClassVar[int] = 1

    def __init__(self, **params: Any) -> None:
        """Take and validate the params.

        Raises:
            UsageError: a param is unknown, of the wrong type or out of range.
        """
        try:
            self.params: Any = self.Params(**params)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in item['loc']) or 'params'}: {item['msg']}"
                for item in error.errors()
            )
            raise UsageError(
                f"{type(self).__name__}: {problems}", node_type=self.node_type
            ) from error
        ports = self.ports(self.params)
        if ports != (self.inputs, self.outputs):
            self.inputs, self.outputs = ports

    @classmethod
    def ports(cls, params: Any) -> Ports:
        """The ports of a node with these params; those of the class unless this is overridden.

        Args:
            params: an instance of `Params`, validated.
        """
        return Ports(cls.inputs, cls.outputs)

    @classmethod
    def in_step(cls, params: Any) -> bool:
        """Whether it takes its inputs in step, and holds back an input that leads.

        Branches of one node that lead to it must then emit one packet for each they get; a plan in
        which one of them may not is refused, since it would wait for ever.

        Args:
            params: an instance of `Params`, validated; None where they are wrong.
        """
        return False

    # --- the contract -----------------------------------------------------------------------------

    async def initialize(self, ctx: Context) -> None:
        """Load what process needs. A session is ready once every node's initialize has returned."""

    def process(
        self, packet: Any, ctx: Context, /
    ) -> Outputs | Awaitable[Outputs] | AsyncIterator[Output]:
        """Handle one packet; or one group, a mapping from port to packet, if `joins`.

        May be `async def`, or an asynchronous generator.
        What computes for more than about 2 ms per packet does not belong on the server's loop: give
        it `default_executor = "process"`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define process")

    def flush(self, ctx: Context) -> Outputs | Awaitable[Outputs] | AsyncIterator[Output]:
        """Hand out the remainder, once, when all inputs have ended."""
        return None

    def reset(self, ctx: Context) -> None:
        """Forget what is held: an interrupt made it stale."""

    async def cleanup(self) -> None:
        """Release what initialize acquired. Called once, also after an error."""

    def wants(self, port: str) -> bool:
        """Whether a packet is welcome at this port now; asked where `chooses = True`."""
        return True

    def input_ended(self, port: str, ctx: Context) -> None:
        """Learn that nothing more comes at this port; `flush` follows when all ports have ended.

        For what waits for one input to match another. It may `ctx.emit`.
        """

    # --- composition ------------------------------------------------------------------------------

    def flow(self) -> Flow:
        """A flow of one new node with these params."""
        from engine.composition.flow import Flow, FlowNode, Head, Tail

        node = FlowNode(type(self).node_type, self)
        return Flow(
            (node,), (), (Head(0),) if self.inputs else (), (Tail(0),) if self.outputs else ()
        )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "node_type" not in cls.__dict__:
            cls.node_type = cls.__name__
        if cls.stateful and cls.reset is Operator.reset:
            raise TypeError(
                f"{cls.__name__} is stateful and has no reset(ctx):"
                " an interrupt must be able to empty it"
            )


def process_kind(cls: type[Operator]) -> ProcessKind:
    """Whether a class's process is synchronous, a coroutine or an asynchronous generator.

    It is a property of the class, not of a return value: the plan must know it.
    """
    if inspect.isasyncgenfunction(cls.process):
        return "async_generator"
    if inspect.iscoroutinefunction(cls.process):
        return "coroutine"
    return "sync"


def ports_of(cls: type[Operator], params: Mapping[str, Any]) -> Ports:
    """The ports of a node of a class with valid params.

    Raises:
        UsageError: the class finds no ports for them.
    """
    if cls.ports.__func__ is Operator.ports.__func__:  # type: ignore[attr-defined]
        return Ports(cls.inputs, cls.outputs)
    try:
        return cls.ports(cls.Params.model_validate(params))
    except ValueError as error:
        raise UsageError(f"its ports cannot be told: {error}", node_type=cls.node_type) from error


def begins_stage(cls: type[Operator]) -> bool:
    """Whether a local node of this class begins a stage: it waits, or chooses its inputs."""
    return process_kind(cls) != "sync" or cls.chooses


#: Input of process for classes with `joins = True`.
GroupInput: TypeAlias = Mapping[str, Packet]
