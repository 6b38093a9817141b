"""What a stream counts, and the metrics it sends now and then.

A StreamMetrics follows every tenth input: once an output of it, or of a later one, has been sent,
or after a tenth of a second where it has none; so what it says is of inputs that were processed.
Where several have waited that long, one stands for all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from protos.remotemedia.v1 import streaming_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.session.session import Session
    from transports.rpc.measuring import Measurement
    from transports.rpc.memory import ProcessUsage
    from transports.rpc.plans import PlanCache

#: Inputs from one StreamMetrics to the next.
CADENCE: Final = 10
#: How long an output is waited for.
PATIENCE_S: Final = 0.1
#: So many StreamMetrics may wait; of more, the oldest ones are left out.
DUE_MAX: Final = 64


class _Due(NamedTuple):
    """A StreamMetrics that is to follow an input.

    Attributes:
        ordinal: the input's place among all.
        until_s: how long an output of it is waited for, in the loop's time.
    """

    ordinal: int
    until_s: float


class StreamCounts:
    """Counts one stream.

    Attributes:
        chunks: inputs the session has taken.
        outputs: results sent.
    """

    def __init__(
        self,
        session: Session,
        measurement: Measurement,
        usage: ProcessUsage,
        plans: PlanCache,
        *,
        plan_kept: bool,
    ) -> None:
        """Begin at nothing.

        Args:
            session: the stream's session.
            measurement: what the call took.
            usage: what its processes use.
            plans: where its plan came from.
            plan_kept: whether the plan had been made before.
        """
        self.chunks = 0
        self.outputs = 0
        self._session = session
        self._measurement = measurement
        self._usage = usage
        self._plans = plans
        self._plan_kept = plan_kept
        self._latency_sum_ms = 0.0
        self._answered = 0
        self._loop = asyncio.get_running_loop()
        self._ending = False
        self._dropped = False
        self._due: deque[_Due] = deque(maxlen=DUE_MAX)
        self._answer = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    def taken(
        self, ordinal: int, send: Callable[[streaming_pb2.StreamMetrics], Awaitable[None]]
    ) -> None:
        """An input has entered; metrics may become due.

        Args:
            ordinal: its place among all inputs.
            send: sends the metrics.
        """
        self.chunks += 1
        if self.chunks % CADENCE:
            return
        self._due.append(_Due(ordinal, self._loop.time() + PATIENCE_S))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_due(send))

    def answered(self, ordinal: int, latency_ms: float) -> None:
        """A result has been sent.

        Args:
            ordinal: the place of the input that caused it.
            latency_ms: from the input's arrival to the result's departure.
        """
        self.outputs += 1
        self._latency_sum_ms += latency_ms
        if ordinal > self._answered:
            self._answered = ordinal
            if self._due:
                self._answer.set()

    async def finish(self) -> None:
        """Send what is due at once, and no more."""
        self._ending = True
        self._answer.set()
        if self._sending is not None:
            await asyncio.wait({self._sending})
            if not self._sending.cancelled():
                self._sending.result()

    async def drop(self) -> None:
        """Begin to send nothing more; what is being sent is sent to its end."""
        self._dropped = self._ending = True
        self._answer.set()
        if self._sending is not None:
            await asyncio.wait({self._sending})
            await self.aclose()  # it is done; of an error there is a worse one to tell

    async def aclose(self) -> None:
        """Send nothing more, nor what is being sent: the call has ended."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    def metrics(self, waiting: int) -> streaming_pb2.StreamMetrics:
        """How the stream fares.

        Args:
            waiting: inputs that have not entered the session yet.
        """
        session, plans = self._session, self._plans
        statistics = session.statistics()
        self._measurement.note_held(session.plan, statistics)
        edges = statistics.edges.values()
        asked = plans.hits + plans.misses
        return streaming_pb2.StreamMetrics(
            session_id=session.id,
            chunks_processed=self.chunks,
            average_latency_ms=self._latency_sum_ms / self.outputs if self.outputs else 0.0,
            total_items=self.outputs,
            buffer_items=waiting + sum(edge.queued + edge.in_flight for edge in edges),
            chunks_dropped=sum(edge.dropped for edge in edges),
            peak_memory_bytes=self._usage.peak_bytes,
            data_type_breakdown=self._measurement.kinds,
            cache_hits=int(self._plan_kept),
            cache_misses=int(not self._plan_kept),
            cached_nodes_count=plans.nodes,
            cache_hit_rate=plans.hits / asked if asked else 0.0,
        )

    async def _send_due(
        self, send: Callable[[streaming_pb2.StreamMetrics], Awaitable[None]]
    ) -> None:
        while self._due:
            await self._await_answer(self._due[0])
            self._take_due()
            await self._usage.sample()
            if self._dropped:
                return
            await send(self.metrics(0))

    def _take_due(self) -> None:
        """Take the oldest, and where it was waited for in vain, all that were."""
        oldest = self._due.popleft()
        if oldest.ordinal <= self._answered:
            return
        now_s = self._loop.time()
        while self._due and self._due[0].until_s <= now_s:
            self._due.popleft()

    async def _await_answer(self, due: _Due) -> None:
        while self._answered < due.ordinal and not self._ending:
            self._answer.clear()
            try:
                async with asyncio.timeout_at(due.until_s):
                    await self._answer.wait()
            except TimeoutError:
                return
