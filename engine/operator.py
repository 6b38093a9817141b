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
from engine.operator_rules import check_class
from engine.packet import DEFAULT_INPUT, DEFAULT_OUTPUT, Packet
from engine.payloads import Control, Payload
from engine.wording import suggestion

if TYPE_CHECKING:
    import logging

    import numpy as np
    import numpy.typing as npt
    from pydantic_core import ErrorDetails

    from engine.composition.flow import Flow
    from engine.interruption import Played
    from engine.reach import Reach


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


class Context(Protocol):
    """What a stage gives an operator; valid inside the operator's own methods."""

    node_id: str
    session_id: str
    logger: logging.Logger

    @property
    def cancelled(self) -> bool:
        """Whether an interrupt or the session's end made this turn's result unwanted; cheap."""

    @property
    def now_ns(self) -> int:
        """The stage's clock, by which `call_later` calls; it stands while the stage waits."""

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

    def control(self, control: Control) -> None:
        """Tell a control message to all nodes behind this one, past the data.

        What is sent as a packet stays in line with the data instead.
        """

    def complete(self) -> None:
        """End this node's outputs, behind what it has handed out, though its inputs go on.

        For what can never emit again, such as a join one of whose inputs has ended. What its inputs
        bring from now on goes nowhere, edges that feed it are closed, and flush is not called.
        """

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

    class Params(BaseModel):
        """Base of an operator's params: `class Params(Operator.Params)` inside the operator.

        Schema, errors and documentation come from it. Unknown names are refused. A manifest may say
        `chunkSize` or `chunk_size`; the loader renames before it validates.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

    #: Name of the node type in manifests.
    node_type: ClassVar[str] = ""
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
    #: Whether it must not run on the session's own loop, since it would harm what else runs there;
    #: `default_executor` is then "process".
    process_only: ClassVar[bool] = False
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
    #: Params that may change while it runs; those that `process` reads from `self.params` anew, or
    #: that `params_changed` acts on.
    hot: ClassVar[frozenset[str]] = frozenset()
    #: Whether the params are JSON; False: they hold functions, so the node runs in this process
    #: only and has no manifest.
    portable: ClassVar[bool] = True
    #: How many asynchronous calls may run at once; results leave in order of arrival.
    concurrency: ClassVar[int] = 1

    def __init__(self, *args: Any, **params: Any) -> None:
        """Take and validate the params, which go by name.

        Raises:
            UsageError: a param is unknown, of the wrong type or out of range, or goes without its
                name; or `ports` fails.
        """
        if args:
            names = ", ".join(f"{name}=…" for name in self.Params.model_fields) or "there are none"
            raise UsageError(
                f"{type(self).__name__}: params go by name: {type(self).__name__}({names})",
                node_type=self.node_type,
            )
        try:
            self.params: Any = self.Params(**params)
        except ValidationError as error:
            problems = "; ".join(param_problem(item, self.Params) for item in error.errors())
            raise UsageError(
                f"{type(self).__name__}: {problems}", node_type=self.node_type
            ) from error
        if _tells_ports(type(self)):
            self.inputs, self.outputs = _told_ports(type(self), self.params)

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

    @classmethod
    def reaches(cls, params: Mapping[str, Any]) -> Iterable[Reach]:
        """What these params name outside of the pipeline: files, and what is to be imported.

        A service asks before it opens or imports anything for a client, and refuses what it does
        not allow; so an operator whose params name such things says them here.

        Args:
            params: by the names that `Params` takes, but not validated: values may be of any type,
                and those of a wrong one are left out, since they are refused later on.
        """
        return ()

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

    def played(self) -> Iterable[Played]:
        """What it is playing, and how much of that was heard; asked before an interrupt's `reset`.

        For a node that plays audio as fast as it is heard. Who interrupts finds it in the
        settlement, and knows from it what the listener has heard.
        """
        return ()

    async def cleanup(self) -> None:
        """Release what initialize acquired. Called once, also after an error."""

    def params_changed(self, before: Any, ctx: Context) -> None:
        """Act on hot params that have other values now; called between two packets.

        For what is made of params once. What it raises refuses the change: the node goes on with
        what it had, so raise before anything is changed.

        Args:
            before: the params as they were; `self.params` are the new ones.
            ctx: the context.
        """

    def control(self, control: Control, ctx: Context) -> None:
        """Act on a control message that came past the data; called between two packets.

        What is taken back by a CancelSpeculation and waits or is under way has been dropped by
        then; what the operator itself holds of it is for the operator to drop. Who batches may
        follow a BatchHint, who has a choice a DeadlineWarning.
        """

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

        if not hasattr(self, "params"):
            raise UsageError(
                f"{type(self).__name__} has an __init__ of its own that does not call"
                " super().__init__(**params); better have none: values come as Params, and state is"
                " made in initialize",
                node_type=self.node_type,
            )
        node = FlowNode(type(self).node_type, self)
        return Flow(
            (node,), (), (Head(0),) if self.inputs else (), (Tail(0),) if self.outputs else ()
        )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "node_type" not in cls.__dict__:
            cls.node_type = cls.__name__
        check_class(cls, Operator)

    def __repr__(self) -> str:
        """What was said of it: `Gain(gain_db=3.0)`."""
        params: BaseModel | None = getattr(self, "params", None)
        said = [] if params is None else sorted(params.model_fields_set)
        values = (f"{name}={getattr(params, name)!r:.60}" for name in said)
        return f"{type(self).__name__}({', '.join(values)})"


#: The same, for annotations outside an operator.
Params: TypeAlias = Operator.Params


def param_problem(error: ErrorDetails, model: type[BaseModel]) -> str:
    """What is wrong with a param, and which one may have been meant."""
    name = ".".join(str(part) for part in error["loc"]) or "params"
    if error["type"] == "extra_forbidden":
        return f"there is no param {name!r}{suggestion(name, model.model_fields, 'params')}"
    return f"{name}: {error['msg']}"


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
    if not _tells_ports(cls):
        return Ports(cls.inputs, cls.outputs)
    try:
        validated = cls.Params.model_validate(params)
    except ValueError as error:
        raise UsageError(f"its ports cannot be told: {error}", node_type=cls.node_type) from error
    return _told_ports(cls, validated)


def _tells_ports(cls: type[Operator]) -> bool:
    """Whether a class's ports depend on its params."""
    told: bool = cls.ports.__func__ is not Operator.ports.__func__  # type: ignore[attr-defined]
    return told


