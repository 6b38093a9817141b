"""A bench to put operators on: a stage of them, fed and read through real edges.

    bench = StageBench({"split": Split(), "count": Count()})  # without links: a chain
    bench.feed(Text("a b c"))
    bench.finish()
    bench.run()
    assert bench.sink().values == [3]

Inside a running loop (see `run_virtual`) the loop drives it, which coroutine operators need: then
`await bench.joined()` stands in place of `bench.run()`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from typing import TYPE_CHECKING, Any

from engine.compile import compile_stage
from engine.edges.local import LocalEdge
from engine.graph import Link
from engine.hosts import AsyncioHost
from engine.packet import (
    DEFAULT_INPUT,
    DEFAULT_OUTPUT,
    NO_METADATA,
    Group,
    Origin,
    Packet,
    Source,
)
from engine.payloads import Json, Text
from engine.plan import EdgePlan, NodePlan, StagePlan
from engine.registry import target_of
from engine.stage import Stage
from engine.testing.virtual import VirtualHost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableSequence

    from engine.operator import Operator
    from engine.packet import Item
    from engine.payloads import Payload

SESSION_ID = "session"


class Sink:
    """The consumer behind one out edge.

    Attributes:
        edge: the edge.
        packets: what has come out so far.
        withholding: whether it keeps the credits of what it takes (`release` returns them), so that
            it is a slow consumer; otherwise they return at once.
        held: credits it keeps.
    """

    def __init__(self, edge: LocalEdge) -> None:
        self.edge = edge
        self.packets: list[Packet] = []
        self.withholding = False
        self.held = 0

    def take(self) -> int:
        """Take what has come; how many packets that were."""
        taken = 0
        while (item := self.edge.try_receive()) is not None:
            assert isinstance(item, Packet)
            self.packets.append(item)
            taken += 1
            if self.withholding:
                self.held += 1
            else:
                self.edge.release()
        return taken

    def release(self, count: int | None = None) -> None:
        """Return `count` of the credits it keeps, or all."""
        count = self.held if count is None else min(count, self.held)
        self.held -= count
        if count:
            self.edge.release(count)

    @property
    def ended(self) -> bool:
        """Whether the stream has ended and everything before its end was taken."""
        return self.edge.ended

    @property
    def payloads(self) -> list[Payload]:
        """The payloads that have come out."""
        return [packet.payload for packet in self.packets]

    @property
    def values(self) -> list[Any]:
        """The payloads' contents: texts, JSON values, else the payload itself."""
        return [_value_of(payload) for payload in self.payloads]

    @property
    def lineage(self) -> list[tuple[int, int]]:
        """(sequence, index) of each packet that has come out."""
        return [(packet.sequence, packet.index) for packet in self.packets]


class Feeder:
    """The producer before one in edge; what is refused waits with it.

    Attributes:
        edge: the edge.
        waiting: what has found no credit yet.
        sequence: that of the next packet.
    """

    def __init__(self, edge: LocalEdge, node_id: str, port: str) -> None:
        self.edge = edge
        self.waiting: deque[Item] = deque()
        self.sequence = 0
        self._source = Source(node_id, "")
        self._port = port
        self._ending = False

    def packet(self, payload: Payload, port: str | None, **header: Any) -> Packet:
        """Make the next packet."""
        origin = Origin(
            SESSION_ID,
            header.get("sequence", self.sequence),
            header.get("timestamp_ns", self.sequence * 1_000_000),
            header.get("ingress_ns", self.sequence),
            header.get("generation", 0),
            header.get("flags", 0),
            header.get("metadata", NO_METADATA),
        )
        self.sequence = origin.sequence + 1
        return Packet(payload, self._source, port or self._port, 0, origin)

    def finish(self) -> None:
        """End the stream behind what waits."""
        self._ending = True

    def pump(self) -> int:
        """Send what there are credits for, then perhaps the end; how many were sent."""
        sent = 0
        while self.waiting and self.edge.try_send(self.waiting[0]):
            self.waiting.popleft()
            sent += 1
        if self._ending and not self.waiting:
            self._ending = False
            self.edge.finish()
        return sent


