"""A hop by a Ray compiled graph between two actors; see `benches.peers`.

The driver triggers the producer's actor, whose array goes to the consumer's; as in our own
ping-pong, the way back leads over the driver. Ray carries numpy arrays in its own serialization.
"""

import os
import signal
import tempfile
import time
from typing import Any

from answering import serve  # type: ignore[import-not-found]
from offline import stand_alone  # type: ignore[import-not-found]

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_worker_niceness": "0",
}
stand_alone()

import ray  # type: ignore[import-not-found]  # noqa: E402 - it reads its environment when imported
from hop_work import (  # type: ignore[import-not-found]  # noqa: E402
    PACE_NS,
    PACED,
    PING_PONG,
    Load,
    Report,
    Sender,
    Taker,
    outcome,
)
from ray.dag import InputNode  # type: ignore[import-not-found]  # noqa: E402
from two_sides import (  # type: ignore[import-not-found]  # noqa: E402
    MESSAGE_TIMEOUT_S,
    TIMEOUT_S,
    too_late,
)

#: What a channel holds beside the array.
ENVELOPE_BYTES = 1024**2


class Producer:
    """The producer's actor."""

    def __init__(self, load: tuple[Any, ...]) -> None:
        self._sender = Sender(Load(*load))

    def emit(self, index: int) -> Any:
        """The next message."""
        array = self._sender.fill(index)
        self._sender.stamp()
        return array

    def report(self) -> tuple[Any, ...]:
        """What it saw."""
        return tuple(self._sender.report())


class Consumer:
    """The consumer's actor."""

    def __init__(self, load: tuple[Any, ...]) -> None:
        self._taker = Taker(Load(*load))

    def take(self, array: Any) -> int:
        """Take a message."""
        self._taker.take(array, time.monotonic_ns())
        return 0

    def report(self) -> tuple[Any, ...]:
        """What it saw."""
        return tuple(self._taker.report())


def run(load: list[Any], folder: str) -> dict[str, Any]:
    """Measure one load; after a failure the next one gets another Ray."""
    if not ray.is_initialized():
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
        )
    signal.alarm(int(TIMEOUT_S))
    try:
        return measure(Load(*load))
    except BaseException:
        signal.alarm(int(TIMEOUT_S))
        ray.shutdown()
        raise
    finally:
        signal.alarm(0)


def measure(load: Load) -> dict[str, Any]:
    """Make the actors and the graph between them, and drive it."""
    producer = ray.remote(Producer).remote(tuple(load))
    consumer = ray.remote(Consumer).remote(tuple(load))
    with InputNode() as token:
        graph = consumer.take.bind(producer.emit.bind(token))
    compiled = graph.experimental_compile(
        _buffer_size_bytes=load.size_bytes + ENVELOPE_BYTES,
        _max_inflight_executions=load.window,
        _max_buffered_results=load.window,
    )
    drive(compiled, load)
    reports = [producer.report.remote(), consumer.report.remote()]
    sent, taken = ray.get(reports, timeout=MESSAGE_TIMEOUT_S)
    for actor in (producer, consumer):  # asked to end, they were seen to stay for half a minute
        ray.kill(actor)
    compiled.teardown(kill_actors=True)
    return dict(outcome(load, Report(*sent), Report(*taken)))


def drive(compiled: Any, load: Load) -> None:
    """Trigger every message, with as many under way as the mode wants."""
    window = 1 if load.mode == PING_PONG else load.window
    due_ns = time.monotonic_ns()
    under_way: list[Any] = []
    for index in range(load.total):
        if load.mode == PACED:
            due_ns += PACE_NS
            time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        if len(under_way) == window:
            under_way.pop(0).get(timeout=MESSAGE_TIMEOUT_S)
        under_way.append(compiled.execute(index))
    for reference in under_way:
        reference.get(timeout=MESSAGE_TIMEOUT_S)


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, too_late)
    with tempfile.TemporaryDirectory(prefix="ray") as name:
        serve(lambda load: run(load, name))
        ray.shutdown()
