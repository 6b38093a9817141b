"""Inputs that wait for the pipeline: bounded in number and bytes. One puts, one takes.

Bounded, so that a client which sends faster than the pipeline takes is held up at its own socket.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

ItemT = TypeVar("ItemT")


class Inbox(Generic[ItemT]):
    """A queue between two tasks of one loop, bounded by what its items say they take."""

    def __init__(self, count_max: int, bytes_max: int) -> None:
        """Make an empty one.

        Args:
            count_max: items it may hold.
            bytes_max: bytes they may take together; one that takes more may be there alone.
        """
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._items: deque[tuple[ItemT, int]] = deque()
        self._bytes = 0
        #: What the one who waits waits for: items, or room.
        self._waiter: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """Items it holds."""
        return len(self._items)

    async def put(self, item: ItemT, size_bytes: int) -> None:
        """Add an item, waiting for room.

        Args:
            item: what is added.
            size_bytes: what it takes.

        A cancelled call has added nothing.
        """
        items = self._items
        while items and (
            len(items) >= self._count_max or self._bytes + size_bytes > self._bytes_max
        ):
            await self._wait()
        items.append((item, size_bytes))
        self._bytes += size_bytes
        self._wake()

    async def get(self) -> ItemT:
        """Take the oldest item, waiting for one. A cancelled call has taken nothing."""
        while not self._items:
            await self._wait()
        item, size_bytes = self._items.popleft()
        self._bytes -= size_bytes
        self._wake()
        return item

    def keep(self, stays: Callable[[ItemT], bool]) -> None:
        """Drop all items but those that stay, in their order."""
        kept = [(item, size) for item, size in self._items if stays(item)]
        self._items.clear()
        self._items.extend(kept)
        self._bytes = sum(size for _, size in kept)
        self._wake()

    async def _wait(self) -> None:
        self._waiter = waiter = asyncio.get_running_loop().create_future()
        try:
            await waiter
        finally:
            if self._waiter is waiter:  # the other one may wait by now
                self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
