"""`as_operator`: a pipeline as an operator in somebody's own reactivex chain. Source: US1.

    source.pipe(as_operator(pipeline, overflow="drop_oldest"), ops.map(shown)).subscribe(show)

Each subscription runs a session: on the asyncio loop it is made on, else on a loop of its own in a
thread of its own. reactivex has no demand: a source that is quicker than the pipeline meets a named
policy, and outputs are pushed as they come.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from reactivex import Observable

from engine.errors import UsageError
from engine.reactive.inbox import check_policy
from engine.reactive.passage import Passage
from engine.wording import suggestion

if TYPE_CHECKING:
    from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

    from engine.packet import Packet
    from engine.session.session import Session

#: What an error of the source may do to what was sent before it.
ON_ERROR: Final = ("cancel", "drain")


class SessionMaker(Protocol):
    """What is needed of a pipeline."""

    name: str

    def session(self) -> Session:
        """A session of it that has not been started."""


@dataclass(frozen=True, slots=True)
class OperatorStatistics:
    """Counts over all subscriptions.

    Attributes:
        subscriptions: sessions that were begun.
        running: sessions that have not ended.
        received: inputs that came from sources.
        queued: of these, how many wait now.
        dropped: of these, how many made room or found none.
        emitted: outputs that were pushed.
    """

    subscriptions: int = 0
    running: int = 0
    received: int = 0
    queued: int = 0
    dropped: int = 0
    emitted: int = 0


def as_operator(
    pipeline: SessionMaker,
    *,
    overflow: str = "error",
    capacity: int = 64,
    on_error: str = "cancel",
) -> PipelineOperator:
    """A pipeline as a function from an observable of payloads to an observable of packets.

    A subscription made on a thread with a running asyncio loop runs its session there. Any other
    gets a thread with a loop of its own, which ends with the session. Outputs, completion and
    errors come on the loop's thread, completion and errors once the session has left nothing
    behind. Disposing cancels the session; `aclose` and `close` also wait until it has ended.

    Args:
        pipeline: what runs.
        overflow: what happens to an input that finds `capacity` inputs waiting: "error" ends the
            stream with an EdgeOverflowError; "drop_oldest" and "drop_newest" drop one; "latest"
            lets only the newest input wait; "block" makes the source wait, which it can only on a
            thread other than the loop's.
        capacity: how many inputs may wait for the session, besides the one it is given and those on
            its edges.
        on_error: what an error of the source does: "cancel" ends the session with it at once,
            "drain" when all that was taken has come out.

    Returns:
        The operator. It takes payloads, (node, payload) pairs, dicts of payloads by port, and the
        packets of another pipeline, whose media time and metadata they keep.

    Raises:
        UsageError: there is no such policy.
    """
    check_policy(overflow, capacity)
    if on_error not in ON_ERROR:
        hint = suggestion(on_error, ON_ERROR, "ways")
        raise UsageError(f"on_error cannot be {on_error!r}{hint}")
    return PipelineOperator(pipeline, overflow, capacity, on_error)


class PipelineOperator:
    """See `as_operator`. Called with a source, it gives an observable of the outputs."""

    def __init__(self, pipeline: SessionMaker, overflow: str, capacity: int, on_error: str) -> None:
        self._pipeline = pipeline
        self._overflow = overflow
        self._capacity = capacity
        self._drains = on_error == "drain"
        self._passages: set[Passage] = set()
        self._past = OperatorStatistics()
        self._counting = threading.Lock()

    def __call__(self, source: Observable[Any]) -> Observable[Packet]:
        """The outputs of a session that is fed from a source; each subscription has its own."""

        def subscribe(
            observer: ObserverBase[Packet], scheduler: SchedulerBase | None = None
        ) -> DisposableBase:
            passage = Passage(
                self._pipeline,
                observer,
                capacity=self._capacity,
                overflow=self._overflow,
                drains=self._drains,
                on_ended=self._on_ended,
            )
            with self._counting:
                self._passages.add(passage)
            return passage.begin(source, scheduler)

        return Observable(subscribe)

    def statistics(self) -> OperatorStatistics:
        """A snapshot of the counts."""
        with self._counting:
            counts = self._past
            for passage in self._passages:
                counts = _with(counts, passage, running=1)
            return counts

    async def aclose(self) -> None:
        """Dispose every subscription and wait until its session has ended.

        A cancelled call lets the endings go on.
        """
        endings = [asyncio.wrap_future(passage.dispose()) for passage in tuple(self._passages)]
        if endings:
            await asyncio.wait(endings)

    def close(self, timeout_s: float | None = None) -> None:
        """Dispose every subscription and wait until its session has ended.

        Args:
            timeout_s: how long to wait at most; None: as long as ending takes, which the grace
                period bounds.

        Raises:
            TimeoutError: a session has not ended by then.
            UsageError: a session runs on the caller's own thread; await `aclose` there.
        """
        passages = tuple(self._passages)
        if any(passage.is_here for passage in passages):
            raise UsageError(
                f"close() would wait for the loop it is called on, which runs a session of"
                f" {self._pipeline.name!r}; await aclose() there"
            )
        endings = [passage.dispose() for passage in passages]
        if concurrent.futures.wait(endings, timeout_s).not_done:
            raise TimeoutError(f"a session of {self._pipeline.name!r} did not end in {timeout_s} s")
        for passage in passages:
            passage.join()

    def _on_ended(self, passage: Passage) -> None:
        with self._counting:
            if passage in self._passages:
                self._passages.discard(passage)
                self._past = _with(self._past, passage, running=0)


def _with(counts: OperatorStatistics, passage: Passage, *, running: int) -> OperatorStatistics:
    return OperatorStatistics(
        subscriptions=counts.subscriptions + 1,
        running=counts.running + running,
        received=counts.received + passage.inbox.received,
        queued=counts.queued + len(passage.inbox),
        dropped=counts.dropped + passage.inbox.dropped,
        emitted=counts.emitted + passage.emitted,
    )
