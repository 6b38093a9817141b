"""What one call took, measured, as its metrics tell.

Source: FR-009; nothing here is a constant. Memory and CPU time of processes: `memory`.
"""

from __future__ import annotations

import json
from collections import Counter
from time import monotonic_ns, perf_counter_ns
from typing import TYPE_CHECKING, Final

from protos.remotemedia.v1 import common_pb2
from transports.rpc.conversion.buffers import Received, fill, receive

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableSequence

    from engine.observe.statistics import NodeStatistics, SessionStatistics
    from engine.packet import Packet
    from engine.plan import Plan
    from transports.rpc.conversion.buffers import InputRules
    from transports.rpc.memory import ProcessUsage

_MS: Final = 1e6


class Measurement:
    """Counts and times one call; converts its data, since that is measured, too.

    Attributes:
        kinds: kind → how many buffers of it came in and went out.
    """

    def __init__(self) -> None:
        """Begin now."""
        self.kinds: Counter[str] = Counter()
        self._began_ns = monotonic_ns()
        self._to_runtime_ns = 0
        self._to_proto_ns = 0
        #: Stage id → the most bytes of packets seen waiting for it, or being processed by it.
        self._held_bytes: dict[str, int] = {}

    # --- conversion -----------------------------------------------------------------------------

    def receive(self, buffer: common_pb2.DataBuffer, rules: InputRules) -> Received:
        """Convert an input; see `conversion.buffers.receive`."""
        began_ns = perf_counter_ns()
        received = receive(buffer, rules)
        self._to_runtime_ns += perf_counter_ns() - began_ns
        self.kinds[received.kind] += 1
        return received

    def fill(self, buffer: common_pb2.DataBuffer, packet: Packet) -> None:
        """Convert an output; see `conversion.buffers.fill`."""
        began_ns = perf_counter_ns()
        self.kinds[fill(buffer, packet)] += 1
        self._to_proto_ns += perf_counter_ns() - began_ns

    # --- what is held ---------------------------------------------------------------------------

    def note_input(self, stage_id: str, size: int) -> None:
        """Note what a node is given; its stage holds at least that while it processes it.

        Args:
            stage_id: the node's stage.
            size: bytes of it.
        """
        if size > self._held_bytes.get(stage_id, 0):
            self._held_bytes[stage_id] = size

    def note_held(self, plan: Plan, statistics: SessionStatistics) -> None:
        """Note what waits for each stage now: packets on its edges, of the mean size of all."""
        waiting: Counter[str] = Counter()
        for edge in plan.edges:
            counts = statistics.edges.get(edge.id)
            if edge.target_stage is None or counts is None or not counts.sent:
                continue
            items = counts.queued + counts.in_flight
            waiting[edge.target_stage] += items * counts.payload_bytes // counts.sent
        for stage_id, size in waiting.items():
            self._held_bytes[stage_id] = max(self._held_bytes.get(stage_id, 0), size)

    # --- metrics --------------------------------------------------------------------------------

    def fill_metrics(
        self,
        metrics: common_pb2.ExecutionMetrics,
        plan: Plan,
        statistics: SessionStatistics,
        usage: ProcessUsage,
    ) -> None:
        """Write down what the call took so far.

        Args:
            metrics: empty.
            plan: what runs, or ran.
            statistics: what its session counted.
            usage: what its processes use.
        """
        self.note_held(plan, statistics)
        nodes = statistics.nodes
        metrics.cpu_time_ms = self._cpu_ns(plan, nodes, usage.cpu_ns) / _MS
        metrics.memory_used_bytes = usage.peak_bytes
        metrics.serialization_time_ms = (self._to_runtime_ns + self._to_proto_ns) / _MS
        metrics.proto_to_runtime_ms = self._to_runtime_ns / _MS
        metrics.runtime_to_proto_ms = self._to_proto_ns / _MS
        metrics.data_type_breakdown.update(self.kinds)
        for stage in plan.stages:
            of_process = stage.executor == "process"
            if of_process:
                held = usage.worker_bytes.get(stage.worker, 0)
            else:
                held = self._held_bytes.get(stage.id, 0)
            for node in stage.nodes:
                found = metrics.node_metrics[node.id]
                found.memory_bytes = held
                counts = nodes.get(node.id)
                if counts is not None:
                    _fill_node(found, counts)
        metrics.wall_time_ms = (monotonic_ns() - self._began_ns) / _MS

    def _cpu_ns(
        self, plan: Plan, nodes: Mapping[str, NodeStatistics], worker_cpu_ns: Mapping[str, int]
    ) -> int:
        """CPU time of conversions, nodes and processes.

        Of the server's loop, which all sessions share, it is the time inside the operators' code
        and the conversions; of a process, the kernel's count, or while that is not known the time
        inside its operators' code.
        """
        total = self._to_runtime_ns + self._to_proto_ns
        of_workers: Counter[str] = Counter()
        for stage in plan.stages:
            busy_ns = sum(nodes[node.id].busy_ns for node in stage.nodes if node.id in nodes)
            if stage.worker:
                of_workers[stage.worker] += busy_ns
            else:
                total += busy_ns
        for worker, busy_ns in of_workers.items():
            total += worker_cpu_ns.get(worker, busy_ns)
        return total


def _fill_node(metrics: common_pb2.NodeMetrics, counts: NodeStatistics) -> None:
    metrics.execution_time_ms = (counts.busy_ns + counts.waited_ns) / _MS
    metrics.items_processed = counts.received
    metrics.custom_metrics = json.dumps(
        {
            "items_emitted": counts.emitted,
            "busy_ms": counts.busy_ns / _MS,
            "waited_ms": counts.waited_ns / _MS,
        }
    )


def add_node_results(
    rows: MutableSequence[common_pb2.NodeResult],
    nodes: tuple[str, ...],
    statistics: SessionStatistics,
) -> None:
    """Add a row for each node of a session that ended well.

    Args:
        rows: where to.
        nodes: their ids.
        statistics: the session's.
    """
    counts = statistics.nodes
    for node in nodes:
        found = counts.get(node)
        idle = found is None or not (found.received or found.emitted)
        rows.append(
            common_pb2.NodeResult(
                node_id=node,
                status=common_pb2.NODE_STATUS_SKIPPED if idle else common_pb2.NODE_STATUS_SUCCESS,
                output_metadata=json.dumps({"items": found.emitted if found else 0}),
            )
        )