def _told_ports(cls: type[Operator], params: Any) -> Ports:
    """What a class says its ports are with these params, checked."""
    try:
        returned: Iterable[Any] = cls.ports(params)  # by its type; anything, by what it may say
        told: list[Any] = [names if isinstance(names, str) else tuple(names) for names in returned]
    except UsageError:
        raise
    except Exception as error:
        # A ValueError is the class's word on the params, anything else a fault of its own.
        fault = f"{cls.__name__}.ports raised {type(error).__name__}: "
        said = error if isinstance(error, ValueError) else f"{fault}{error}"
        raise UsageError(f"its ports cannot be told: {said}", node_type=cls.node_type) from error
    if len(told) != len(Ports._fields) or not all(_are_names(names) for names in told):
        raise UsageError(
            f"its ports cannot be told: {cls.__name__}.ports must return Ports(inputs, outputs),"
            f" two tuples of different names, not {told!r:.100}",
            node_type=cls.node_type,
        )
    return Ports(*told)


def _are_names(names: str | tuple[Any, ...]) -> bool:
    return (
        not isinstance(names, str)
        and all(isinstance(name, str) and name for name in names)
        and len(set(names)) == len(names)
    )


def begins_stage(cls: type[Operator]) -> bool:
    """Whether a local node of this class begins a stage: it waits, or chooses its inputs."""
    return process_kind(cls) != "sync" or cls.chooses


#: Input of process for classes with `joins = True`.
GroupInput: TypeAlias = Mapping[str, Packet]
