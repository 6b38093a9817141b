"""Producers' ends that each break the contract of an edge in one way."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import EdgeClosedError, EdgeError
from engine.packet import NO_METADATA, Group, Packet
from engine.payloads import Audio, payload_bytes
from engine.testing.edges.passing import PassingSender

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from engine.edges.contract import EdgeStatistics
    from engine.packet import Item

#: Every so manieth item is hit.
_EVERY = 5
_LARGE_FRAMES = 30_000


class Loses(PassingSender):
    """Accepts items that it never sends."""

    count = 0

    def try_send(self, item: Item) -> bool:
        self.count += 1
        return True if self.count % _EVERY == 0 else self.inner.try_send(item)


class Duplicates(PassingSender):
    """Sends an item twice where there are credits for it."""

    def try_send(self, item: Item) -> bool:
        accepted = self.inner.try_send(item)
        if accepted:
            self.inner.try_send(item)
        return accepted


class Reorders(PassingSender):
    """Lets every second item overtake the one before it."""

    waiting: Item | None = None

    def try_send(self, item: Item) -> bool:
        if self.waiting is None and self.inner.ready:
            self.waiting = item
            return True
        accepted = self.inner.try_send(item)
        self.let_go()
        return accepted

    def let_go(self) -> None:
        if self.waiting is not None and self.inner.try_send(self.waiting):
            self.waiting = None

    def flush(self) -> None:
        self.let_go()
        self.inner.flush()

    def finish(self) -> None:
        self.let_go()
        self.inner.finish()


class Hoards(PassingSender):
    """Accepts whatever comes, credits or not."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.hoard: deque[Item] = deque()

    def try_send(self, item: Item) -> bool:
        self.hoard.append(item)
        self.let_go()
        return True

    def let_go(self) -> None:
        while self.hoard and self.inner.try_send(self.hoard[0]):
            self.hoard.popleft()

    def flush(self) -> None:
        self.let_go()
        self.inner.flush()


class Withholds(PassingSender):
    """Keeps the last credit to itself."""

    def try_send(self, item: Item) -> bool:
        counts = self.inner.statistics()
        if self.capacity > 1 and counts.queued + counts.in_flight == self.capacity - 1:
            return False
        return self.inner.try_send(item)


class ForgetsOnCredit(PassingSender):
    """Never tells a refused producer that a credit is back."""

    @property
    def on_credit(self) -> Callable[[], None] | None:
        return None

    @on_credit.setter
    def on_credit(self, callback: Callable[[], None] | None) -> None:
        pass


class TellsTwice(PassingSender):
    """Answers each refusal with two calls."""

    @property
    def on_credit(self) -> Callable[[], None] | None:
        return self.inner.on_credit

    @on_credit.setter
    def on_credit(self, callback: Callable[[], None] | None) -> None:
        def twice() -> None:
            if callback is not None:
                callback()
                callback()

        self.inner.on_credit = twice


class TellsUnasked(PassingSender):
    """Calls on_credit whenever its doorbell is rung."""

    def flush(self) -> None:
        self.inner.flush()
        if self.inner.on_credit is not None and self.inner.ready:
            self.inner.on_credit()


class TellsTooEarly(PassingSender):
    """Calls the consumer before there is anything to receive."""

    def try_send(self, item: Item) -> bool:
        if self.secrets.on_readable is not None:
            self.secrets.on_readable()
        return self.inner.try_send(item)


class NeverEnds(PassingSender):
    """Forgets the end of the stream."""

    def finish(self) -> None:
        pass


class EndsForACredit(PassingSender):
    """Lets the end wait for a credit, as if it were an item."""

    due = False

    def finish(self) -> None:
        self.due = True
        self.flush()

    def flush(self) -> None:
        if self.due and self.inner.ready:
            self.inner.finish()
        self.inner.flush()


class EndsEarly(PassingSender):
    """Tells the consumer of the end past everything that is still under way."""

    def finish(self) -> None:
        self.secrets.finished = True
        self.inner.finish()


class HidesFailure(PassingSender):
    """Ends the stream where its producer has failed."""

    def fail(self, error: EdgeError) -> None:
        self.inner.finish()


