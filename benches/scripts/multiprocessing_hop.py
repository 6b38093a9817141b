"""A hop by multiprocessing's Pipe and Queue, on our interpreter; see `benches.peers`.

Pipe carries raw bytes: the consumer must know what they are. Queue pickles the numpy array, on a
thread of its own.
"""

import multiprocessing
from typing import Any

import numpy as np
from answering import serve  # type: ignore[import-not-found]
from hop_work import Load, Report, consume, produce  # type: ignore[import-not-found]
from two_sides import Shared, measure  # type: ignore[import-not-found]


def by_pipe(load: Load) -> dict[str, Any]:
    """A duplex Pipe: a pair of stream sockets."""
    ours, theirs = multiprocessing.Pipe()

    def sending(_: Any) -> Report:
        theirs.close()
        return produce(load, lambda array: ours.send_bytes(memoryview(array).cast("B")), wait)

    def wait() -> None:
        ours.recv_bytes()

    def taking(shared: Shared) -> Report:
        ours.close()
        shared.ready()
        return consume(
            load,
            lambda: np.frombuffer(theirs.recv_bytes(), np.float32),
            lambda: theirs.send_bytes(b"taken"),
        )

    try:
        return dict(measure(load, sending, taking, None))
    finally:
        ours.close()
        theirs.close()


def by_queue(load: Load) -> dict[str, Any]:
    """A bounded Queue, and one for the way back."""
    context = multiprocessing.get_context("fork")
    data: Any = context.Queue(load.window)
    back: Any = context.Queue()

    def taking(shared: Shared) -> Report:
        shared.ready()
        return consume(load, data.get, lambda: back.put(None))

    try:
        return dict(measure(load, lambda _: produce(load, data.put, back.get), taking, None))
    finally:
        for queue in (data, back):
            queue.cancel_join_thread()
            queue.close()


def run(kind: str, load: list[Any]) -> dict[str, Any]:
    """Measure one load by "pipe" or "queue"."""
    return {"pipe": by_pipe, "queue": by_queue}[kind](Load(*load))


if __name__ == "__main__":
    serve(run)
