"""A bench whose stage is steered, and the client's side of the hands on it."""

from engine.edges.local import LocalEdge
from engine.errors import RemoteMediaError
from engine.packet import Origin, Packet, Source
from engine.payloads import Binary
from engine.stage_steering import HandEnds, StageSteering
from engine.steering import (
    DECISION_KEY,
    DROP,
    GO_ON,
    REPLACE,
    Attach,
    Detach,
    SetNodeState,
    SetParams,
    Tell,
)
from engine.testing import StageBench

NOWHERE = Source("", "")


class Steered(StageBench):
    """A bench that is steered as a session steers a stage, between its turns."""

    def __init__(self, *operators, **more):
        super().__init__(*operators, **more)
        self.steering = StageSteering([self.stage])

    def give(self, order, ends=None):
        """Give an order; what it is answered, once it is."""
        answers = []
        self.steering.apply(order, ends or HandEnds(), answers.append)
        return answers

    def obeyed(self, order, ends=None):
        """Give an order that is answered at once.

        Raises:
            RemoteMediaError: it was refused.
        """
        (answer,) = self.give(order, ends)
        if isinstance(answer, RemoteMediaError):
            raise answer
        return answer

    def set_params(self, node, **params):
        """What a change of params is answered, once it is."""
        return self.give(SetParams(node, params))

    def set_state(self, node, state):
        self.obeyed(SetNodeState(node, state))

    def tell(self, control, *nodes, before_ns=1 << 62):
        """Tell nodes a control message; what was dropped."""
        return self.obeyed(Tell(nodes, control.to_dict(), before_ns))["dropped"]

    def hand(self, kind, node, port="out", **more):
        return BenchHand(self, kind, node, "" if kind == "publish" else port, **more)


class BenchHand:
    """A hand on a bench's stage, and its other side."""

    made = 0

    def __init__(self, bench, kind, node, port, *, deadline_ms=50, capacity=64):
        BenchHand.made += 1
        self.hand_id = f"{kind}-{BenchHand.made}"
        self.node = node
        self.bench = bench
        self.shows = LocalEdge(f"{self.hand_id}:shows", capacity) if kind != "publish" else None
        self.gives = LocalEdge(f"{self.hand_id}:gives", capacity) if kind != "tap" else None
        self.asked = 0
        self.sequence = 0
        order = Attach(self.hand_id, kind, node, port, deadline_ms)
        bench.obeyed(order, HandEnds(self.shows, self.gives))

    def take(self):
        """What it shows now."""
        packets = []
        while (packet := self.shows.try_receive()) is not None:
            self.shows.release()
            packets.append(packet)
        return packets

    def texts(self):
        return [packet.payload.text for packet in self.take()]

    def decide(self, decide):
        """Decide about all it asks now: None passes, "" drops, a payload replaces."""
        for packet in self.take():
            self.answer(self.asked, decide(packet))
            self.asked += 1

    def answer(self, number, decision):
        if decision is None or decision == "":
            said = GO_ON if decision is None else DROP
            decision = Binary(b"")
        else:
            said = REPLACE
        origin = Origin("", number, 0, 0, metadata={DECISION_KEY: said})
        self.gives.try_send(Packet(decision, NOWHERE, "", 0, origin))

    def publish(self, payload, port="in", **header):
        """Publish a packet; whether there was a credit."""
        origin = Origin("session", self.sequence, **{"timestamp_ns": 0, "ingress_ns": 0} | header)
        sent = self.gives.try_send(Packet(payload, NOWHERE, port, 0, origin))
        self.sequence += sent
        return sent

    def detach(self):
        """Be taken away; what that is answered, once all it holds has passed."""
        return self.bench.give(Detach(self.hand_id, self.node))

    def vanish(self):
        """Be closed by its client, who does not say so."""
        for edge in (self.shows, self.gives):
            if edge is not None:
                edge.close()
                edge.finish()
