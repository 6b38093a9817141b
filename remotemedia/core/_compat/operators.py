"""Operators around old node classes: the same class, run by the engine. Source: FR-002, FR-009.

    initialize   make the node, call its initialize      (progress: what it publishes)
    process      packet → its data → node.process → payloads
    flush        node.flush, where it has one
    cleanup      node.cleanup, once

Whether process is synchronous is told from the class, as the plan must know it.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import model_validator

from engine.operator import Operator
from remotemedia.core._compat.construction import make_node, needed_params
from remotemedia.core._compat.multiprocess_node import MultiprocessNode, NodeConfig, NodeStatus
from remotemedia.core._compat.native import native_data
from remotemedia.core._compat.outgoing import outputs_of, rate_of
from remotemedia.core._compat.params import OldParams, Spelled
from remotemedia.core._compat.reporter import MAKING, Reporter
from remotemedia.core._compat.runtime_data import RuntimeData

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from engine.operator import Context, Output, Outputs
    from engine.packet import Packet

logger = logging.getLogger("remotemedia.compat")


class ClassParams(OldParams):
    """The params of one old class: what its constructor needs must be there."""

    old_class: ClassVar[type[Any]] = object

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = Spelled(self.model_extra or {})
        missing = [repr(name) for name in needed_params(self.old_class) if name not in given]
        if missing:
            are = "is" if len(missing) == 1 else "are"
            raise ValueError(f"{' and '.join(missing)} {are} required and missing")
        return self


class OldNode(Operator):
    """Base of the operators around old node classes; not used itself."""

    Params = OldParams
    #: The class it runs.
    old_class: ClassVar[type[Any]] = object

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.node: Any = None

    async def initialize(self, ctx: Context) -> None:
        """Make the node, and let it load what it needs."""
        params = Spelled(self.params.model_extra or {})
        config = NodeConfig(ctx.node_id, self.node_type, params, ctx.session_id)
        token = MAKING.set(Reporter(ctx))
        try:
            self.node = make_node(self.old_class, config)
        finally:
            MAKING.reset(token)
        self._status(NodeStatus.INITIALIZING)
        try:
            await _settle(self.node, "initialize")
        except BaseException:
            self._status(NodeStatus.ERROR)
            raise
        self._status(NodeStatus.READY)

    async def cleanup(self) -> None:
        """Let the node release what it has, whatever became of it."""
        node = self.node
        if node is None:  # its constructor raised
            return
        self._status(NodeStatus.STOPPING)
        self.node = None
        try:
            await _settle(node, "cleanup")
        finally:
            if isinstance(node, MultiprocessNode):
                node.status = NodeStatus.STOPPED

    def flush(self, ctx: Context) -> Outputs | Awaitable[Outputs] | AsyncIterator[Output]:
        """What the node gives at the end, where it has a flush."""
        flush = getattr(self.node, "flush", None)
        if not callable(flush):
            return None
        result = flush()
        if isinstance(result, Awaitable | AsyncIterable):
            return self._flushed(result)
        return self._taken(result, None)

    def reset(self, ctx: Context) -> None:
        """Call the node's reset, where it has one that needs no argument."""
        reset = getattr(self.node, "reset", None)
        if callable(reset) and not waits(reset) and not _required(reset):
            reset()

    # --- what both kinds need -----------------------------------------------------------------

    def _data(self, packet: Packet) -> RuntimeData:
        """A packet as the node takes it: a MultiprocessNode asks for RuntimeData alone."""
        make = RuntimeData.of if isinstance(self.node, MultiprocessNode) else native_data
        return make(
            packet.payload, packet.metadata, packet.session_id, packet.timestamp_ns / 1_000_000_000
        )

    def _taken(self, result: Any, packet: Packet | None) -> Outputs:
        """The outputs of what a synchronous method returned."""
        if isinstance(result, Iterator):
            return self._pulled(result, packet)
        return list(outputs_of(result, packet, rate_of(self.node, packet)))

    def _pulled(self, values: Iterator[Any], packet: Packet | None) -> Iterator[Output]:
        """The outputs of a generator, as they are asked for."""
        with _closing(values):
            for value in values:
                yield from outputs_of(value, packet, rate_of(self.node, packet))

    async def _flushed(self, result: Any) -> AsyncIterator[Output]:
        async with aclosing(values_of(result)) as values:
            async for value in values:
                for output in outputs_of(value, None, rate_of(self.node, None)):
                    yield output

    def _status(self, status: NodeStatus) -> None:
        if isinstance(self.node, MultiprocessNode):
            self.node.status = status


