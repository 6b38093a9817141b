"""A hop by iceoryx2, with an event to wake the consumer; see `benches.peers`.

Two ways: "raw", the array's bytes, and "arrow", an Arrow IPC stream. In place the array is filled
inside the loaned sample; the stream's head, the same for all arrays of one length, is then put
around it, so that sending copies nothing.
"""

import ctypes
import time
import uuid
from typing import Any

import iceoryx2  # type: ignore[import-not-found]
import numpy as np
import pyarrow as pa
from answering import serve  # type: ignore[import-not-found]
from hop_work import (  # type: ignore[import-not-found]
    WORD_BYTES,
    Floats,
    Load,
    Report,
    consume,
    produce,
)
from offline import stand_alone  # type: ignore[import-not-found]
from two_sides import MESSAGE_TIMEOUT_S, Shared, measure  # type: ignore[import-not-found]

SCHEMA = pa.schema([pa.field("values", pa.float32())])
ALIGNMENT_BYTES = 64
END_BYTES = 8  # an Arrow stream's end marker
#: A wake-up that gets lost must not stop the run: the next look finds the message.
LOOK_AGAIN = iceoryx2.Duration.from_millis(100)


class Raw:
    """The array's bytes, nothing else."""

    def __init__(self, load: Load) -> None:
        self.size_bytes = load.size_bytes
        self._words = load.words

    def prepare(self, slot: memoryview) -> Floats:
        """An array inside a slot."""
        return np.frombuffer(slot, np.float32, self._words)

    def write(self, array: Floats, slot: memoryview) -> None:
        """Copy an array into a slot."""
        np.frombuffer(slot, np.float32, self._words)[:] = array

    def read(self, slot: memoryview) -> Floats:
        """The array in a slot."""
        return np.frombuffer(slot, np.float32, self._words)


class Arrow(Raw):
    """An Arrow IPC stream of one record batch."""

    def __init__(self, load: Load) -> None:
        super().__init__(load)
        example = pa.BufferOutputStream()
        self._stream_to(example, np.zeros(load.words, np.float32))
        stream = example.getvalue().to_pybytes()
        body_bytes = -(-load.words * WORD_BYTES // 8) * 8
        self.size_bytes = len(stream)
        self._body = len(stream) - END_BYTES - body_bytes
        self._head = stream[: self._body]
        self._end = stream[-END_BYTES:]

    def prepare(self, slot: memoryview) -> Floats:
        """See `Raw`."""
        slot[: self._body] = self._head
        slot[-END_BYTES:] = self._end
        return np.frombuffer(slot, np.float32, self._words, self._body)

    def write(self, array: Floats, slot: memoryview) -> None:
        """See `Raw`."""
        self._stream_to(pa.FixedSizeBufferWriter(pa.py_buffer(slot)), array)

    def read(self, slot: memoryview) -> Floats:
        """See `Raw`."""
        batch = pa.ipc.open_stream(pa.py_buffer(slot)).read_next_batch()
        column: Floats = batch.column(0).to_numpy(zero_copy_only=True)
        return column

    @staticmethod
    def _stream_to(sink: Any, array: Floats) -> None:
        batch = pa.record_batch([pa.array(array)], schema=SCHEMA)
        with pa.ipc.new_stream(sink, SCHEMA) as writer:
            writer.write_batch(batch)


class Ports:
    """One side's node and services, by name."""

    def __init__(self, name: str, load: Load) -> None:
        self._node = iceoryx2.NodeBuilder.new().create(iceoryx2.ServiceType.Ipc)
        self.data = (
            self._service(f"{name}/data")
            .publish_subscribe(iceoryx2.Slice[ctypes.c_uint8])
            .payload_alignment(iceoryx2.Alignment.new(ALIGNMENT_BYTES))
            .enable_safe_overflow(False)
            .subscriber_max_buffer_size(load.window)
            .open_or_create()
        )
        self.wake = self._service(f"{name}/wake").event().open_or_create()
        self.back = self._service(f"{name}/back").event().open_or_create()

    def _service(self, name: str) -> Any:
        return self._node.service_builder(iceoryx2.ServiceName.new(name))


class Sending:
    """The producer's side."""

    def __init__(self, ports: Ports, form: Raw) -> None:
        self._form = form
        self._publisher = (
            ports.data.publisher_builder().initial_max_slice_len(form.size_bytes).create()
        )
        self._notifier = ports.wake.notifier_builder().create()
        self._listener = ports.back.listener_builder().create()
        self._sample: Any = None
        self._answers = 0

    def empty(self, words: int) -> Floats:
        """An array in the next sample."""
        del words
        self._sample = self._publisher.loan_slice_uninit(self._form.size_bytes)
        return self._form.prepare(self._sample.payload().as_memory_view().cast("B"))

    def send(self, array: Floats | None) -> None:
        """Send an array by copy, or the sample that `empty` has loaned."""
        sample, self._sample = self._sample, None
        if array is not None:
            sample = self._publisher.loan_slice_uninit(self._form.size_bytes)
            self._form.write(array, sample.payload().as_memory_view().cast("B"))
        sample.assume_init().send()
        self._notifier.notify()

    def wait(self) -> None:
        """Wait for the consumer's next answer."""
        waiting_since_s = time.monotonic()
        while not self._answers:
            check_time(waiting_since_s)
            self._answers += sum(event.count for event in self._listener.timed_wait(LOOK_AGAIN))
        self._answers -= 1


class Taking:
    """The consumer's side."""

    def __init__(self, ports: Ports, form: Raw) -> None:
        self._form = form
        self._subscriber = ports.data.subscriber_builder().create()
        self._listener = ports.wake.listener_builder().create()
        self._notifier = ports.back.notifier_builder().create()
        self._sample: Any = None

    def receive(self) -> Floats:
        """The next array; valid until the next call."""
        if self._sample is not None:
            self._sample.delete()
        waiting_since_s = time.monotonic()
        while (sample := self._subscriber.receive()) is None:
            check_time(waiting_since_s)
            self._listener.timed_wait(LOOK_AGAIN)
        self._sample = sample
        return self._form.read(sample.payload().as_memory_view().cast("B"))

    def answer(self) -> None:
        """Tell the producer what has been taken."""
        self._notifier.notify()


def check_time(waiting_since_s: float) -> None:
    """Raise TimeoutError after too long a wait."""
    if time.monotonic() - waiting_since_s > MESSAGE_TIMEOUT_S:
        raise TimeoutError(f"nothing came for {MESSAGE_TIMEOUT_S:g} s")


def run(kind: str, load: list[Any]) -> dict[str, Any]:
    """Measure one load by "raw" or "arrow"."""
    asked = Load(*load)
    name = f"remotemedia-bench/{uuid.uuid4().hex}"

    # The publisher's memory must live until the consumer has taken the last message.
    sides: list[Any] = []

    def sending(_: Any) -> Report:
        side = Sending(Ports(name, asked), FORMS[kind](asked))
        sides.append(side)
        empty = side.empty if asked.in_place else None
        return produce(asked, side.send, side.wait, empty, windowed=True)

    def taking(shared: Shared) -> Report:
        side = Taking(Ports(name, asked), FORMS[kind](asked))
        shared.ready()
        return consume(asked, side.receive, side.answer, windowed=True)

    return dict(measure(asked, sending, taking, None))


FORMS = {"raw": Raw, "arrow": Arrow}

if __name__ == "__main__":
    stand_alone("/tmp/iceoryx2")  # noqa: S108 - where it keeps its records
    iceoryx2.set_log_level(iceoryx2.LogLevel.Error)
    serve(run)
