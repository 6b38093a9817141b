"""Operators that do harm, each in its own way, when the packet with the number 3 comes.

Workers import them by this module's name.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

from engine.operator import Operator, Params
from engine.payloads import Json
from engine.registry import Registry

#: What each prints before it does harm, to be found in the error.
LAST_WORDS = "about to do harm"
AT = 3
CHILDREN = 24
FLOOD_BYTES = 100_000_000


class Harmful(Operator):
    """Passes what it gets, and does harm once."""

    def process(self, packet, ctx):
        if packet.payload.value == AT:
            print(LAST_WORDS, flush=True)  # noqa: T201 - what workers print is under test
            self.harm()
        return packet

    def harm(self):
        raise NotImplementedError


class OverflowStack(Harmful):
    """C code that recurses until its stack ends, below anything Python counts."""

    def harm(self):
        pattern = b"(" * 5_000_000
        ctypes.CDLL(None).regcomp(ctypes.create_string_buffer(1024), pattern, 1)


class StickInC(Harmful):
    """A C call that keeps the interpreter lock, while SIGTERM is ignored."""

    def harm(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        re.match(r"(a+)+$", "a" * 60 + "b")


class CloseSockets(Harmful):
    """Closes every descriptor but for its output, and goes on computing nothing."""

    def harm(self):
        os.closerange(3, 4096)
        threading.Event().wait()


class AskForMemory(Harmful):
    """Takes more than it may have."""

    def harm(self):
        self.taken = bytearray(1 << 30)


class Fork(Harmful):
    """Many children, every other one cut loose, none of which heeds SIGTERM."""

    class Params(Params):
        pids: str
        dies: bool

    def harm(self):
        with Path(self.params.pids).open("a") as pids:
            for number in range(CHILDREN):
                self.fork(pids, daemonized=bool(number % 2))
        while len(Path(self.params.pids).read_text().split()) < CHILDREN:
            time.sleep(0.005)  # they are other processes: there is no event to wait for
        if self.params.dies:
            os._exit(5)

    def fork(self, pids, *, daemonized):
        child = os.fork()
        if child:
            if daemonized:
                os.waitpid(child, 0)
            return
        if daemonized:
            os.setsid()
            if os.fork():
                os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(pids.fileno(), f"{os.getpid()}\n".encode())
        while True:
            signal.pause()


class LeaveThreads(Harmful):
    """Threads that never end and would hold back an ordinary program."""

    def harm(self):
        for _ in range(3):
            threading.Thread(target=threading.Event().wait, daemon=False).start()


class HangAtExit(Harmful):
    """Has something called at the end of the interpreter that never returns."""

    def harm(self):
        atexit.register(threading.Event().wait)


class IgnoreTerm(Harmful):
    """Cannot be asked, and does not heed SIGTERM."""

    def harm(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    async def cleanup(self):
        threading.Event().wait()


class Flood(Harmful):
    """Prints as fast as it can, far more than anybody keeps; then says how long that took."""

    def harm(self):
        block = b"".join(b"line %07d of a flood\n" % number for number in range(10_000))
        written = 0
        while written < FLOOD_BYTES:
            written += os.write(1, block)
        sys.stdout.write("the flood is over\n")
        sys.stdout.flush()


class Same(Operator):
    """Does no harm."""

    def process(self, packet, ctx):
        return packet


class Square(Operator):
    """What a session computes."""

    def process(self, packet, ctx):
        return Json(packet.payload.value**2)


OPERATORS = (
    OverflowStack,
    StickInC,
    CloseSockets,
    AskForMemory,
    Fork,
    LeaveThreads,
    HangAtExit,
    IgnoreTerm,
    Flood,
    Same,
    Square,
)


def make_registry():
    registry = Registry()
    for cls in OPERATORS:
        registry.register(cls)
    return registry
