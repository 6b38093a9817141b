"""Consumers' ends that each break the contract of an edge in one way."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any

from engine.errors import EdgeClosedError, EdgeError, PeerDiedError
from engine.packet import Packet
from engine.payloads import Audio
from engine.testing.edges.passing import PassingReceiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.interruption import Unwanted
    from engine.packet import Item


class _Buffering(PassingReceiver):
    """Has a queue of its own before the consumer."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.buffer: deque[Item] = deque()

    @property
    def readable(self) -> bool:
        return bool(self.buffer) or self.inner.readable

    @property
    def ended(self) -> bool:
        return not self.buffer and self.inner.ended

    def try_receive(self) -> Item | None:
        return self.buffer.popleft() if self.buffer else self.inner.try_receive()

    def hold_all(self) -> None:
        """Take all there is off the edge, credits not returned."""
        while (item := self.inner.try_receive()) is not None:
            self.buffer.append(item)


class EatsInCallback(_Buffering):
    """Runs the consumer where it should only be told."""

    @property
    def on_readable(self) -> Callable[[], None] | None:
        return self.inner.on_readable

    @on_readable.setter
    def on_readable(self, callback: Callable[[], None] | None) -> None:
        def eat() -> None:
            before = len(self.buffer)
            self.hold_all()
            self.inner.release(len(self.buffer) - before)
            if callback is not None:
                callback()

        self.inner.on_readable = eat

    def release(self, count: int = 1) -> None:
        pass


class RingsInside(PassingReceiver):
    """Says that it rings outside turns, and tells the consumer in the middle of one."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.rings_outside_turns = True

    def release(self, count: int = 1) -> None:
        super().release(count)
        if self.on_readable is not None:
            self.on_readable()


class SleepsThrough(PassingReceiver):
    """Tells the consumer of the first item, and of nothing that comes later."""

    @property
    def on_readable(self) -> Callable[[], None] | None:
        return self.inner.on_readable

    @on_readable.setter
    def on_readable(self, callback: Callable[[], None] | None) -> None:
        told: list[bool] = []

        def once() -> None:
            if not told and callback is not None:
                told.append(True)
                callback()

        self.inner.on_readable = once


class ReturnsAtReceive(PassingReceiver):
    """Returns a credit when its item arrives, and not when its turn ends."""

    def try_receive(self) -> Item | None:
        item = self.inner.try_receive()
        if item is not None:
            self.inner.release()
        return item

    def release(self, count: int = 1) -> None:
        pass


class IssuesCredits(PassingReceiver):
    """Returns more credits than it holds back, as long as it has some."""

    def release(self, count: int = 1) -> None:
        try:
            self.inner.release(2 * count)
        except ValueError:
            with contextlib.suppress(ValueError):
                self.inner.release(count)


class ReleasesOne(PassingReceiver):
    """Returns one credit, however many turns have ended."""

    def release(self, count: int = 1) -> None:
        self.inner.release(min(1, count))


class ReleasesAnything(PassingReceiver):
    """Takes credits that nobody holds without a word."""

    def release(self, count: int = 1) -> None:
        with contextlib.suppress(ValueError):
            self.inner.release(count)


class DiscardsCredits(_Buffering):
    """Drops what is not wanted, and its credits with it."""

    def discard(self, unwanted: Unwanted) -> int:
        self.hold_all()
        before = len(self.buffer)
        self.buffer = deque(item for item in self.buffer if not unwanted(item.origin))
        return before - len(self.buffer)


class DiscardsAll(PassingReceiver):
    """Drops whatever is queued, wanted or not."""

    def discard(self, unwanted: Unwanted) -> int:
        return self.inner.discard(lambda _: True)


class DiscardsEnd(PassingReceiver):
    """Drops the end of the stream with what it discards."""

    discarded = False

    def discard(self, unwanted: Unwanted) -> int:
        self.discarded = True
        return self.inner.discard(unwanted)

    @property
    def ended(self) -> bool:
        return not self.discarded and self.inner.ended


class ShowsEarly(PassingReceiver):
    """Shows an end or a failure as soon as it knows of it, whatever is still queued."""

    @property
    def ended(self) -> bool:
        return self.secrets.finished or self.inner.ended

    @property
    def error(self) -> EdgeError | None:
        return self.secrets.error or self.inner.error


class TakesDeathForEnd(PassingReceiver):
    """Sees a stream end where its producer has died."""

    @property
    def ended(self) -> bool:
        return self.inner.ended or isinstance(self.inner.error, PeerDiedError)

    @property
    def error(self) -> EdgeError | None:
        return None if self.ended else self.inner.error


class TakesEndForDeath(PassingReceiver):
    """Sees a producer die that has ended its stream."""

    @property
    def ended(self) -> bool:
        return False

    @property
    def error(self) -> EdgeError | None:
        died = PeerDiedError("it has gone", edge=self.edge_id)
        return died if self.inner.ended else self.inner.error


class ForgetsItemsOfTheGone(PassingReceiver):
    """Loses what has arrived when its stream ends abnormally."""

    def try_receive(self) -> Item | None:
        return None if self.inner.statistics().sent else self.inner.try_receive()


class DeliversAfterClose(_Buffering):
    """Goes on giving what had arrived after it was closed."""

    def close(self) -> None:
        self.hold_all()
        super().close()


class ClosesOnce(PassingReceiver):
    """Raises where it is closed a second time."""

    def close(self) -> None:
        if self.secrets.closed:
            raise EdgeClosedError("closed already")
        super().close()


class ReleasesOpenOnly(PassingReceiver):
    """Raises where a turn ends after its close."""

    def release(self, count: int = 1) -> None:
        if self.secrets.closed:
            raise EdgeClosedError("closed already")
        super().release(count)


class ThawsArrays(PassingReceiver):
    """Gives samples the consumer can write into."""

    def try_receive(self) -> Item | None:
        item = self.inner.try_receive()
        if isinstance(item, Packet) and isinstance(item.payload, Audio):
            thawed = Audio(item.payload.samples.copy(), item.payload.sample_rate)
            thawed.samples.flags.writeable = True
            return item.with_payload(thawed)
        return item
