"""Which packets belong together: by count and skip, or by time.

No I/O. Source: FR-002. For BufferNode, which keeps what belongs together, and WindowNode, which
only keeps a running value of it.

    count 3             |1-2-3|4-5-6|7…        each packet in one group
    count 3, skip 2     |1-2-3|                overlapping: 3 is the first of the next group
                            |3-4-5|
    count 2, skip 3     |1-2|   |4-5|          3 is in none
    time_s              |1--2---|  |3------|   from a group's first packet: none is ever empty
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from pydantic import Field, model_validator

from engine.operator import Emission
from engine.operator import Params as BaseParams
from engine.packet import DEFAULT_OUTPUT
from operators.flow.values import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.operator import Context, Output
    from engine.packet import Packet

T = TypeVar("T")

#: At most so many groups a packet may be in.
OVERLAP_MAX = 64


class GroupingParams(BaseParams):
    """Params of a node that groups packets."""

    count: int | None = Field(None, ge=1, le=100_000, description="packets of a group")
    skip: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="packets from the first of a group to the first of the next; left out: count",
    )
    time_s: Seconds | None = Field(
        None, description="a group ends so long after its first packet, also if it is not full"
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.count is None and self.time_s is None:
            raise ValueError("count or time_s must say when a group ends")
        if self.skip is None:
            return self
        if self.count is None or self.time_s is not None:
            raise ValueError("skip counts packets: it goes with count, and not with time_s")
        if self.count > OVERLAP_MAX * self.skip:
            raise ValueError(
                f"a packet would be in more than {OVERLAP_MAX} groups: raise skip to at least"
                f" {-(-self.count // OVERLAP_MAX)}"
            )
        return self


class Group(Generic[T]):
    """An open group.

    Attributes:
        content: what has been made of its packets.
        size: how many they are.
        timestamp_ns: media time of the first.
    """

    __slots__ = ("content", "size", "timestamp_ns")

    def __init__(self, content: T, timestamp_ns: int) -> None:
        self.content = content
        self.size = 0
        self.timestamp_ns = timestamp_ns


class Grouping(Generic[T]):
    """The open groups of a node, and its timer.

    An output descends from the group's last packet, and has the media time of its first.
    """

    def __init__(
        self,
        params: GroupingParams,
        count_max: int | None,
        begin: Callable[[], T],
        add: Callable[[T, Packet], T],
        finish: Callable[[T, Context], Any],
    ) -> None:
        """Group packets.

        Args:
            params: when a group begins and ends.
            count_max: where they give no count: packets at which a group ends.
            begin: the content of an empty group.
            add: the content with one more packet.
            finish: a payload of a group's content, or None for no output.
        """
        self._count = params.count or count_max
        self._skip = params.skip or self._count
        self._time_s = params.time_s
        self._begin = begin
        self._add = add
        self._finish = finish
        #: Packets since the first of the latest group.
        self._since = 0
        self._open: deque[Group[T]] = deque()
        self._cancel_timer: Callable[[], None] | None = None

    def take(self, packet: Packet, ctx: Context) -> list[Output]:
        """Put a packet into the groups it belongs to; the outputs of those it ends."""
        if self._since == 0:
            self._open.append(Group(self._begin(), packet.timestamp_ns))
            if self._time_s is not None:
                self._cancel_timer = ctx.call_later(self._time_s, lambda: self._time_is_up(ctx))
        self._since += 1
        if self._since == self._skip:
            self._since = 0
        for group in self._open:
            group.content = self._add(group.content, packet)
            group.size += 1
        if self._open and self._open[0].size == self._count:
            return self._end(self._open.popleft(), ctx)
        return []

    def flush(self, ctx: Context) -> list[Output]:
        """The outputs of all groups, full or not."""
        outputs: list[Output] = []
        while self._open:
            outputs += self._end(self._open.popleft(), ctx)
        return outputs

    def reset(self) -> None:
        """Forget everything; the next packet begins a group."""
        self._open.clear()
        self._since = 0
        self._stop_timer()

    def _end(self, group: Group[T], ctx: Context) -> list[Output]:
        self._stop_timer()
        payload = self._finish(group.content, ctx)
        if payload is None:
            return []
        return [Emission(DEFAULT_OUTPUT, payload, group.timestamp_ns)]

    def _time_is_up(self, ctx: Context) -> None:
        self._since = 0
        for output in self.flush(ctx):
            ctx.emit(output)

    def _stop_timer(self) -> None:
        cancel, self._cancel_timer = self._cancel_timer, None
        if cancel is not None:
            cancel()
