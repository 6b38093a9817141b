"""A hop by pyzmq over ipc, PUSH to PULL; see `benches.peers`. It carries raw bytes."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import zmq  # type: ignore[import-not-found]
from answering import serve  # type: ignore[import-not-found]
from hop_work import Load, Report, consume, produce  # type: ignore[import-not-found]
from two_sides import MESSAGE_TIMEOUT_S, Shared, measure  # type: ignore[import-not-found]

#: From here on pyzmq's own zero-copy send is the quicker one (its default threshold).
COPY_BYTES_MAX = 64 * 1024


def sockets(context: Any, data: Any, back: Any, load: Load) -> tuple[Any, Any]:
    """The two sockets of a side, bounded in messages and in time."""
    pair = []
    for kind in (data, back):
        socket = context.socket(kind)
        socket.set_hwm(load.window)
        socket.setsockopt(zmq.LINGER, int(MESSAGE_TIMEOUT_S * 1e3))
        socket.setsockopt(zmq.RCVTIMEO, int(MESSAGE_TIMEOUT_S * 1e3))
        socket.setsockopt(zmq.SNDTIMEO, int(MESSAGE_TIMEOUT_S * 1e3))
        pair.append(socket)
    return pair[0], pair[1]


def sending(load: Load, address: str) -> Report:
    """The producer's side."""
    copies = load.size_bytes <= COPY_BYTES_MAX
    with zmq.Context() as context:
        data, back = sockets(context, zmq.PUSH, zmq.PULL, load)
        with data, back:
            data.connect(f"{address}/data")
            back.connect(f"{address}/back")
            report: Report = produce(load, lambda array: data.send(array, copy=copies), back.recv)
            back.recv()  # who closes before all has arrived loses the last messages
            return report


def taking(load: Load, address: str, shared: Shared) -> Report:
    """The consumer's side."""
    with zmq.Context() as context:
        data, back = sockets(context, zmq.PULL, zmq.PUSH, load)
        with data, back:
            data.bind(f"{address}/data")
            back.bind(f"{address}/back")
            shared.ready()
            report: Report = consume(
                load,
                lambda: np.frombuffer(data.recv(copy=False).buffer, np.float32),
                lambda: back.send(b"taken"),
            )
            back.send(b"all")
            return report


def run(load: list[Any]) -> dict[str, Any]:
    """Measure one load."""
    asked = Load(*load)
    with tempfile.TemporaryDirectory() as folder:
        address = f"ipc://{Path(folder)}"
        return dict(
            measure(
                asked,
                lambda _: sending(asked, address),
                lambda shared: taking(asked, address, shared),
                None,
            )
        )


if __name__ == "__main__":
    serve(run)