class FailsAtOnce(PassingSender):
    """Shows a failure before what came before it; the last one, if there are several."""

    def fail(self, error: EdgeError) -> None:
        self.secrets.error = error
        self.inner.fail(error)


class BlocksUnread(PassingSender):
    """Makes a producer wait for a consumer that has gone."""

    @property
    def ready(self) -> bool:
        return not self.secrets.closed and self.inner.ready

    def try_send(self, item: Item) -> bool:
        return not self.secrets.closed and self.inner.try_send(item)


class FinishesOnce(PassingSender):
    """Raises where the end is said a second time."""

    ended = False

    def finish(self) -> None:
        if self.ended:
            raise EdgeClosedError("the stream has ended already")
        self.ended = True
        self.inner.finish()


class RaisesBehindEnd(FinishesOnce):
    """Raises at what is sent behind the end."""

    def try_send(self, item: Item) -> bool:
        if self.ended:
            raise EdgeClosedError("the stream has ended")
        return self.inner.try_send(item)


class SplitsGroups(PassingSender):
    """Sends a group's members one by one."""

    def try_send(self, item: Item) -> bool:
        if isinstance(item, Group):
            accepted = [self.inner.try_send(member) for member in item]
            return all(accepted)
        return self.inner.try_send(item)


class StripsMetadata(PassingSender):
    """Sends packets without their metadata."""

    def try_send(self, item: Item) -> bool:
        if isinstance(item, Packet):
            item = item.with_payload(item.payload, NO_METADATA)
        return self.inner.try_send(item)


class DropsEmpty(PassingSender):
    """Takes a payload of no bytes for nothing."""

    def try_send(self, item: Item) -> bool:
        if isinstance(item, Packet) and not payload_bytes(item.payload):
            return True
        return self.inner.try_send(item)


class CutsLarge(PassingSender):
    """Sends the beginning of a large payload only."""

    def try_send(self, item: Item) -> bool:
        if isinstance(item, Packet) and isinstance(item.payload, Audio):
            audio = item.payload
            item = item.with_payload(Audio(audio.samples[:_LARGE_FRAMES], audio.sample_rate))
        return self.inner.try_send(item)


class RefusesTooLarge(PassingSender):
    """Says of what can never cross that it can later."""

    def try_send(self, item: Item) -> bool:
        try:
            return self.inner.try_send(item)
        except EdgeError:
            return False


class SaysNoEdge(PassingSender):
    """Does not say in its errors which edge it is."""

    def try_send(self, item: Item) -> bool:
        try:
            return self.inner.try_send(item)
        except EdgeError as error:
            raise EdgeError(error.message) from error


class ForgetsReserved(PassingSender):
    """Sends something else than what was written into the memory it handed out."""

    count = 0

    def reserve(
        self, shape: tuple[int, ...], dtype: npt.DTypeLike
    ) -> npt.NDArray[np.generic] | None:
        self.count += 1
        return self.inner.reserve(shape, dtype)

    def try_send(self, item: Item) -> bool:
        if self.count and isinstance(item, Packet) and isinstance(item.payload, Audio):
            self.count -= 1
            samples = np.full_like(item.payload.samples, -1)
            item = item.with_payload(Audio(samples, item.payload.sample_rate))
        return self.inner.try_send(item)


class CountsNothing(PassingSender):
    """Has statistics that stay at nothing."""

    def statistics(self) -> EdgeStatistics:
        return dataclasses.replace(self.inner.statistics(), sent=0, queued=0, in_flight=0)


class CountsInPlace(PassingSender):
    """Gives the same statistics to everybody, and changes them behind their backs."""

    counts: EdgeStatistics | None = None

    def statistics(self) -> EdgeStatistics:
        now = self.inner.statistics()
        self.counts = self.counts or now
        for field in dataclasses.fields(now):
            setattr(self.counts, field.name, getattr(now, field.name))
        return self.counts


class GivesUpWhenCancelled(PassingSender):
    """Leaves when somebody stops waiting for it."""

    async def wait_drained(self) -> None:
        end: Any = self.inner
        try:
            await end.wait_drained()
        except asyncio.CancelledError:
            end.dispose()
            raise
