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
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.compile import compile_stage
from engine.edges.local import LocalEdge
from engine.errors import EdgeClosedError
from engine.executors.lifecycle import cleanup_operators, initialize_operators
from engine.graph import Link
from engine.hosts import AsyncioHost
from engine.interruption import ANNOUNCED
from engine.packet import DEFAULT_INPUT, DEFAULT_OUTPUT
from engine.plan import EdgePlan, NodePlan, StagePlan
from engine.registry import target_of
from engine.stage import Stage
from engine.testing.bench_ends import SESSION_ID, Feeder, Sink
from engine.testing.play_bench import BenchPlayer, raised
from engine.testing.virtual import VirtualHost

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableSequence

    from engine.operator import Operator
    from engine.payloads import Payload
    from engine.testing.recording import Recording
    from engine.testing.script import Script


class StageBench:
    """Operators in one stage, between edges whose other ends the test holds.

    Attributes:
        stage: the stage.
        host: what drives it: `clock` if no loop was running, else an `AsyncioHost`.
        feeders: "node" or "node.port" → producer.
        sinks: "node" or "node.port" → consumer.
        finished_ns: when the stage was done, on the bench's clock; None: it is not.
    """

    def __init__(
        self,
        operators: Mapping[str, Operator] | Operator,
        links: Iterable[tuple[str, str]] | None = None,
        *,
        capacity: int | Mapping[str, int] = 64,
        inputs: Iterable[str] | None = None,
        outputs: Iterable[str] | None = None,
        words: MutableSequence[int] | None = None,
        started: bool = True,
    ) -> None:
        """Build the stage and start to host it.

        Args:
            operators: node id → instance, in topological order; or one, whose id is then "node".
            links: (from, to), each "node" or "node.port"; without, the operators are a chain.
            capacity: credits of each edge, or of those named as in `inputs` and `outputs`.
            inputs: where edges lead in, each "node" (any port, as the packet says) or "node.port";
                without, the nodes that no link leads to.
            outputs: where edges lead out, each "node" or "node.port"; without, every output port of
                the nodes that no link leads from.
            words: the stage's control words.
            started: whether it runs already; if not, `initialize` starts it, as a session does.
        """
        operators = operators if isinstance(operators, Mapping) else {"node": operators}
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
                for port in operators[node].outputs
            ]
        self._capacity = capacity
        self._ports = {node: operator.inputs for node, operator in operators.items()}
        self._started = started
        self._finished = asyncio.Event()
        self.finished_ns: int | None = None
        self._pumping = False
        self._loop = _running_loop()
        self.host: VirtualHost | AsyncioHost = (
            VirtualHost(on_finished=self._on_finished)
            if self._loop is None
            else AsyncioHost(self._on_finished)
        )
        self.stage = Stage("stage", SESSION_ID, self.host, words)
        self.feeders: dict[str, Feeder] = {}
        self.sinks: dict[str, Sink] = {}
        receivers = [self._in_edge(name) for name in inputs]
        senders = [self._out_edge(name) for name in outputs]
        nodes = tuple(_node_plan(node, operator) for node, operator in operators.items())
        plan = StagePlan("stage", "local", nodes, joined)
        compile_stage(plan, operators, self.stage, receivers, senders)
        if isinstance(self.host, VirtualHost):
            self.host.between = self._pump
        if started:
            self.host.start(self.stage)

    async def initialize(self) -> None:
        """Initialize the operators, as a session does before it feeds them; `cleanup` ends it.

        Raises:
            NodeError: an operator's initialize raised.
        """
        await initialize_operators([self.stage], lambda *_: None)
        if not self._started:
            self._started = True
            self.host.start(self.stage)

    async def cleanup(self) -> None:
        """Stop the stage and clean the operators up."""
        self.stage.cancel()
        await cleanup_operators(self.stage)

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
        self.feed_together(payloads, at=at)

    def feed_together(
        self, payloads: Mapping[str, Payload], *, at: str | None = None, **header: Any
    ) -> None:
        """Send one group: input port → payload; `at` and `header` as in `feed`."""
        feeder = self._feeder(at)
        feeder.waiting.append(feeder.group(payloads, **header))
        self._pump()

    def finish(self, *at: str) -> None:
        """End these in edges, or all, behind what waits for credits there."""
        for name in at or tuple(self.feeders):
            self.feeders[name].finish()
        self._pump()

    def fail(self, error: Exception) -> None:
        """Let the producers fail: their edges end abnormally."""
        for feeder in self.feeders.values():
            message = f"the producer failed: {type(error).__name__}: {error}"
            feeder.edge.fail(EdgeClosedError(message, edge=feeder.edge.edge_id))

    def interrupt(self) -> None:
        """Make stale what was fed so far; what is fed from now on belongs to a newer generation."""
        generation = self.stage.words[ANNOUNCED] + 1
        self.stage.interrupt_all(generation)
        for feeder in self.feeders.values():
            feeder.generation = generation

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
        self.clock.run_until_idle()

    def advance(self, seconds: float) -> None:
        """Let time pass; at each instant at which a timer is due, until nothing moves any more."""
        self.clock.advance(seconds)

    async def finished(self) -> None:
        """Wait until the stage is done."""
        await self._finished.wait()

    async def joined(self) -> None:
        """Wait until the stage is done and its tasks have ended."""
        assert isinstance(self.host, AsyncioHost)
        await self.finished()
        await self.host.join()
        self._pump()

    def play(
        self, script: Script, *, until_s: float | None = None, record_errors: bool = False
    ) -> Recording:
        """Do what a script says, let time pass until nothing is due, and say what came out.

        For synchronous operators, outside a loop; else see `aplay`.

        Args:
            script: what the producers do, from now on.
            until_s: when to stop, in seconds from now; None: when no timer is left.
            record_errors: keep what the stage fails with in the recording, instead of raising it.

        Raises:
            NodeError: an operator raised.
            HangError: timers go on for ever, and `until_s` is not given.
        """
        player = BenchPlayer(self, script, until_s)
        player.play()
        return raised(player.recording(), record_errors=record_errors)

    async def aplay(
        self, script: Script, *, until_s: float | None = None, record_errors: bool = False
    ) -> Recording:
        """`play` in the running loop, until the stage is done or is stopped at `until_s`.

        Raises:
            UsageError: the script never ends its input, and `until_s` is not given.
            NodeError: an operator raised.
        """
        script.check_stop(until_s)
        player = BenchPlayer(self, script, until_s)
        try:
            await player.aplay()
        finally:
            assert isinstance(self.host, AsyncioHost)
            await self.host.join()
            self._pump()
        return raised(player.recording(), record_errors=record_errors)

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
        self.feeders[name] = Feeder(edge, node, port or self._first_port(node), self.host.now_ns)
        plan = EdgePlan(f"→{name}", None, "stage", node, "", node, port, "local", edge.capacity)
        return plan, edge

    def _out_edge(self, name: str) -> tuple[EdgePlan, LocalEdge]:
        node, port = _output(name)
        edge = self._edge(name)
        edge.on_readable = self._wake
        self.sinks[name] = Sink(edge, self.host.now_ns)
        plan = EdgePlan(f"{name}→", "stage", None, node, port, node, "", "local", edge.capacity)
        return plan, edge

    def _first_port(self, node: str) -> str:
        ports = self._ports[node]
        return ports[0] if ports and DEFAULT_INPUT not in ports else DEFAULT_INPUT

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
        self.finished_ns = self.host.now_ns()
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
    ports = (operator.inputs, operator.outputs)
    return NodePlan(node, cls.node_type, target_of(cls), {}, *ports, "local", "default")
