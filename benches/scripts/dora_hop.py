"""A hop by dora-rs between two nodes of a dataflow; see `benches.peers`.

`dora run` brings the daemon along and needs no coordinator. It runs without a network. dora's
arrays are Arrow's; in place it knows bytes only.
"""

import contextlib
import json
import multiprocessing.connection as connections
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from answering import serve  # type: ignore[import-not-found]
from hop_work import PING_PONG, Load, Report, outcome  # type: ignore[import-not-found]
from offline import stand_alone  # type: ignore[import-not-found]
from two_sides import (  # type: ignore[import-not-found]
    TIMEOUT_S,
    cpu_ns,
    die_with_parent,
    too_late,
)

NODE = Path(__file__).with_name("dora_node.py")
START_S = 20.0
END_S = 10.0
SHARED_MEMORY_BYTES = 256 * 1024**2
#: More than may be under way, so that nothing is dropped.
QUEUE = 256


class Dataflow:
    """A running dataflow of a producer and a consumer."""

    def __init__(self, load: Load) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        address = str(folder / "script")
        path = folder / "dataflow.yml"
        path.write_text(json.dumps(description(address, load)))  # JSON is YAML
        self._log = (folder / "log").open("w+")
        dora = Path(sys.executable).with_name("dora")
        environment = {
            **os.environ,
            "DORA_ZENOH_MULTICAST": "off",
            # By default 10 MiB do not fit its shared memory, and go by a socket.
            "DORA_NODE_SHM_POOL_SIZE": str(SHARED_MEMORY_BYTES),
            "HOME": str(folder),
        }
        with connections.Listener(address, family="AF_UNIX") as listener:
            self._process = subprocess.Popen(
                [sys.executable, dora, "run", path],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one thread only
            )
            self._sides = self._accept(listener)

    def measure(self, load: Load) -> dict[str, Any]:
        """Measure one load."""
        started_ns = cpu_ns(self._process.pid)
        for role in ("consumer", "producer"):
            self._sides[role].send(tuple(load))
        sent, taken = self._answers()
        other_ns = cpu_ns(self._process.pid) - started_ns
        return dict(outcome(load, sent, taken, other_cpu_ns=other_ns))

    def end(self) -> None:
        """End it and all it has started."""
        for side in self._sides.values():
            side.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_S)
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._folder.cleanup()

    def _accept(self, listener: connections.Listener) -> dict[str, Any]:
        sides: dict[str, Any] = {}
        for _ in range(2):
            signal.alarm(int(START_S))
            try:
                side = listener.accept()
            except TimeoutError:
                self._process.kill()
                raise RuntimeError(f"dora did not start: {self._last_words()}") from None
            finally:
                signal.alarm(0)
            sides[side.recv()] = side
        return sides

    def _answers(self) -> list[Any]:
        """Both sides' reports; where both failed, what the consumer says, who was the first."""
        answers: dict[str, Any] = {}
        for role in ("producer", "consumer"):
            if not self._sides[role].poll(2 * TIMEOUT_S):
                raise TimeoutError(f"the {role} said nothing: {self._last_words()}")
            answers[role] = self._sides[role].recv()
        for role in ("consumer", "producer"):
            if isinstance(answers[role], str):
                raise RuntimeError(f"the {role} failed: {answers[role]}")  # noqa: TRY004
        return [Report(*answers[role]) for role in ("producer", "consumer")]

    def _last_words(self) -> str:
        self._log.seek(0)
        return " / ".join(self._log.read().split("\n")[-5:])


def description(address: str, load: Load) -> dict[str, Any]:
    """The dataflow, whose nodes ask at an address what to do.

    What is quickest for single messages loses some of many, whatever the size of the queue; the
    other policy loses none and takes ten times as long for large ones, by way of the daemon.
    """
    policy = "drop_oldest" if load.mode == PING_PONG else "backpressure"

    def node(role: str, output: str, name: str, source: str) -> dict[str, Any]:
        queue = {"source": source, "queue_size": QUEUE, "queue_policy": policy}
        return {
            "id": role,
            "path": sys.executable,
            "args": f"{NODE} {role} {address}",
            "inputs": {name: queue},
            "outputs": [output],
        }

    return {
        "nodes": [
            node("producer", "data", "back", "consumer/back"),
            node("consumer", "back", "data", "producer/data"),
        ]
    }


def run(load: list[Any]) -> dict[str, Any]:
    """Measure one load in a dataflow of its own, as ours has a session of its own."""
    asked = Load(*load)
    dataflow = Dataflow(asked)
    try:
        return dataflow.measure(asked)
    finally:
        dataflow.end()


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, too_late)
    stand_alone()
    serve(run)
