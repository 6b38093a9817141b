"""What a service has done and does, in Prometheus's words. Source: FR-009.

Two halves: `Observed` counts calls and messages as they pass; `ServiceMetrics` looks at the
sessions, the plans and the machine when it is asked. What sessions that have ended had counted is
added up, so that totals only grow.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from engine.version import VERSION
from engine.workers.memory import proportional_bytes
from transports.rpc.interception import surrounded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from prometheus_client import Metric

    from engine.edges.contract import EdgeStatistics
    from engine.observe.statistics import SessionStatistics
    from transports.rpc.interception import Continuation, Handler
    from transports.rpc.service import PipelineService
    from transports.rpc.sessions import LiveSession

_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}
#: Methods of services that nobody offers are counted together: their names are the callers'.
_UNKNOWN_METHOD: Final = "unknown"
#: Edges of ended sessions that count for how long hops take.
_EDGES_KEPT: Final = 256
_SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600, 3600)


class Observed(grpc.aio.ServerInterceptor):
    """Counts every call, also those that others refuse; so it comes first."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Count into a registry."""
        self._calls = Counter(
            "remotemedia_requests",
            "Calls that have ended, by method and gRPC status.",
            ["method", "code"],
            registry=registry,
        )
        self._seconds = Histogram(
            "remotemedia_request_seconds",
            "How long calls took.",
            ["method"],
            buckets=_SECONDS,
            registry=registry,
        )
        #: Found again quickly: labels() compares all of them anew.
        self._by_outcome: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        messages = Counter(
            "remotemedia_messages", "Messages of all calls.", ["direction"], registry=registry
        )
        sizes = Counter(
            "remotemedia_message_bytes",
            "Bytes of all messages, as they travel.",
            ["direction"],
            registry=registry,
        )
        self._received, self._sent = messages.labels("received"), messages.labels("sent")
        self._received_bytes, self._sent_bytes = sizes.labels("received"), sizes.labels("sent")

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """See `grpc.aio.ServerInterceptor`."""
        handler = await continuation(handler_call_details)
        if handler is None:
            self._calls.labels(_UNKNOWN_METHOD, grpc.StatusCode.UNIMPLEMENTED.name).inc()
            return None
        # Without a reader of requests it is one that refuses the call, whatever its name.
        known = handler.request_deserializer is not None
        method = handler_call_details.method if known else _UNKNOWN_METHOD
        loop = asyncio.get_running_loop()

        @contextlib.asynccontextmanager
        async def counted(context: Any) -> AsyncIterator[Any]:
            began_s, code = loop.time(), ""
            try:
                yield context
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED.name
                raise
            except Exception:
                code = _code_of(context) or grpc.StatusCode.UNKNOWN.name
                raise
            finally:
                code = code or _code_of(context) or grpc.StatusCode.OK.name
                self._count(method, code, loop.time() - began_s)

        return surrounded(
            handler, counted, on_request=self._note_request, on_response=self._note_response
        )

    def _count(self, method: str, code: str, took_s: float) -> None:
        counters = self._by_outcome.get((method, code))
        if counters is None:  # as many as there are methods and codes
            counters = self._calls.labels(method, code), self._seconds.labels(method)
            self._by_outcome[method, code] = counters
        calls, seconds = counters
        calls.inc()
        seconds.observe(took_s)

    def _note_request(self, size: int) -> None:
        self._received.inc()
        self._received_bytes.inc(size)

    def _note_response(self, size: int) -> None:
        self._sent.inc()
        self._sent_bytes.inc(size)


def _code_of(context: Any) -> str:
    """The status that a call was given so far; "" where it was given none."""
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return code.name
    return _CODES.get(code, "") if code else ""


@dataclass(slots=True)
class _Totals:
    """What edges and stages have counted, added up."""

    packets: int = 0
    payload_bytes: int = 0
    dropped: int = 0
    copies: int = 0
    restarts: int = 0

    def add(self, statistics: SessionStatistics) -> None:
        for edge in statistics.edges.values():
            self.packets += edge.sent
            self.payload_bytes += edge.payload_bytes
            self.dropped += edge.dropped
            self.copies += edge.copies
        for stage in statistics.stages.values():
            self.dropped += stage.dropped
            self.restarts += stage.restarts