class SyncOldNode(OldNode):
    """A node whose process returns at once, or is a generator."""

    def process(self, packet: Packet, ctx: Context) -> Outputs:
        """Hand the node one item."""
        data = self._data(packet)
        if data.is_control_message():
            return packet  # about the stream, not for process; others behind it may want it
        result = self.node.process(data)
        if isinstance(result, Awaitable | AsyncIterator):
            return result  # type: ignore[return-value] # the engine says what is wrong with it
        return self._taken(result, packet)


class AsyncOldNode(OldNode):
    """A node whose process waits, or is an asynchronous generator."""

    async def process(self, packet: Packet, ctx: Context) -> AsyncIterator[Output]:
        """Hand the node one item."""
        data = self._data(packet)
        if data.is_control_message():
            await self._control(data)
            yield packet
            return
        with self._working(), _said_of_streams(self.node):
            async with aclosing(values_of(self.node.process(data))) as values:
                async for value in values:
                    for output in outputs_of(value, packet, rate_of(self.node, packet)):
                        yield output

    async def _control(self, data: RuntimeData) -> None:
        """Tell the node of a message about the stream, where it wants to know."""
        handle = getattr(self.node, "process_control_message", None)
        if callable(handle):
            result = handle(data)
            if inspect.isawaitable(result):
                await result

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        """Keep a MultiprocessNode's status and counts while it has an item."""
        node = self.node
        if not isinstance(node, MultiprocessNode):
            yield
            return
        node.status = NodeStatus.PROCESSING
        try:
            yield
        except Exception:
            node.messages_failed += 1
            node.status = NodeStatus.ERROR
            raise
        except BaseException:  # the item was given up: an interrupt, the end
            node.status = NodeStatus.READY
            raise
        node.messages_processed += 1
        node.status = NodeStatus.READY


@contextlib.contextmanager
def _said_of_streams(node: Any) -> Iterator[None]:
    """Say what to do about a process that takes the whole stream at once."""
    try:
        yield
    except TypeError as error:
        if "__aiter__" not in str(error):
            raise
        raise TypeError(
            f"{error}: if process of {type(node).__name__} iterates over the whole stream, let it"
            " handle one item per call, and give what is left at the end in flush"
        ) from error


async def values_of(result: Any) -> AsyncGenerator[Any, None]:
    """Whatever process of an asynchronous node gave, one value after the other."""
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, AsyncIterable):
        async with _aclosing(result):
            async for value in result:
                yield value
    elif isinstance(result, Iterator):
        with _closing(result):
            for value in result:
                yield value
    else:
        yield result


def waits(function: Any) -> bool:
    """Whether calling a function gives something to await or to iterate over asynchronously.

    Decorators that keep the function they wrap are looked through.
    """
    while function is not None:
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            return True
        inner = function.func if isinstance(function, functools.partial) else None
        function = inner or getattr(function, "__wrapped__", None)
    return False


def operator_of(cls: type[Any], node_type: str, module: str, qualname: str) -> type[OldNode]:
    """An operator class around an old node class.

    Args:
        cls: the old class.
        node_type: name in manifests.
        module: where workers find it, with `qualname`.
        qualname: see `engine.registry.resolve`.
    """
    asynchronous = issubclass(cls, MultiprocessNode) or waits(getattr(cls, "process", None))
    base = AsyncOldNode if asynchronous else SyncOldNode
    members = {
        "__module__": module,
        "__qualname__": qualname,
        "__doc__": inspect.getdoc(cls),
        "node_type": node_type,
        "old_class": cls,
        "Params": type(
            f"{cls.__name__}Params", (ClassParams,), {"__module__": __name__, "old_class": cls}
        ),
    }
    made: type[OldNode] = type(cls.__name__, (base,), members)
    return made


async def _settle(node: Any, name: str) -> None:
    """Call an optional method, and wait for it where it waits."""
    method: Callable[[], Any] | None = getattr(node, name, None)
    if callable(method):
        result = method()
        if inspect.isawaitable(result):
            await result


def _required(function: Any) -> bool:
    """Whether a bound method needs an argument."""
    return any(
        parameter.default is inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        for parameter in inspect.signature(function).parameters.values()
    )


def _closing(iterator: Any) -> contextlib.AbstractContextManager[Any]:
    """Close a generator at the end; another iterator has nothing to close."""
    return contextlib.closing(iterator) if hasattr(iterator, "close") else contextlib.nullcontext()


def _aclosing(iterator: Any) -> contextlib.AbstractAsyncContextManager[Any]:
    return aclosing(iterator) if hasattr(iterator, "aclose") else contextlib.nullcontext()
