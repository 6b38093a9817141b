"""The work of `benches.bench_hop`, the same for everybody: what is sent, stamped and checked.

A message is a float32 array whose every word is its index, filled anew each time, so that a lost,
repeated, overtaken or overwritten one shows. A hop lasts from a filled array in the producer's
hands (`Sender.stamp`) to an array in the consumer's (`Taker.take`), by the monotonic clock, which
is one for all processes of a machine.

    0 … checked │ measured: only probed │ … total
    by checksum │ (first, middle, last) │ by checksum

Standard library and numpy only: it runs in the environments of the peers.
"""

import time
import zlib
from array import array as numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

PING_PONG = "ping-pong"
PACED = "paced"
SATURATED = "saturated"

PACE_NS = 5_000_000
WORD_BYTES = 4
#: Messages that may be under way, and bytes of theirs, whoever carries them.
WINDOW_MAX = 64
WINDOW_BYTES_MAX = 64 * 1024**2
WINDOW_MIN = 4

Floats = npt.NDArray[np.float32]


class Load(NamedTuple):
    """What one measurement sends.

    Attributes:
        size_bytes: of each message.
        mode: the next one is sent when the last has arrived, every 5 ms, or at once.
        in_place: it is filled where the consumer will read it.
        messages: how many are measured.
        checked: how many before and after them are compared by checksum, unmeasured. Those before
            a saturated run only warm up: checking would let a backlog grow.
    """

    size_bytes: int
    mode: str
    in_place: bool
    messages: int
    checked: int

    @property
    def total(self) -> int:
        """All messages, measured or not."""
        return self.messages + 2 * self.checked

    @property
    def words(self) -> int:
        """Length of the array."""
        return self.size_bytes // WORD_BYTES

    @property
    def window(self) -> int:
        """Messages that may be under way at once."""
        return max(WINDOW_MIN, min(WINDOW_MAX, WINDOW_BYTES_MAX // self.size_bytes))


class Report(NamedTuple):
    """What one side saw.

    Attributes:
        stamps_ns: monotonic time of each message.
        cpu_ns: processor time of its process over the measured ones.
    """

    stamps_ns: list[int]
    cpu_ns: int


class Sender:
    """The producer's part."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._stamps = numbers("q")
        self._cpu = CpuTime(load)

    def fill(self, index: int, empty: Callable[[int], Floats] | None = None) -> Floats:
        """The message of an index, in memory of `empty`, by default fresh memory."""
        self._cpu.reached(index)
        array = np.empty(self._load.words, np.float32) if empty is None else empty(self._load.words)
        array.fill(index)
        return array

    def stamp(self) -> None:
        """The hop begins now."""
        self._stamps.append(time.monotonic_ns())

    def report(self) -> Report:
        """What there is to tell once all are sent."""
        self._cpu.reached(self._load.total)
        return Report(self._stamps.tolist(), self._cpu.taken_ns)


class Taker:
    """The consumer's part."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._stamps = numbers("q")
        self._cpu = CpuTime(load)
        self._checked = range(load.checked + load.messages, load.total)
        self._checked_before = range(0 if load.mode == SATURATED else load.checked)

    def take(self, array: npt.NDArray[Any], now_ns: int) -> None:
        """A hop has ended.

        Raises:
            AssertionError: it is not the message that was due, or was damaged.
        """
        index = len(self._stamps)
        self._cpu.reached(index)
        self._stamps.append(now_ns)
        words = self._load.words
        assert array.dtype == np.float32, f"message {index} came as {array.dtype}"
        assert array.size == words, f"message {index} has {array.size} words, not {words}"
        probes = {float(array[0]), float(array[words // 2]), float(array[-1])}
        assert probes == {float(index)}, f"message {index} was due, got {probes}"
        if index in self._checked or index in self._checked_before:
            expected = zlib.crc32(np.full(words, index, np.float32).data)
            assert zlib.crc32(array.data) == expected, f"message {index} is damaged"

    def report(self) -> Report:
        """What there is to tell once all have come.

        Raises:
            AssertionError: some have not.
        """
        count = len(self._stamps)
        assert count == self._load.total, f"{count} of {self._load.total} messages came"
        self._cpu.reached(count)
        return Report(self._stamps.tolist(), self._cpu.taken_ns)


class CpuTime:
    """Processor time of this process over the measured messages."""

    def __init__(self, load: Load) -> None:
        self._first = load.checked
        self._after = load.checked + load.messages
        self._started_ns = 0
        self.taken_ns = 0

    def reached(self, index: int) -> None:
        """The message of this index is next."""
        if index == self._first:
            self._started_ns = time.process_time_ns()
        elif index == self._after:
            self.taken_ns = time.process_time_ns() - self._started_ns


def produce(
    load: Load,
    send: Callable[[Floats | None], None],
    wait: Callable[[], None],
    empty: Callable[[int], Floats] | None = None,
    *,
    windowed: bool = False,
) -> Report:
    """The producer's loop, for peers that have none of their own.

    Args:
        load: what to send.
        send: sends one message; None: the one that was filled in place.
        wait: waits for the consumer's next answer, that it has taken a message, or half a window.
        empty: memory the consumer will read, for sending in place.
        windowed: the transport has no bound of its own that loses nothing, so that in a saturated
            run the consumer's answers bound what is under way. `consume` must be told the same.
    """
    sender = Sender(load)
    every = _answer_every(load, windowed=windowed)
    due_ns = time.monotonic_ns()
    for index in range(load.total):
        if load.mode == PACED:
            due_ns += PACE_NS
            time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        message: Floats | None = sender.fill(index, empty)
        if empty is not None:
            message = None  # some transports send nothing that is still held here
        sender.stamp()
        send(message)
        # Of a saturated run two halves of a window are under way.
        behind = index + 1 if load.mode == PING_PONG else index + 1 - every
        if every and behind > 0 and behind % every == 0:
            wait()
    return sender.report()


def consume(
    load: Load,
    receive: Callable[[], Floats],
    answer: Callable[[], None],
    *,
    windowed: bool = False,
) -> Report:
    """The consumer's loop; see `produce`."""
    taker = Taker(load)
    every = _answer_every(load, windowed=windowed)
    for count in range(1, load.total + 1):
        message = receive()
        taker.take(message, time.monotonic_ns())
        del message  # what it lies in may be needed for the next one
        if every and count % every == 0:
            answer()
    return taker.report()


def _answer_every(load: Load, *, windowed: bool) -> int:
    """After how many messages the consumer answers; 0: not at all."""
    if load.mode == SATURATED and windowed:
        return load.window // 2
    return int(load.mode == PING_PONG)


def outcome(load: Load, sent: Report, taken: Report, *, other_cpu_ns: int = 0) -> dict[str, Any]:
    """What a measurement gives, as JSON.

    Args:
        load: what was measured.
        sent: the producer's report.
        taken: the consumer's.
        other_cpu_ns: processor time of what else is needed on the way, over all messages.
    """
    measured = slice(load.checked, load.checked + load.messages)
    begun, ended = sent.stamps_ns[measured], taken.stamps_ns[measured]
    assert len(begun) == len(ended) == load.messages
    return {
        "hops_ns": [end - begin for begin, end in zip(begun, ended, strict=True)],
        "seconds": (ended[-1] - ended[0]) / 1e9 * load.messages / (load.messages - 1),
        "producer_cpu_ns": sent.cpu_ns / load.messages,
        "consumer_cpu_ns": taken.cpu_ns / load.messages,
        "other_cpu_ns": other_cpu_ns / load.total,
    }
