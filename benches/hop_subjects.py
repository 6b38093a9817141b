"""Who is measured by `benches.bench_hop`: ours, and each peer with what it can carry."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from benches import hop_ours
from benches.peers import Peer

if TYPE_CHECKING:
    from types import TracebackType

    from benches.scripts.hop_work import Load

OURS = "ours"
#: For one answer; longer than the scripts' own limits, so that they can say what was too slow.
PATIENCE_S = 180.0


class Kind(NamedTuple):
    """What a peer is.

    Attributes:
        script: its script.
        environment: its environment; None: our interpreter.
        typed: whether what arrives says what it is; the others carry bytes that the consumer must
            know.
        in_place: whether the producer can fill a message where the consumer will read it.
        request: what else the script is asked.
    """

    script: str
    environment: str | None
    typed: bool
    in_place: bool = False
    request: tuple[tuple[str, str], ...] = ()


PEERS = {
    "dora-rs": Kind("dora_hop", "dora", typed=True, in_place=True),
    "ray": Kind("ray_hop", "ray", typed=True),
    "iceoryx2-arrow": Kind(
        "iceoryx2_hop", "iceoryx2", typed=True, in_place=True, request=(("kind", "arrow"),)
    ),
    "iceoryx2-raw": Kind(
        "iceoryx2_hop", "iceoryx2", typed=False, in_place=True, request=(("kind", "raw"),)
    ),
    "pyzmq-raw": Kind("zmq_hop", "pyzmq", typed=False),
    "multiprocessing-pipe-raw": Kind(
        "multiprocessing_hop", None, typed=False, request=(("kind", "pipe"),)
    ),
    "multiprocessing-queue": Kind(
        "multiprocessing_hop", None, typed=True, request=(("kind", "queue"),)
    ),
}
NAMES = (OURS, *PEERS)


def carries(name: str, load: Load) -> bool:
    """Whether a subject can do this at all: not everybody lets a message be filled in place."""
    return name == OURS or PEERS[name].in_place or not load.in_place


class Outcome(NamedTuple):
    """One measurement, see `benches.scripts.hop_work.outcome`; times of one message in ns."""

    hops_ns: list[int]
    seconds: float
    producer_cpu_ns: float
    consumer_cpu_ns: float
    other_cpu_ns: float


class Subjects:
    """All of them; the peers' processes end with the context."""

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def measure(self, name: str, load: Load) -> Outcome:
        """Measure a load.

        Args:
            name: one of `NAMES`, which carries such a load.
            load: what to send.

        Raises:
            CannotMeasure: the peer is not there, or failed.
        """
        answer = hop_ours.measure(load) if name == OURS else self._ask(name, load)
        outcome = Outcome(**answer)
        assert len(outcome.hops_ns) == load.messages
        return outcome

    def _ask(self, name: str, load: Load) -> dict[str, Any]:
        kind = PEERS[name]
        if kind.script not in self._peers:
            peer = Peer(kind.script, kind.environment, timeout_s=PATIENCE_S)
            self._peers[kind.script] = self._stack.enter_context(peer)
        return self._peers[kind.script].ask(load=list(load), **dict(kind.request))
