"""An interrupt: which packets it makes stale, and what became of them.

Pure: no I/O, no clock, no numpy (a zygote reads this before it has any). Source: FR-012.

A session's generation counts its interrupts. Each has a scope, nodes closed under "and all behind
them". What is older than its generation is stale inside the scope and dropped there: on the edges,
in outboxes, timers, calls and state. Outside the scope nothing is dropped, and what is given from
then on belongs to the new generation. A packet with FLAG_UNINTERRUPTIBLE is never stale.

Of the words a stage shares with whoever interrupts it:

    STALE_BELOW   outputs of an older generation are dropped even while they are being computed;
                  raised where all the stage's nodes are in the scope
    CANCELLED     nothing is wanted any more
    ANNOUNCED     the newest generation; the stage takes nothing in until it has been told the scope
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from engine.flags import FLAG_UNINTERRUPTIBLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.plan import Plan

STALE_BELOW: Final = 0
CANCELLED: Final = 1
ANNOUNCED: Final = 5
#: Of so many spans that were taken back lately it is remembered that more may be on its way.
SPANS_MAX: Final = 64
#: How long ago a span may have been taken back for that.
SPAN_REMEMBERED_NS: Final = 60_000_000_000
#: How many words a stage needs.
WORDS: Final = 6


class Lineage(Protocol):
    """What tells whether a packet is still wanted: its origin, or its header on an edge."""

    @property
    def timestamp_ns(self) -> int:
        """Media time."""

    @property
    def ingress_ns(self) -> int:
        """Monotonic time at which what it descends from was sent."""

    @property
    def generation(self) -> int:
        """How many interrupts there had been by then."""

    @property
    def flags(self) -> int:
        """FLAG_… bits."""


#: Says of a packet that it is not wanted any more.
Unwanted: TypeAlias = "Callable[[Lineage], bool]"


def is_stale(origin: Lineage, generation: int) -> bool:
    """Whether an interrupt that raised the generation to this has made a packet stale."""
    return origin.generation < generation and not origin.flags & FLAG_UNINTERRUPTIBLE


def older_than(generation: int) -> Unwanted:
    """What an interrupt that raised the generation to this has made stale."""
    return lambda origin: is_stale(origin, generation)


@dataclass(frozen=True, slots=True)
class CancelledSpan:
    """A stretch of media time that is taken back, of what had been sent by then.

    Attributes:
        from_ns: its first nanosecond.
        to_ns: the first one behind it.
        before_ns: the monotonic time at which it was taken back; what was sent since then is meant.
    """

    from_ns: int
    to_ns: int
    before_ns: int

    def __call__(self, origin: Lineage) -> bool:
        """Whether a packet belongs to it."""
        return (
            self.from_ns <= origin.timestamp_ns < self.to_ns
            and origin.ingress_ns < self.before_ns
            and not origin.flags & FLAG_UNINTERRUPTIBLE
        )


@dataclass(frozen=True, slots=True)
class Interrupt:
    """An interrupt, as a stage is told of it.

    Attributes:
        generation: what is older is stale.
        nodes: its scope.
    """

    generation: int
    nodes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Played:
    """How much of one thing was heard, as the node that plays it says when it is interrupted.

    Attributes:
        sequence: that of the input it descends from.
        played_ns: how much of it was heard, in nanoseconds of audio.
        of_ns: how much of it the node had been given.
        metadata: that of its packets, such as the text they say.
    """

    sequence: int
    played_ns: int
    of_ns: int
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Settlement:
    """What became of an interrupt, in one stage or in all.

    Attributes:
        generation: the interrupt's.
        dropped: edge or node id → packets, iterators and calls that were dropped there.
        played: node id → what it was playing, the oldest first; see `Operator.played`.
        late: ids of stages that had not answered by the deadline.
    """

    generation: int
    dropped: dict[str, int] = field(default_factory=dict)
    played: dict[str, tuple[Played, ...]] = field(default_factory=dict)
    late: tuple[str, ...] = ()

    def add(self, other: Settlement) -> None:
        """Count in what became of it elsewhere."""
        self.add_dropped(other.dropped)
        self.played |= other.played

    def add_dropped(self, dropped: Mapping[str, int]) -> None:
        """Count what was dropped in some places."""
        for place, count in dropped.items():
            if count:
                self.dropped[place] = self.dropped.get(place, 0) + count


def scope_of(plan: Plan, node_id: str | None) -> frozenset[str]:
    """A node and all behind it; None: all nodes."""
    nodes = {node.id for stage in plan.stages for node in stage.nodes}
    if node_id is None:
        return frozenset(nodes)
    successors: dict[str, set[str]] = {node: set() for node in nodes}
    for source, target in _links(plan):
        successors[source].add(target)
    scope, pending = {node_id}, [node_id]
    while pending:
        fresh = successors[pending.pop()] - scope
        scope |= fresh
        pending += fresh
    return frozenset(scope)


def _links(plan: Plan) -> Iterable[tuple[str, str]]:
    for stage in plan.stages:
        for link in stage.links:
            yield link.source_node, link.target_node
    for edge in plan.edges:
        if edge.source_stage is not None and edge.target_stage is not None:
            yield edge.source_node, edge.target_node