class StageBench:
    """Operators in one stage, between edges whose other ends the test holds.

    Attributes:
        stage: the stage.
        host: what drives it: `clock` if no loop was running, else an `AsyncioHost`.
        feeders: "node" or "node.port" → producer.
        sinks: "node" or "node.port" → consumer.
    """

    def __init__(
        self,
        operators: Mapping[str, Operator],
        links: Iterable[tuple[str, str]] | None = None,
        *,
        capacity: int | Mapping[str, int] = 64,
        inputs: Iterable[str] | None = None,
        outputs: Iterable[str] | None = None,
        words: MutableSequence[int] | None = None,
    ) -> None:
        """Build the stage and start to host it.

        Args:
            operators: node id → instance, in topological order.
            links: (from, to), each "node" or "node.port"; without, the operators are a chain.
            capacity: credits of each edge, or of those named as in `inputs` and `outputs`.
            inputs: where edges lead in, each "node" (any port, as the packet says) or "node.port";
                without, the nodes that no link leads to.
            outputs: where edges lead out, each "node" or "node.port"; without, every output port of
                the nodes that no link leads from.
            words: the stage's control words.
        """
        chain = list(operators)
        if links is None:
            links = itertools.pairwise(chain)
        joined = tuple(Link(*_output(source), *_input(target)) for source, target in links)
        targets = {link.target_node for link in joined}
        sources = {link.source_node for link in joined}
        if inputs is None:
            inputs = [node for node in chain if node not in targets]
        if outputs is None:
            outputs = [
                node if port == DEFAULT_OUTPUT else f"{node}.{port}"
                for node in chain
                if node not in sources
                for port in type(operators[node]).outputs
            ]
        self._capacity = capacity
        self._finished = asyncio.Event()
        self._pumping = False
        self._loop = _running_loop()
        self.host: VirtualHost | AsyncioHost = (
            VirtualHost() if self._loop is None else AsyncioHost(self._on_finished)
        )
        self.stage = Stage("stage", SESSION_ID, self.host, words)
        self.feeders: dict[str, Feeder] = {}
        self.sinks: dict[str, Sink] = {}
        receivers = [self._in_edge(name) for name in inputs]
        senders = [self._out_edge(name) for name in outputs]
        nodes = tuple(_node_plan(node, operator) for node, operator in operators.items())
        plan = StagePlan("stage", "local", nodes, joined)
        compile_stage(plan, operators, self.stage, receivers, senders)
        self.host.start(self.stage)

    # --- feeding and reading --------------------------------------------------------------------

    @property
    def clock(self) -> VirtualHost:
        """The host on virtual time, where no loop was running."""
        assert isinstance(self.host, VirtualHost)
        return self.host

    def feed(
        self, *payloads: Payload, at: str | None = None, port: str | None = None, **header: Any
    ) -> None:
        """Send payloads as packets, numbered from 0; what finds no credit waits and follows.

        Args:
            payloads: what to send.
            at: the in edge, where there are several.
            port: the input port, where it is not the default one.
            header: fields of the origin: `sequence`, `timestamp_ns`, `generation`, `metadata`, ….
        """
        feeder = self._feeder(at)
        feeder.waiting.extend(feeder.packet(payload, port, **header) for payload in payloads)
        self._pump()

    def feed_group(self, at: str | None = None, /, **payloads: Payload) -> None:
        """Send one group: input port → payload."""
        feeder = self._feeder(at)
        sequence = feeder.sequence
        members = {
            port: feeder.packet(payload, port, sequence=sequence)
            for port, payload in payloads.items()
        }
        feeder.waiting.append(Group(members))
        self._pump()

    def finish(self, *at: str) -> None:
        """End these in edges, or all, behind what waits for credits there."""
        for name in at or tuple(self.feeders):
            self.feeders[name].finish()
        self._pump()

    def sink(self, name: str | None = None) -> Sink:
        """The sink of an out edge; the name may be left out where there is only one."""
        if name is None:
            (name,) = self.sinks
        return self.sinks[name]

    @property
    def values(self) -> list[Any]:
        """What has come out of the only sink, see `Sink.values`."""
        return self.sink().values

    # --- driving --------------------------------------------------------------------------------

    def run(self) -> None:
        """Feed, run and read until nothing moves any more. Time stands still."""
        moved = True
        while moved:
            self.clock.run_until_idle()
            moved = self._pump()

    def advance(self, seconds: float) -> None:
        """Let time pass, then run until nothing moves any more."""
        self.run()
        self.clock.advance(seconds)
        self.run()

    async def joined(self) -> None:
        """Wait until the stage is done and its tasks have ended."""
        assert isinstance(self.host, AsyncioHost)
        await self._finished.wait()
        await self.host.join()
        self._pump()

    @property
    def settled(self) -> bool:
        """Whether every credit of the in edges is home."""
        return all(not _outstanding(feeder.edge) for feeder in self.feeders.values())

    # --- edges ----------------------------------------------------------------------------------

    def _feeder(self, name: str | None) -> Feeder:
        if name is None:
            (name,) = self.feeders
        return self.feeders[name]

    def _edge(self, name: str) -> LocalEdge:
        capacity = self._capacity
        return LocalEdge(name, capacity if isinstance(capacity, int) else capacity.get(name, 64))

    def _in_edge(self, name: str) -> tuple[EdgePlan, LocalEdge]:
        node, _, port = name.partition(".")
        edge = self._edge(name)
        edge.on_credit = self._wake
        self.feeders[name] = Feeder(edge, node, port or DEFAULT_INPUT)
        plan = EdgePlan(f"→{name}", None, "stage", node, "", node, port, "local", edge.capacity)
        return plan, edge

    def _out_edge(self, name: str) -> tuple[EdgePlan, LocalEdge]:
        node, port = _output(name)
        edge = self._edge(name)
        edge.on_readable = self._wake
        self.sinks[name] = Sink(edge)
        plan = EdgePlan(f"{name}→", "stage", None, node, port, node, "", "local", edge.capacity)
        return plan, edge

    def _wake(self) -> None:
        if self._loop is not None and not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> bool:
        self._pumping = False
        taken = [sink.take() for sink in self.sinks.values()]
        sent = [feeder.pump() for feeder in self.feeders.values()]
        return any(taken) or any(sent)

    def _on_finished(self, stage: Stage) -> None:
        self._finished.set()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _outstanding(edge: LocalEdge) -> int:
    statistics = edge.statistics()
    return statistics.queued + statistics.in_flight


def _output(name: str) -> tuple[str, str]:
    node, _, port = name.partition(".")
    return node, port or DEFAULT_OUTPUT


def _input(name: str) -> tuple[str, str]:
    node, _, port = name.partition(".")
    return node, port or DEFAULT_INPUT


def _node_plan(node: str, operator: Operator) -> NodePlan:
    cls = type(operator)
    return NodePlan(node, cls.node_type, target_of(cls), {}, "local", "default")


def _value_of(payload: Payload) -> Any:
    if isinstance(payload, Text):
        return payload.text
    if isinstance(payload, Json):
        return payload.value
    return payload
