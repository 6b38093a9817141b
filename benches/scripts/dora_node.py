"""The two nodes of `dora_hop.py`'s dataflow: `dora_node.py producer|consumer ADDRESS`.

Each asks the script at ADDRESS what to do next, and tells it what came of it.
"""

import contextlib
import sys
from multiprocessing.connection import Client
from typing import Any

import numpy as np
import pyarrow as pa
from dora import Node  # type: ignore[import-not-found]
from hop_work import (  # type: ignore[import-not-found]
    SATURATED,
    WORD_BYTES,
    Floats,
    Load,
    Report,
    consume,
    produce,
)
from two_sides import MESSAGE_TIMEOUT_S, die_with_parent  # type: ignore[import-not-found]

TAKEN = pa.array([0], pa.uint8())


def value_of(node: Any) -> Any:
    """The next input's value.

    Raises:
        RuntimeError: there is none, but an error or the end.
    """
    got = node.next(timeout=MESSAGE_TIMEOUT_S)
    if got is None or got["type"] != "INPUT":
        what = "nothing" if got is None else got.get("error", got["type"]).partition("\n")[0]
        raise RuntimeError(f"an input was due, got {what}")
    return got["value"]


class Producer:
    """The producer's node."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._sample: Any = None

    def run(self, load: Load) -> Report:
        """Send one load."""
        empty = self._empty if load.in_place else None
        report: Report = produce(load, self._send, self._wait, empty, windowed=True)
        if load.mode == SATURATED:
            self._wait()  # for the last answer: it would come to the next load
        return report

    def _wait(self) -> None:
        value_of(self._node)

    def _empty(self, words: int) -> Floats:
        self._sample = self._node.send_output_raw("data", words * WORD_BYTES)
        return np.frombuffer(self._sample.as_memoryview(), np.float32)

    def _send(self, array: Floats | None) -> None:
        if array is None:
            self._sample.send()
        else:
            self._node.send_output("data", pa.array(array))


class Consumer:
    """The consumer's node."""

    def __init__(self, node: Any) -> None:
        self._node = node

    def run(self, load: Load) -> Report:
        """Take one load."""
        self._in_place = load.in_place
        report: Report = consume(load, self._receive, self._answer, windowed=True)
        return report

    def _receive(self) -> Floats:
        array: Floats = value_of(self._node).to_numpy(zero_copy_only=True)
        # What was filled in place comes as bytes.
        return array.view(np.float32) if self._in_place else array

    def _answer(self) -> None:
        self._node.send_output("back", TAKEN)


def main(role: str, address: str) -> None:
    """Do what the script asks for until it hangs up."""
    die_with_parent()
    node = Node()
    side: Producer | Consumer = Producer(node) if role == "producer" else Consumer(node)
    with Client(address, family="AF_UNIX") as script, contextlib.suppress(EOFError):
        script.send(role)
        while True:
            load = Load(*script.recv())
            try:
                script.send(tuple(side.run(load)))
            except Exception as error:  # noqa: BLE001 - the script must hear of it
                script.send(f"{type(error).__name__}: {error}")
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
