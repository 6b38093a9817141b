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
        timestamp_ns: media time of the first; None: there is none any more.
        opened_ns: the stage's clock when it began.
    """

    __slots__ = ("content", "opened_ns", "size", "timestamp_ns")

    def __init__(self, content: T, timestamp_ns: int, opened_ns: int) -> None:
        self.content = content
        self.size = 0
        self.timestamp_ns: int | None = timestamp_ns
        self.opened_ns = opened_ns


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
        #: Bound of a group, and packets at which it ends, which a hint may lower.
        self._count_max: int | None = None
        self._count: int | None = None
        self._skip: int | None = None
        self._set(params, count_max)
        self._begin = begin
        self._add = add
        self._finish = finish
        #: Packets since the first of the latest group.
        self._since = 0
        self._open: deque[Group[T]] = deque()
        self._cancel_timer: Callable[[], None] | None = None

    def change(self, params: GroupingParams, count_max: int | None, ctx: Context) -> None:
        """Group by other params from now on.

        The groups under way go on: what is full by the new count ends at once, and a new time
        counts from where its group began. A group that follows another one without a gap does so
        still.
        """
        timed_before = self._time_s
        self._set(params, count_max)
        if self._skip is not None and self._since >= self._skip:
            self._since = 0
        if self._time_s != timed_before:
            self._stop_timer()
            if self._open:
                self._start_timer(self._open[0], ctx)
        if self._is_full:  # in a turn of its own, before anything is taken: the output may fail
            ctx.call_later(0, lambda: self._emit_full(ctx))

    def suggest(self, size: int, ctx: Context) -> None:
        """Make groups of so many packets, as far as count allows it, until `change`.

        Where groups overlap or leave packets out, their size is part of what they mean, and stays.
        """
        if self._params.skip is None and self._count_max is not None:
            self._count = self._skip = min(size, self._count_max)
            if self._since >= self._skip:
                self._since = 0
            if self._is_full:
                ctx.call_later(0, lambda: self._emit_full(ctx))

    def drop(self, without: Callable[[T], tuple[T, int, int | None]]) -> None:
        """Drop packets of all groups; groups that follow each other take others in their place.

        Args:
            without: gives a content without them, how many there are left, and the media time of
                the first, None where there is none.
        """
        for group in self._open:
            group.content, left, group.timestamp_ns = without(group.content)
            if self._params.skip is None:
                group.size = self._since = left
        self._open = deque(group for group in self._open if group.size)
        if not self._open:
            self._stop_timer()

    def take(self, packet: Packet, ctx: Context) -> list[Output]:
        """Put a packet into the groups it belongs to; the outputs of those it ends."""
        if self._since == 0:
            self._open.append(Group(self._begin(), packet.timestamp_ns, ctx.now_ns))
            self._start_timer(self._open[-1], ctx)
        self._since += 1
        if self._since == self._skip:
            self._since = 0
        for group in self._open:
            group.content = self._add(group.content, packet)
            group.size += 1
            if group.timestamp_ns is None:
                group.timestamp_ns = packet.timestamp_ns
        return self._end(self._open.popleft(), ctx) if self._is_full else []

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

    def _set(self, params: GroupingParams, count_max: int | None) -> None:
        self._params = params
        self._count_max = self._count = params.count or count_max
        self._skip = params.skip or self._count
        self._time_s = params.time_s

    @property
    def _is_full(self) -> bool:
        """Whether the oldest group has all its packets."""
        return bool(self._open) and self._count is not None and self._open[0].size >= self._count

    def _emit_full(self, ctx: Context) -> None:
        while self._is_full:
            for output in self._end(self._open.popleft(), ctx):
                ctx.emit(output)

    def _end(self, group: Group[T], ctx: Context) -> list[Output]:
        self._stop_timer()
        if group.timestamp_ns is None:
            return []
        payload = self._finish(group.content, ctx)
        if payload is None:
            return []
        return [Emission(DEFAULT_OUTPUT, payload, group.timestamp_ns)]

    def _time_is_up(self, ctx: Context) -> None:
        self._since = 0
        for output in self.flush(ctx):
            ctx.emit(output)

    def _start_timer(self, group: Group[T], ctx: Context) -> None:
        if self._time_s is not None:
            left_s = self._time_s - (ctx.now_ns - group.opened_ns) / 1e9
            self._cancel_timer = ctx.call_later(max(0.0, left_s), lambda: self._time_is_up(ctx))

    def _stop_timer(self) -> None:
        cancel, self._cancel_timer = self._cancel_timer, None
        if cancel is not None:
            cancel()
