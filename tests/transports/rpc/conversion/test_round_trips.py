"""Whatever a payload says comes back from the wire as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.packet import NO_METADATA, Origin, Packet, Source
from engine.payloads import (
    Audio,
    BatchHint,
    Binary,
    CancelSpeculation,
    Control,
    DeadlineWarning,
    File,
    Json,
    Tensor,
    Text,
    Video,
)
from protos.remotemedia.v1 import common_pb2
from transports.rpc.conversion.buffers import ARRAY_FORM, InputRules, fill, receive

RULES = InputRules()
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
u64 = st.integers(0, 2**64 - 1)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def audio(draw):
    dtype = draw(st.sampled_from([np.float32, np.int16, np.int32]))
    shape = (draw(st.integers(0, 20)), draw(st.integers(1, 8)))
    return Audio(draw(hnp.arrays(dtype, shape)), draw(st.integers(1, 2**32 - 1)))


@st.composite
def video(draw):
    kind = draw(st.sampled_from(["rgb24", "rgba32", "gray8", "yuv420p", "i420", "nv12", "encoded"]))
    width, height = 2 * draw(st.integers(1, 4)), 2 * draw(st.integers(1, 4))
    sizes = {"rgb24": 3.0, "rgba32": 4.0, "gray8": 1.0, "encoded": 0.25}
    size = int(width * height * sizes.get(kind, 1.5))
    return Video(
        draw(st.binary(min_size=size, max_size=size)),
        kind,
        width,
        height,
        draw(u64),
        draw(st.sampled_from(["vp8", "h264", "av1"])) if kind == "encoded" else "",
        draw(st.booleans()),
    )


dtypes = st.sampled_from(
    ["bool", "float16", "float32", "float64", "complex64", "complex128"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)
tensors = st.builds(
    Tensor,
    dtypes.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))),
    st.just(""),
)
spans = st.tuples(st.integers(0, 2**50), st.integers(0, 2**50)).map(
    lambda pair: CancelSpeculation(min(pair) * 1_000, max(pair) * 1_000)
)
controls = st.builds(
    Control,
    spans | st.builds(BatchHint, st.integers(1, 2**32 - 1)) | st.builds(DeadlineWarning, u64),
    words,
    u64,
    json_values,
)
payloads = st.one_of(
    audio(),
    video(),
    tensors,
    st.builds(Text, words, words, words.filter(bool)),
    st.builds(Json, json_values, words),
    st.builds(Binary, st.binary(max_size=50), words),
    st.builds(File, words.filter(bool), words, words, st.just(0), u64, u64, words),
    controls,
)


def packet_of(payload, metadata=NO_METADATA, timestamp_ns=0):
    return Packet(payload, Source("n"), "", 0, Origin("s", 0, timestamp_ns, 0, metadata=metadata))


def wire(packet):
    buffer = common_pb2.DataBuffer()
    kind = fill(buffer, packet)
    assert buffer.WhichOneof("data_type") == kind
    return common_pb2.DataBuffer.FromString(buffer.SerializeToString())


def as_sent(payload):
    """What a payload is once it has been on the wire: audio is float32 there."""
    scales = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}
    if isinstance(payload, Audio) and payload.samples.dtype in scales:
        scale = scales[payload.samples.dtype]
        return Audio((payload.samples / scale).astype(np.float32), payload.sample_rate)
    return payload


def same(payload, other):
    if type(payload) is Tensor:
        bits = payload.array.tobytes() == other.array.tobytes()
        return (
            bits
            and payload.array.dtype == other.array.dtype
            and payload.array.shape == other.array.shape
            and payload.layout == other.layout
        )
    if type(payload) is Audio:
        return (
            payload.sample_rate == other.sample_rate
            and payload.samples.shape == other.samples.shape
            and payload.samples.tobytes() == other.samples.tobytes()
        )
    return payload == other


@given(payloads, st.dictionaries(words, words, max_size=3))
def test_payloads_and_their_metadata_survive(payload, metadata):
    received = receive(wire(packet_of(payload, metadata)), RULES)
    assert type(received.payload) is type(payload)
    assert same(as_sent(payload), received.payload)
    metadata_of_ours = {key: value for key, value in received.metadata.items() if key == ARRAY_FORM}
    assert received.metadata == {**metadata, **metadata_of_ours}


@given(payloads)
def test_what_was_received_can_be_sent_again_as_the_same_message(payload):
    first = wire(packet_of(payload))
    received = receive(first, RULES)
    time_ns = received.timestamp_ns or 0
    again = wire(packet_of(received.payload, received.metadata, time_ns))
    assert again.SerializeToString(deterministic=True) == first.SerializeToString(
        deterministic=True
    )


@given(hnp.arrays(np.float32, hnp.array_shapes()))
def test_an_array_that_came_as_numpy_leaves_as_numpy(array):
    buffer = common_pb2.DataBuffer(
        numpy=common_pb2.NumpyBuffer(
            data=array.tobytes(), shape=array.shape, dtype="float32", c_contiguous=True
        )
    )
    received = receive(buffer, RULES)
    sent = wire(packet_of(received.payload, received.metadata))
    assert sent.WhichOneof("data_type") == "numpy"
    assert sent.numpy.data == array.tobytes()
    assert sent.numpy.dtype == "float32"
    assert not sent.metadata


@given(
    hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=3)),
    st.sampled_from(["memory", "elements", "columns"]),
    st.randoms(),
)
def test_strides_and_flags_say_where_the_elements_of_an_array_are(array, form, random):
    axes = list(range(array.ndim))
    random.shuffle(axes)
    view = array.transpose(axes)
    message = common_pb2.NumpyBuffer(shape=view.shape, dtype="int32")
    if form == "memory":
        message.data, strides = array.tobytes(), view.strides
        message.strides.extend(strides)
    elif form == "elements":  # what numpy's tobytes gives, with the strides of what was cut out
        message.data = view.tobytes()
        message.strides.extend(stride * 2 for stride in view.strides)
    else:
        message.data = np.asfortranarray(view).tobytes(order="A")
        message.f_contiguous = True
    received = receive(common_pb2.DataBuffer(numpy=message), RULES)
    assert np.array_equal(received.payload.array, view)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("grüß", "utf-16"), ("grüß", "UTF-8"), ("grüß", "latin1"), ("plain", "ASCII")],
)
def test_text_arrives_in_its_encoding_and_leaves_in_utf_8(text, encoding):
    buffer = common_pb2.DataBuffer(
        text=common_pb2.TextBuffer(text_data=text.encode(encoding), encoding=encoding)
    )
    received = receive(buffer, RULES)
    assert received.payload == Text(text, "", "tts")
    assert wire(packet_of(received.payload)).text.text_data == text.encode()


def test_annotations_of_audio_come_back_where_they_were():
    buffer = common_pb2.DataBuffer(
        audio=common_pb2.AudioBuffer(
            samples=bytes(8), sample_rate=8_000, metadata_json=b'{"speaker": 1}'
        )
    )
    received = receive(buffer, RULES)
    sent = wire(packet_of(received.payload, received.metadata))
    assert sent.audio.metadata_json == b'{"speaker": 1}'
    assert not sent.metadata
    assert not wire(packet_of(received.payload)).audio.HasField("metadata_json")


def test_the_time_of_a_video_frame_is_its_packets():
    frame = Video(bytes(12), "rgb24", 2, 2)
    sent = wire(packet_of(frame, timestamp_ns=40_000_000))
    assert sent.video.timestamp_us == 40_000
    assert receive(sent, RULES).timestamp_ns == 40_000_000


def test_a_span_of_a_control_message_is_in_microseconds_on_the_wire():
    message = wire(packet_of(Control(CancelSpeculation(1_500, 2_500)))).control
    assert message.cancel_speculation.from_timestamp == 1
    assert message.cancel_speculation.to_timestamp == 3
    received = receive(common_pb2.DataBuffer(control=message), RULES)
    assert received.payload.message == CancelSpeculation(1_000, 3_000)


def test_a_table_leaves_as_an_arrow_stream():
    import pyarrow as pa

    from engine.payloads import Table

    batch = pa.RecordBatch.from_pydict({"a": [1, 2], "b": ["x", "y"]})
    buffer = common_pb2.DataBuffer()
    assert fill(buffer, packet_of(Table(batch))) == "binary"
    assert buffer.binary.mime_type == "application/vnd.apache.arrow.stream"
    assert pa.ipc.open_stream(buffer.binary.data).read_next_batch().equals(batch)
