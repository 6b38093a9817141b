"""What flows: a payload, where it comes from and goes to, and the origin it descends from.

Pure: no I/O, no clock.

A packet's header has two parts, so that the common case (one packet in, one out) makes one small
object:

    Packet   payload · source (node, output port) · port (the receiver's input) · index
      └─ origin ─▶ Origin   session_id · sequence · timestamp_ns · ingress_ns · generation · flags ·
      metadata

The origin is shared by everything that descends from one input packet.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from engine.payloads.keep import keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.payloads import Payload

PayloadT = TypeVar("PayloadT")

NO_METADATA: Mapping[str, str] = MappingProxyType({})

DEFAULT_INPUT = "in"
DEFAULT_OUTPUT = "out"


class WrongKindError(TypeError):
    """An operator was given a payload of a kind that it cannot take."""


class Source(NamedTuple):
    """An output of a node."""

    node: str
    port: str = DEFAULT_OUTPUT

    def __str__(self) -> str:
        return f"{self.node}.{self.port}"


class Origin:
    """The lineage a packet inherits from the input it descends from.

    Attributes:
        session_id: the session the packet belongs to.
        sequence: ordinal of the ingress packet at its ingress node, from 0.
        timestamp_ns: media time of the ingress packet.
        ingress_ns: monotonic time at which the ingress packet entered the session.
        generation: raised by an interrupt; what is older is stale.
        flags: FLAG_… bits.
        metadata: free strings that travel with the packet; never changed in place.
    """

    __slots__ = (
        "flags",
        "generation",
        "ingress_ns",
        "metadata",
        "sequence",
        "session_id",
        "timestamp_ns",
    )

    def __init__(
        self,
        session_id: str,
        sequence: int,
        timestamp_ns: int,
        ingress_ns: int,
        generation: int = 0,
        flags: int = 0,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> None:
        self.session_id = session_id
        self.sequence = sequence
        self.timestamp_ns = timestamp_ns
        self.ingress_ns = ingress_ns
        self.generation = generation
        self.flags = flags
        self.metadata = metadata

    def with_generation(self, generation: int) -> Origin:
        """A copy that belongs to another generation."""
        return Origin(
            self.session_id,
            self.sequence,
            self.timestamp_ns,
            self.ingress_ns,
            generation,
            self.flags,
            self.metadata,
        )

    def with_flags(self, flags: int) -> Origin:
        """A copy with other flags."""
        return Origin(
            self.session_id,
            self.sequence,
            self.timestamp_ns,
            self.ingress_ns,
            self.generation,
            flags,
            self.metadata,
        )

    def with_timestamp(self, timestamp_ns: int) -> Origin:
        """A copy with another media time."""
        return Origin(
            self.session_id,
            self.sequence,
            timestamp_ns,
            self.ingress_ns,
            self.generation,
            self.flags,
            self.metadata,
        )

    def with_metadata(self, metadata: Mapping[str, str]) -> Origin:
        """A copy that carries other metadata."""
        return Origin(
            self.session_id,
            self.sequence,
            self.timestamp_ns,
            self.ingress_ns,
            self.generation,
            self.flags,
            metadata,
        )

    def __repr__(self) -> str:
        return (
            f"Origin(sequence={self.sequence}, timestamp_ns={self.timestamp_ns},"
            f" generation={self.generation})"
        )


class Packet:
    """One item on its way. Never changed once it has been emitted.

    Attributes:
        payload: what it carries.
        source: the node and output port that emitted it.
        port: the input port of the node that receives it.
        index: how many packets of the same sequence its source emitted before it; where inputs
            merge, for the same input.
        origin: what it inherits, see `Origin`.
    """

    __slots__ = ("index", "origin", "payload", "port", "source")

    def __init__(
        self, payload: Payload, source: Source, port: str, index: int, origin: Origin
    ) -> None:
        self.payload = payload
        self.source = source
        self.port = port
        self.index = index
        self.origin = origin

    @property
    def session_id(self) -> str:
        """The session the packet belongs to."""
        return self.origin.session_id

    @property
    def sequence(self) -> int:
        """Ordinal of the ingress packet it descends from."""
        return self.origin.sequence

    @property
    def timestamp_ns(self) -> int:
        """Media time in nanoseconds."""
        return self.origin.timestamp_ns

    @property
    def ingress_ns(self) -> int:
        """Monotonic time in nanoseconds at which its ingress packet entered the session."""
        return self.origin.ingress_ns

    @property
    def generation(self) -> int:
        """The generation it belongs to."""
        return self.origin.generation

    @property
    def flags(self) -> int:
        """FLAG_… bits."""
        return self.origin.flags

    @property
    def metadata(self) -> Mapping[str, str]:
        """Strings that travel with it; read-only by contract."""
        return self.origin.metadata

    def to_port(self, port: str) -> Packet:
        """The same packet on its way to another input port."""
        return Packet(self.payload, self.source, port, self.index, self.origin)

    def with_payload(self, payload: Payload, metadata: Mapping[str, str] | None = None) -> Packet:
        """A packet of the same lineage with another payload (and metadata, if given)."""
        origin = self.origin if metadata is None else self.origin.with_metadata(metadata)
        return Packet(payload, self.source, self.port, self.index, origin)

    def with_generation(self, generation: int) -> Packet:
        """The same packet as one of another generation."""
        origin = self.origin.with_generation(generation)
        return Packet(self.payload, self.source, self.port, self.index, origin)

    def expect(self, kind: type[PayloadT]) -> PayloadT:
        """The payload, known to be of a kind: for operators that take nothing else.

        Args:
            kind: a payload class: `packet.expect(Audio).samples`.

        Raises:
            WrongKindError: it is of another kind; says which, and where it came from.
        """
        payload = self.payload
        if isinstance(payload, kind):
            return payload
        came = f"{self.source} gave" if self.source.port else "the input was"
        raise WrongKindError(f"{kind.__name__} is needed, {came} {type(payload).__name__}")

    def keep(self) -> Packet:
        """A packet that may be held for long: its payload copied out of shared memory.

        A view of shared memory keeps its place there, which its producer then lacks.

        Returns:
            This packet where nothing of it lies in shared memory, else a copy.
        """
        payload = self.payload
        kept = keep(payload)
        return self if kept is payload else self.with_payload(kept)

    def __repr__(self) -> str:
        way = f"{self.source} → {self.port}" if self.port else f"{self.source}"
        return f"Packet({way}, #{self.origin.sequence}.{self.index}, {self.payload!r})"


class Group:
    """Packets for several input ports of one node that belong together.

    It moves whole or not at all.

    Attributes:
        members: input port → packet, in the receiving node's port order; at least one.
    """

    __slots__ = ("members",)

    def __init__(self, members: Mapping[str, Packet]) -> None:
        self.members = members

    @property
    def origin(self) -> Origin:
        """The origin of its members, which differ in their media times at most."""
        return next(iter(self.members.values())).origin

    def with_generation(self, generation: int) -> Group:
        """The same group as one of another generation."""
        return self.with_origins(lambda origin: origin.with_generation(generation))

    def with_origins(self, changed: Callable[[Origin], Origin]) -> Group:
        """The same group with changed origins; members that share one go on to."""
        origins = {member.origin: changed(member.origin) for member in self}
        return Group(
            {
                port: Packet(
                    member.payload,
                    member.source,
                    member.port,
                    member.index,
                    origins[member.origin],
                )
                for port, member in self.members.items()
            }
        )

    def __iter__(self) -> Iterator[Packet]:
        return iter(self.members.values())

    def __repr__(self) -> str:
        return f"Group({dict(self.members)!r})"


#: What an edge carries.
Item = Packet | Group


class Members(dict[str, Packet]):
    """What an operator that joins is given: input port → packet; not all ports need be there."""

    def __missing__(self, port: str) -> Packet:
        came = ", ".join(map(repr, self)) or "none"
        raise KeyError(
            f"no packet for port {port!r} came with this input, only for {came}; packets that were"
            " sent together come together, those of different branches one by one (ZipNode joins"
            " them)"
        )


def lineage_key(packet: Packet) -> tuple[Any, ...]:
    """Sort key by which results of different placements are compared."""
    return (packet.source, packet.origin.sequence, packet.index)