class ServiceMetrics(Collector):
    """Looks at a service when it is asked; `refresh` first, on the service's loop."""

    def __init__(self, service: PipelineService) -> None:
        """Look at a service from now on.

        Args:
            service: whose sessions; its registry of them tells this object of their ends.
        """
        self._service = service
        self._ended = _Totals()
        self._failed = 0
        self._ended_count = 0
        self._families: list[Metric] = []
        #: Of sessions that ended: most are too short to be met by anybody who asks.
        self._last_edges: deque[EdgeStatistics] = deque(maxlen=_EDGES_KEPT)
        service.sessions.on_end = self._on_end

    async def refresh(self) -> None:
        """Take the values that `collect` gives; memory is looked up on a thread."""
        totals = _Totals(**{name: getattr(self._ended, name) for name in _Totals.__slots__})
        edges = [*self._last_edges]
        workers: set[int] = set()
        for live in self._service.sessions:
            statistics = live.session.statistics()
            totals.add(statistics)
            edges.extend(statistics.edges.values())
            workers |= {*statistics.pids.values()} - {os.getpid()}
        memory_bytes = await asyncio.to_thread(_memory_of, workers)
        self._families = [
            *self._of_sessions(),
            *_of_edges(totals, edges),
            _gauge("workers", "Processes that run nodes.", len(workers)),
            _gauge("worker_memory_bytes", "Memory of those processes, as PSS.", memory_bytes),
            *self._of_service(),
        ]

    def collect(self) -> Iterable[Metric]:
        """What `refresh` found; see `prometheus_client.registry.Collector`."""
        return self._families

    def _on_end(self, live: LiveSession) -> None:
        statistics = live.session.statistics()
        self._ended.add(statistics)
        self._last_edges.extend(edge for edge in statistics.edges.values() if edge.hops.measured)
        self._ended_count += 1
        self._failed += live.error is not None

    def _of_sessions(self) -> Iterable[Metric]:
        sessions = self._service.sessions
        yield _gauge("sessions_open", "Sessions that are open.", len(sessions))
        opened = CounterMetricFamily(
            "remotemedia_sessions", "Sessions that were opened, by method.", labels=["method"]
        )
        for method, count in sorted(sessions.opened.items()):
            opened.add_metric([method], count)
        yield opened
        yield _counter("sessions_ended", "Sessions that have ended.", self._ended_count)
        yield _counter("sessions_failed", "Those of them that ended with an error.", self._failed)

    def _of_service(self) -> Iterable[Metric]:
        service = self._service
        errors = CounterMetricFamily(
            "remotemedia_errors", "Errors told in-band, by their type.", labels=["type"]
        )
        for name, count in sorted(service.errors.items()):
            errors.add_metric([name.removeprefix("ERROR_TYPE_")], count)
        yield errors
        yield _counter("plans_reused", "Manifests whose plan was kept.", service.plans.hits)
        yield _counter("plans_made", "Manifests that were planned.", service.plans.misses)
        yield _gauge("draining", "1 while the service is shutting down.", service.draining)
        yield InfoMetricFamily("remotemedia", "The version.", {"version": VERSION})


def _of_edges(totals: _Totals, edges: Iterable[EdgeStatistics]) -> Iterable[Metric]:
    yield _counter("packets", "Packets that edges have taken, from clients too.", totals.packets)
    yield _counter(
        "payload_bytes", "Bytes of payloads that edges have taken.", totals.payload_bytes
    )
    yield _counter("packets_dropped", "Packets that were dropped.", totals.dropped)
    yield _counter("payload_copies", "Payloads that had to be copied.", totals.copies)
    yield _counter("worker_restarts", "Times that a node's process came again.", totals.restarts)
    hops = GaugeMetricFamily(
        "remotemedia_hop_seconds",
        "How long hops took, in sessions that are open or ended lately: the median of the edge in"
        " the middle, and the 99th percentile of the slowest one.",
        labels=["quantile"],
    )
    times = sorted((edge.hops for edge in edges if edge.hops.measured), key=lambda hop: hop.p50_us)
    if times:
        hops.add_metric(["0.5"], times[len(times) // 2].p50_us / 1e6)
        hops.add_metric(["0.99"], max(hop.p99_us for hop in times) / 1e6)
    yield hops


def _memory_of(workers: Iterable[int]) -> int:
    """Memory of the workers together."""
    return sum(map(proportional_bytes, workers))


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"remotemedia_{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"remotemedia_{name}", text, value=value)


def make_registry(metrics: ServiceMetrics) -> CollectorRegistry:
    """A registry with a service's metrics, and Prometheus's own about this process."""
    registry = CollectorRegistry()
    registry.register(metrics)
    ProcessCollector(registry=registry)
    return registry
