"""One input of a client: whose it is, what it carries, and how it enters the session.

Source: FR-012.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from engine.errors import ResourceLimitError
from engine.payloads import kind_of
from engine.wording import suggestion
from transports.rpc.conversion.buffers import check_metadata, media_time_ns
from transports.rpc.errors import InputError, InputKindError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.payloads import Payload
    from engine.plan import NodePlan
    from engine.session.session import Session
    from protos.remotemedia.v1 import common_pb2
    from transports.rpc.conversion.buffers import InputRules, Received
    from transports.rpc.measuring import Measurement
    from transports.rpc.plans import Prepared

#: What a chunk takes beside its payloads, in bytes, roughly.
_CHUNK_BYTES: Final = 512
_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """An input that has been checked and converted.

    Attributes:
        node_id: the ingress node it is for.
        payload: what is for its first port; None: `group` has it.
        group: input port → what is for it; they belong together.
        metadata: what travels with it.
        timestamp_ns: its media time, or None; of a group, that of its earliest member.
        timestamps_ns: input port → media time, of those members of a group that have one.
        sequence: the client's number for it.
        size_bytes: about what it takes while it waits.
    """

    node_id: str
    payload: Payload | None
    group: Mapping[str, Payload]
    metadata: Mapping[str, str]
    timestamp_ns: int | None
    sequence: int
    size_bytes: int
    timestamps_ns: Mapping[str, int] = field(default_factory=dict)


class Inputs:
    """Makes chunks of what a client sends for one session."""

    def __init__(self, prepared: Prepared, rules: InputRules, measurement: Measurement) -> None:
        """Make none yet.

        Args:
            prepared: what runs.
            rules: what inputs may be.
            measurement: what the call took.
        """
        self._prepared = prepared
        self._rules = rules
        self._measurement = measurement
        nodes = {node.id: node for stage in prepared.plan.stages for node in stage.nodes}
        self._ingress = {node_id: nodes[node_id] for node_id in prepared.plan.ingress}
        self._stage_of = {
            node.id: stage.id for stage in prepared.plan.stages for node in stage.nodes
        }

    def chunk(
        self,
        node_id: str,
        buffer: common_pb2.DataBuffer | None,
        named: Mapping[str, common_pb2.DataBuffer],
        sequence: int = 0,
        timestamp_ms: int = 0,
    ) -> Chunk:
        """Check and convert an input.

        Args:
            node_id: the node it is for.
            buffer: what is for its first port; None: `named` has it.
            named: input port → what is for it.
            sequence: the client's number for it.
            timestamp_ms: its media time; 0: none.

        Raises:
            InputError: no such node takes inputs, or a port is not there, or a buffer is wrong.
            InputKindError: the node cannot take data of this kind.
            ResourceLimitError: a buffer is larger than it may be.
        """
        node = self._node(node_id)
        try:
            return self._chunk(node, buffer, named, sequence, timestamp_ms)
        except (InputError, ResourceLimitError) as error:
            facts = {**error.context, "node_id": node_id, "sequence": sequence}
            raise type(error)(f"input of node {node_id!r}: {error.message}", **facts) from error

    def _chunk(
        self,
        node: NodePlan,
        buffer: common_pb2.DataBuffer | None,
        named: Mapping[str, common_pb2.DataBuffer],
        sequence: int,
        timestamp_ms: int,
    ) -> Chunk:
        timestamp_ns = media_time_ns(timestamp_ms, _NS_PER_MS, "timestamp_ms")
        if buffer is not None:
            received = self._receive(node, buffer)
            if received.timestamp_ns is not None:
                timestamp_ns = received.timestamp_ns
            size = received.size_bytes + _CHUNK_BYTES
            metadata = received.metadata
            return Chunk(node.id, received.payload, {}, metadata, timestamp_ns, sequence, size)
        size = _CHUNK_BYTES
        group: dict[str, Payload] = {}
        own_ns: dict[str, int] = {}
        common: dict[str, str] = {}
        for port, member in named.items():
            if port not in node.inputs:
                hint = suggestion(port, node.inputs, "input ports")
                raise InputError(f"it has no input port {port[:100]!r}{hint}")
            received = self._receive(node, member)
            group[port] = received.payload
            common.update(received.metadata)
            size += received.size_bytes
            at_ns = timestamp_ns if received.timestamp_ns is None else received.timestamp_ns
            if at_ns is not None:
                own_ns[port] = at_ns
        check_metadata(common)
        earliest_ns = min(own_ns.values(), default=None)
        return Chunk(node.id, None, group, common, earliest_ns, sequence, size, own_ns)

    def takes_control(self, node_id: str) -> bool:
        """Whether a node takes control messages as packets, too, in line with its data."""
        return node_id in self._prepared.takes_control

    def _receive(self, node: NodePlan, buffer: common_pb2.DataBuffer) -> Received:
        received = self._measurement.receive(buffer, self._rules)
        self._measurement.note_input(self._stage_of[node.id], received.size_bytes)
        accepted = self._prepared.strict.get(node.id)
        kind = kind_of(received.payload)
        if accepted is not None and kind not in accepted and kind != "control":
            raise InputKindError(
                f"{node.node_type} takes {' and '.join(sorted(accepted))}, got {kind}"
            )
        return received

    def _node(self, node_id: str) -> NodePlan:
        node = self._ingress.get(node_id)
        if node is not None:
            return node
        shown = node_id[:100]
        if node_id in self._prepared.nodes:
            raise InputError(
                f"node {shown!r} takes its input from other nodes; from outside take"
                f" {', '.join(self._ingress)}",
                node_id=shown,
            )
        hint = suggestion(node_id, self._prepared.nodes, "nodes")
        raise InputError(f"there is no node {shown!r}{hint}", node_id=shown)


def send_nowait(session: Session, chunk: Chunk) -> bool:
    """Give an input to a session if it has room now; False: it has none, or it is a group.

    Raises:
        RemoteMediaError: the session has failed or ended.
    """
    if chunk.payload is None:
        return False
    sent = session.send_nowait(
        chunk.payload, chunk.node_id, timestamp_ns=chunk.timestamp_ns, metadata=chunk.metadata
    )
    return sent is not None


async def send(session: Session, chunk: Chunk) -> None:
    """Give an input to a session, waiting until it has room.

    A Control goes the way of all other data here; a stream tells it past them, see `stream`.

    Raises:
        RemoteMediaError: the session has failed or ended.

    A cancelled call has sent nothing.
    """
    if chunk.payload is not None:
        await session.send(
            chunk.payload, chunk.node_id, timestamp_ns=chunk.timestamp_ns, metadata=chunk.metadata
        )
    else:
        times_ns = chunk.timestamps_ns or None
        await session.send_group(
            chunk.group, chunk.node_id, timestamp_ns=times_ns, metadata=chunk.metadata
        )
