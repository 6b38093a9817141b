"""Where a client's packets enter: each ingress node's edge, sequence and media time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.packet import DEFAULT_INPUT, Group, Origin, Packet
from engine.payloads import PAYLOAD_TYPES, Audio
from engine.session.inputs import not_an_input
from engine.session.wiring import INGRESS
from engine.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.clock import Clock
    from engine.edges.contract import EdgeSender
    from engine.packet import Item
    from engine.payloads import Payload


class Ingress:
    """One ingress node.

    Attributes:
        node: its id.
        sender: its edge.
        ports: the node's input ports.
        opened_ns: the session's time from which media time is counted where nothing else gives it.
    """

    def __init__(
        self, node: str, sender: EdgeSender, ports: Sequence[str], session_id: str, now_ns: Clock
    ) -> None:
        """Open an ingress.

        Args:
            node: the node's id.
            sender: its edge.
            ports: the node's input ports.
            session_id: the session's id.
            now_ns: the session's clock.
        """
        self.node = node
        self.sender = sender
        self.ports = tuple(ports)
        self.opened_ns = now_ns()
        self._clock = now_ns
        self._now_ns = now_ns
        self._session_id = session_id
        self._sequence = 0
        #: Input port → where the audio sent to it ends.
        self._audio_ends_ns: dict[str, int] = {}

    def stamp(
        self,
        payload: Payload,
        port: str | None,
        timestamp_ns: int | None,
        generation: int,
        metadata: Mapping[str, str],
    ) -> Packet:
        """Make a packet with the next sequence, which `try_send` uses up.

        Args:
            payload: what it carries.
            port: the input port; None: the first.
            timestamp_ns: media time; None: a port's audio is laid end to end, the rest gets the
                time since the session was opened.
            generation: the session's.
            metadata: strings that travel with it.

        Raises:
            UsageError: it is no payload, or there is no such port.
        """
        if type(payload) not in PAYLOAD_TYPES:
            raise UsageError(not_an_input(payload))
        if port is None:
            port = self.ports[0] if self.ports else DEFAULT_INPUT
        elif port not in self.ports:
            hint = suggestion(port, self.ports, "input ports")
            raise UsageError(f"node {self.node!r} has no input port {port!r}{hint}")
        now_ns = self._now_ns()
        if timestamp_ns is None:
            is_audio = type(payload) is Audio
            end_ns = self._audio_ends_ns.get(port, 0)
            timestamp_ns = end_ns if is_audio else now_ns - self.opened_ns
        origin = Origin(
            self._session_id, self._sequence, timestamp_ns, now_ns, generation, 0, metadata
        )
        return Packet(payload, INGRESS, port, 0, origin)

    def stamp_group(
        self,
        payloads: Mapping[str, Payload],
        timestamp_ns: int | Mapping[str, int] | None,
        generation: int,
        metadata: Mapping[str, str],
    ) -> Group:
        """Make a group with the next sequence, its members in the node's port order.

        Args:
            payloads: input port → payload, at least one.
            timestamp_ns: media time of all; None: as in `stamp`, that of audio if some is: where
                the longest of its ports ends; or input port → its own, None for the others.
            generation: the session's.
            metadata: strings that travel with each.

        Raises:
            UsageError: one is no payload, there is no such port, or there are none.
        """
        times_ns: Mapping[str, int | None] = (
            timestamp_ns
            if isinstance(timestamp_ns, Mapping)
            else dict.fromkeys(payloads, timestamp_ns)
        )
        stamped = {
            port: self.stamp(payload, port, times_ns.get(port), generation, metadata)
            for port, payload in payloads.items()
        }
        if not stamped:
            raise UsageError("a group needs at least one payload")
        packets = [stamped[port] for port in self.ports if port in stamped]
        if isinstance(timestamp_ns, Mapping):
            return Group({packet.port: packet for packet in packets})
        lead = next((packet for packet in packets if type(packet.payload) is Audio), packets[0])
        group = Group(
            {
                packet.port: Packet(packet.payload, INGRESS, packet.port, 0, lead.origin)
                for packet in packets
            }
        )
        if timestamp_ns is None:
            self.lay(group)
        return group

    def stamp_from(self, floor_ns: int) -> None:
        """Stamp whatever comes from now on with no earlier time than this.

        So that what is sent at one instant, before and after something is taken back, can be told
        apart: on virtual time all of it may be.
        """
        clock = self._clock

        def now_ns() -> int:
            now = clock()
            if now >= floor_ns:
                self._now_ns = clock
            return max(now, floor_ns)

        self._now_ns = now_ns

    def renew(self, item: Item, generation: int) -> None:
        """Stamp an item that waited for a credit as one of another generation."""
        for packet in (item,) if isinstance(item, Packet) else item:
            packet.origin.generation = generation

    def lay(self, item: Item) -> None:
        """Let the audio of an item that was stamped without a time begin where its ports' ends."""
        ends_ns = [
            self._audio_ends_ns.get(packet.port, 0)
            for packet in ((item,) if isinstance(item, Packet) else item)
            if type(packet.payload) is Audio
        ]
        if ends_ns:
            item.origin.timestamp_ns = max(ends_ns)

    def try_send(self, item: Item) -> bool:
        """Send an item that was stamped here; False: no credit.

        Raises:
            EdgeError: it can never cross: it is larger than the arena, or has no Arrow form.
        """
        # Others may have been sent since it was stamped.
        if isinstance(item, Packet):
            item.origin.sequence = self._sequence
        else:
            for packet in item:
                packet.origin.sequence = self._sequence
        if not self.sender.try_send(item):
            return False
        self._sequence += 1
        if isinstance(item, Packet):
            payload = item.payload
            if type(payload) is Audio:
                end_ns = item.origin.timestamp_ns + payload.duration_ns
                self._audio_ends_ns[item.port] = end_ns
        else:
            self._follow_time(item)
        return True

    def _follow_time(self, group: Group) -> None:
        for packet in group:
            payload = packet.payload
            if type(payload) is Audio:
                end_ns = packet.origin.timestamp_ns + payload.duration_ns
                self._audio_ends_ns[packet.port] = end_ns
