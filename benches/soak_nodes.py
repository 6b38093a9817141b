"""The three nodes of `benches.bench_soak_edge`: a source, a relay and a slow sink.

    source ══edge══▶ relay ══edge══▶ sink ══edge══▶ (reports)
    makes packets    checks, holds   checks, holds
                     some, passes on some, is slow

A packet is a tensor of a random dtype, shape and content, in whose front its index and a checksum
of the rest stand. All randomness comes from the seed.
"""

from __future__ import annotations

import random
import time
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from remotemedia import Json, Operator, Params, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from remotemedia import Context, Packet

DTYPES = tuple(
    np.dtype(name)
    for name in ("uint8", "int16", "int32", "int64", "float32", "float64", "complex128")
)
#: Index and checksum.
FRONT_BYTES = 16
WORD_BYTES_MAX = 16
#: Upper ends of the sizes, and how often each comes.
SIZE_BYTES_MAX = (1024, 64 * 1024, 1024**2, 16 * 1024**2)
SIZE_WEIGHTS = (40, 40, 15, 5)
#: Every how manieth packet is held back by a node while others pass, and for how many packets.
HOLD_EVERY = 10
HELD_MAX = 8
#: Every how manieth packet the sink sleeps over, and how long at most.
SLOW_EVERY = 20
SLOW_S_MAX = 0.004


class SoakParams(Params):
    """How much is sent."""

    total_bytes: int = Field(gt=0, description="payload bytes to send")
    seed: int = Field(description="of all that is random")


class SoakSource(Operator):
    """Makes packets until there are enough bytes, half of them in place, and says how many."""

    Params = SoakParams
    default_executor = "process"

    def process(self, packet: Packet, ctx: Context) -> Iterator[Tensor | Json]:
        """See `Operator`."""
        chance = random.Random(self.params.seed)
        noise = np.frombuffer(chance.randbytes(SIZE_BYTES_MAX[-1] + 1024**2), np.uint8)
        sent_bytes = index = 0
        while sent_bytes < self.params.total_bytes:
            tensor = _packet(index, chance, noise, ctx)
            sent_bytes += tensor.array.nbytes
            index += 1
            yield tensor
        yield Json({"packets": index, "bytes": sent_bytes})


class SoakCheck(Operator):
    """Checks what comes, and says at the end what it saw, behind the reports from before it."""

    Params = SoakParams
    default_executor = "process"
    #: Makes each stage's chances its own.
    salt = 0

    async def initialize(self, ctx: Context) -> None:
        """See `Operator`."""
        self._check = Check(self.params.seed + self.salt)

    def process(self, packet: Packet, ctx: Context) -> Packet | None:
        """See `Operator`."""
        if isinstance(packet.payload, Json):
            return packet
        self._check.take(packet.expect(Tensor).array)
        return self.handle(packet)

    def handle(self, packet: Packet) -> Packet | None:
        """What becomes of a packet that has been checked."""
        raise NotImplementedError

    def flush(self, ctx: Context) -> Json:
        """Its report."""
        return Json(self._check.report())


class SoakRelay(SoakCheck):
    """Passes everything on."""

    salt = 1

    def handle(self, packet: Packet) -> Packet:
        """See `SoakCheck`."""
        return packet


class SoakSink(SoakCheck):
    """Is slow, and passes on reports only."""

    salt = 2

    async def initialize(self, ctx: Context) -> None:
        """See `Operator`."""
        await super().initialize(ctx)
        self._chance = random.Random(self.params.seed)

    def handle(self, packet: Packet) -> None:
        """See `SoakCheck`."""
        if self._chance.randrange(SLOW_EVERY) == 0:
            time.sleep(self._chance.random() * SLOW_S_MAX)


class Check:
    """Counts what is wrong with packets, and holds on to some of their arrays.

    What was held is checked again when it is let go: nobody may have written into it.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        #: Whole arrays and slices of such, each with its checksum when it came.
        self._held: deque[tuple[int, npt.NDArray[Any]]] = deque()
        self._next = 0
        self._seen_late: set[int] = set()
        self._counts = dict.fromkeys(
            ("packets", "bytes", "lost", "repeated", "disordered", "damaged", "held"), 0
        )

    def take(self, array: npt.NDArray[Any]) -> None:
        """Look at the next packet."""
        counts = self._counts
        counts["packets"] += 1
        counts["bytes"] += array.nbytes
        index, sound = _look_at(array)
        counts["damaged"] += not sound
        if sound:
            self._count_order(index)
        if self._chance.randrange(HOLD_EVERY) == 0:
            counts["held"] += 1
            view = array[:: self._chance.randint(1, 2)]
            self._held.append((_checksum(view), view))
        while len(self._held) > HELD_MAX:
            self._let_go()

    def report(self) -> dict[str, int]:
        """What was counted, once all has come."""
        while self._held:
            self._let_go()
        return self._counts

    def _count_order(self, index: int) -> None:
        counts = self._counts
        if index >= self._next:
            counts["lost"] += index - self._next
            self._seen_late.update(range(self._next, index))
            self._next = index + 1
        elif index in self._seen_late:  # missed before, so it was only overtaken
            self._seen_late.remove(index)
            counts["lost"] -= 1
            counts["disordered"] += 1
        else:
            counts["repeated"] += 1

    def _let_go(self) -> None:
        checksum, view = self._held.popleft()
        self._counts["damaged"] += _checksum(view) != checksum


def _packet(
    index: int, chance: random.Random, noise: npt.NDArray[np.uint8], ctx: Context
) -> Tensor:
    """A packet: index, checksum, noise."""
    dtype = chance.choice(DTYPES)
    size_bytes = chance.randint(0, chance.choices(SIZE_BYTES_MAX, SIZE_WEIGHTS)[0])
    size_bytes = (FRONT_BYTES + size_bytes) // WORD_BYTES_MAX * WORD_BYTES_MAX
    shape = (size_bytes // dtype.itemsize,)
    array = ctx.empty(shape, dtype) if chance.random() < 0.5 else np.empty(shape, dtype)
    flat = array.view(np.uint8)
    start = chance.randrange(1024**2)
    flat[FRONT_BYTES:] = noise[start : start + size_bytes - FRONT_BYTES]
    flat[:8].view(np.int64)[0] = index
    flat[8:FRONT_BYTES].view(np.int64)[0] = zlib.crc32(flat[FRONT_BYTES:].data, index)
    del flat  # the payload takes over an array that nobody else can write
    return Tensor(array)


def _checksum(view: npt.NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(view).view(np.uint8).data)


def _look_at(array: npt.NDArray[Any]) -> tuple[int, bool]:
    """A packet's index, and whether its checksum holds."""
    flat = array.view(np.uint8)
    index = int(flat[:8].view(np.int64)[0])
    expected = int(flat[8:FRONT_BYTES].view(np.int64)[0])
    return index, zlib.crc32(flat[FRONT_BYTES:].data, index & 0xFFFFFFFF) == expected
