"""The ends of an edge that pass everything on to another edge: what a fault begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.testing.edges.pairs import EdgePair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    import numpy.typing as npt

    from engine.edges.contract import EdgeReceiver, EdgeSender, EdgeStatistics
    from engine.errors import EdgeError
    from engine.interruption import Unwanted
    from engine.packet import Item


class Secrets:
    """What the two ends of a faulty edge know of each other, past the edge itself.

    Attributes:
        finished, closed: whether the producer has ended, and whether nobody reads any more.
        error: what the producer failed with.
        on_readable: the consumer's callback.
    """

    def __init__(self) -> None:
        self.finished = False
        self.closed = False
        self.error: EdgeError | None = None
        self.on_readable: Callable[[], None] | None = None


class PassingSender:
    """A producer's end that adds nothing."""

    def __init__(self, inner: EdgeSender, secrets: Secrets) -> None:
        self.inner = inner
        self.secrets = secrets
        self.edge_id = inner.edge_id
        self.capacity = inner.capacity

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def on_credit(self) -> Callable[[], None] | None:
        return self.inner.on_credit

    @on_credit.setter
    def on_credit(self, callback: Callable[[], None] | None) -> None:
        self.inner.on_credit = callback

    @property
    def ready(self) -> bool:
        return self.inner.ready

    def try_send(self, item: Item) -> bool:
        return self.inner.try_send(item)

    def finish(self) -> None:
        self.inner.finish()

    def fail(self, error: EdgeError) -> None:
        self.inner.fail(error)

    def flush(self) -> None:
        self.inner.flush()

    def reserve(
        self, shape: tuple[int, ...], dtype: npt.DTypeLike
    ) -> npt.NDArray[np.generic] | None:
        return self.inner.reserve(shape, dtype)

    def statistics(self) -> EdgeStatistics:
        return self.inner.statistics()


class PassingReceiver:
    """A consumer's end that adds nothing."""

    def __init__(self, inner: EdgeReceiver, secrets: Secrets) -> None:
        self.inner = inner
        self.secrets = secrets
        self.edge_id = inner.edge_id
        self.rings_outside_turns = inner.rings_outside_turns

    @property
    def on_readable(self) -> Callable[[], None] | None:
        return self.inner.on_readable

    @on_readable.setter
    def on_readable(self, callback: Callable[[], None] | None) -> None:
        self.inner.on_readable = self.secrets.on_readable = callback

    @property
    def readable(self) -> bool:
        return self.inner.readable

    @property
    def ended(self) -> bool:
        return self.inner.ended

    @property
    def next_seq(self) -> int:
        return self.inner.next_seq

    @property
    def error(self) -> EdgeError | None:
        return self.inner.error

    def try_receive(self) -> Item | None:
        return self.inner.try_receive()

    def release(self, count: int = 1) -> None:
        self.inner.release(count)

    def discard(self, unwanted: Unwanted) -> int:
        return self.inner.discard(unwanted)

    def flush(self) -> None:
        self.inner.flush()

    def close(self) -> None:
        self.secrets.closed = True
        self.inner.close()

    def statistics(self) -> EdgeStatistics:
        return self.inner.statistics()


class PassingPair(EdgePair):
    """A pair whose ends stand before those of another."""

    def __init__(
        self,
        inner: EdgePair,
        sender: type[PassingSender] = PassingSender,
        receiver: type[PassingReceiver] = PassingReceiver,
    ) -> None:
        """Stand before a pair, which is this one's from now on."""
        self.secrets = Secrets()
        super().__init__(
            sender(inner.sender, self.secrets), receiver(inner.receiver, self.secrets), inner.ports
        )
        self.inner = inner
        self.counts_once = inner.counts_once
        self.payload_bytes_max = inner.payload_bytes_max
        self.mortal = inner.mortal

    def sockets(self) -> Iterable[Any]:
        return self.inner.sockets()

    def kill_producer(self) -> None:
        self.inner.kill_producer()

    def kill_consumer(self) -> None:
        self.secrets.closed = True
        self.inner.kill_consumer()

    def dispose(self) -> None:
        self.inner.dispose()
