"""What clients may leave out, and what each wrong buffer is answered with."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.errors import ResourceLimitError
from engine.packet import Origin, Packet, Source
from engine.payloads import Audio, Json, Text
from protos.remotemedia.v1 import common_pb2 as wire
from transports.rpc.conversion.buffers import InputRules, fill, receive
from transports.rpc.errors import InputError

RULES = InputRules()
HINT = wire.BatchHint(suggested_batch_size=2)


def audio(**fields):
    return wire.DataBuffer(audio=wire.AudioBuffer(sample_rate=16_000, **fields))


# --- leniency ---------------------------------------------------------------------------------


def test_audio_without_format_and_channels_is_mono_float32():
    samples = np.linspace(-1, 1, 7, dtype="<f4")
    received = receive(audio(samples=samples.tobytes(), num_samples=7), RULES).payload
    assert received == Audio(samples.copy(), 16_000)
    assert received.channels == 1


def test_audio_without_num_samples_has_as_many_as_there_are():
    received = receive(audio(samples=bytes(24), channels=2), RULES).payload
    assert received.samples.shape == (3, 2)


@pytest.mark.parametrize(
    ("number", "dtype", "scale"),
    [(wire.AUDIO_FORMAT_I16, "<i2", 32_768), (wire.AUDIO_FORMAT_I32, "<i4", 2_147_483_648)],
)
def test_integer_audio_is_scaled_by_its_full_scale(number, dtype, scale):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    samples = np.array([low, -1, 0, 1, high], dtype)
    buffer = audio(samples=samples.tobytes(), num_samples=5, channels=1, format=number)
    received = receive(buffer, RULES).payload
    assert received.samples.dtype == np.float32
    expected = np.array([float(sample) / scale for sample in samples], np.float32)
    assert np.array_equal(received.samples[:, 0], expected)
    assert received.samples[0, 0] == -1


def test_text_without_a_channel_is_for_the_ear():
    received = receive(wire.DataBuffer(text=wire.TextBuffer(text_data=b"hi")), RULES)
    assert received.payload == Text("hi", "", "tts")


def test_numbers_of_numpy_become_those_of_json():
    value = {"a": np.float32(0.5), "b": np.arange(3), "c": "\ud800"}
    buffer = wire.DataBuffer()
    fill(buffer, Packet(Json(value), Source("n"), "", 0, Origin("s", 0, 0, 0)))
    assert json.loads(buffer.json.json_payload) == {"a": 0.5, "b": [0, 1, 2], "c": "\ud800"}


# --- faults -----------------------------------------------------------------------------------

FAULTS = {
    "no kind": (wire.DataBuffer(metadata={"a": "b"}), "DataBuffer is empty"),
    "audio too short": (audio(samples=bytes(12), num_samples=4), "has 12 bytes, and 4 samples"),
    "audio of half a sample": (audio(samples=bytes(6)), "has 6 bytes, and 1 samples of F32 is 4"),
    "int16 as float32": (
        audio(samples=bytes(8), num_samples=4, format=wire.AUDIO_FORMAT_F32),
        "4 samples of F32 is 16 bytes",
    ),
    "no whole frames": (audio(samples=bytes(12), channels=2), "no whole frames of 2 channels"),
    "a rate that no process takes": (
        wire.DataBuffer(audio=wire.AudioBuffer(samples=bytes(4), sample_rate=2**31)),
        "a sample rate of 2147483648 Hz is above",
    ),
    "too many channels": (audio(samples=bytes(4_000), channels=1_000), "1 to 256 channels"),
    "no sample rate": (
        wire.DataBuffer(audio=wire.AudioBuffer(samples=bytes(4))),
        "sample_rate must be at least 1 Hz",
    ),
    "unknown audio format": (audio(samples=bytes(4), format=9), "no format 9"),
    "annotations": (audio(samples=bytes(4), metadata_json=b"\xff"), "metadata_json is not UTF-8"),
    "no width": (
        wire.DataBuffer(video=wire.VideoFrame(height=2, format=1)),
        "must be at least 1, got 0 × 2",
    ),
    "no height": (
        wire.DataBuffer(video=wire.VideoFrame(width=2, format=1)),
        "must be at least 1, got 2 × 0",
    ),
    "video too short": (
        wire.DataBuffer(video=wire.VideoFrame(pixel_data=bytes(11), width=2, height=2, format=1)),
        "has 12 bytes, got 11",
    ),
    "odd planes": (
        wire.DataBuffer(video=wire.VideoFrame(pixel_data=bytes(13), width=3, height=3, format=3)),
        "even width and height",
    ),
    "no pixel format": (
        wire.DataBuffer(video=wire.VideoFrame(pixel_data=bytes(12), width=2, height=2)),
        "no pixel format 0",
    ),
    "encoded without a codec": (
        wire.DataBuffer(video=wire.VideoFrame(pixel_data=b"x", width=2, height=2, format=255)),
        "needs a codec",
    ),
    "unknown codec": (
        wire.DataBuffer(video=wire.VideoFrame(pixel_data=b"x", width=2, height=2, codec=77)),
        "no codec 77",
    ),
    "video without end": (
        wire.DataBuffer(
            video=wire.VideoFrame(
                pixel_data=b"x", width=2, height=2, codec=1, timestamp_us=2**64 - 1
            )
        ),
        "later than any time",
    ),
    "tensor too short": (
        wire.DataBuffer(tensor=wire.TensorBuffer(data=bytes(5), shape=[2], dtype=1)),
        "has 5 bytes, and (2,) of float32 is 8 bytes",
    ),
    "no dtype": (wire.DataBuffer(tensor=wire.TensorBuffer(data=bytes(4), shape=[1])), "no dtype 0"),
    "huge empty shape": (
        wire.DataBuffer(tensor=wire.TensorBuffer(shape=[0, 2**63, 2**63], dtype=1)),
        "tensor: ",
    ),
    "many axes": (
        wire.DataBuffer(tensor=wire.TensorBuffer(data=bytes(4), shape=[1] * 65, dtype=1)),
        "65 axes",
    ),
    "array of objects": (
        wire.DataBuffer(numpy=wire.NumpyBuffer(data=bytes(8), shape=[1], dtype="O")),
        "no dtype of numbers",
    ),
    "array of records": (
        wire.DataBuffer(numpy=wire.NumpyBuffer(data=bytes(8), shape=[1], dtype="f4,f4")),
        "no dtype of numbers",
    ),
    "array of a long name": (
        wire.DataBuffer(numpy=wire.NumpyBuffer(data=bytes(8), shape=[1], dtype="f" * 5_000)),
        "no dtype of numbers",
    ),
    "array too short": (
        wire.DataBuffer(numpy=wire.NumpyBuffer(data=bytes(8), shape=[3], dtype="float32")),
        "has 8 bytes",
    ),
    "one number a thousand times": (
        wire.DataBuffer(
            numpy=wire.NumpyBuffer(data=bytes(4), shape=[1_000], dtype="float32", strides=[0])
        ),
        "has 4 bytes",
    ),
    "not JSON": (wire.DataBuffer(json=wire.JsonData(json_payload="{")), "json_payload is not JSON"),
    "empty JSON": (wire.DataBuffer(json=wire.JsonData()), "json_payload is not JSON"),
    "NaN": (wire.DataBuffer(json=wire.JsonData(json_payload="[NaN]")), "NaN is no JSON value"),
    "number beyond floats": (
        wire.DataBuffer(json=wire.JsonData(json_payload="[1, -1e999]")),
        "the number -1e999 is too large for a float",
    ),
    "deep JSON": (
        wire.DataBuffer(json=wire.JsonData(json_payload="[" * 100_000)),
        "json: json_payload",
    ),
    "not UTF-8": (
        wire.DataBuffer(text=wire.TextBuffer(text_data=b"ab\xff")),
        "not utf-8: invalid start byte at byte 2",
    ),
    "unknown encoding": (
        wire.DataBuffer(text=wire.TextBuffer(text_data=b"ab", encoding="rot13")),
        "'rot13' is not known",
    ),
    "no path": (wire.DataBuffer(file=wire.FileBuffer(filename="a")), "path must not be empty"),
    "part outside the file": (
        wire.DataBuffer(file=wire.FileBuffer(path="a", size=1, offset=1, length=1)),
        "of a file of 1 bytes",
    ),
    "no control message": (
        wire.DataBuffer(control=wire.ControlMessage(segment_id="a")),
        "none of its messages is set",
    ),
    "span backwards": (
        wire.DataBuffer(
            control=wire.ControlMessage(
                cancel_speculation=wire.CancelSpeculation(from_timestamp=2, to_timestamp=1)
            )
        ),
        "lies behind",
    ),
    "deep control metadata": (
        wire.DataBuffer(control=wire.ControlMessage(batch_hint=HINT, metadata="[" * 65 + "]" * 65)),
        "control: metadata is nested more than 64 levels deep",
    ),
    "control metadata beyond floats": (
        wire.DataBuffer(control=wire.ControlMessage(batch_hint=HINT, metadata='{"a": 1e999}')),
        "control: metadata: the number 1e999 is too large for a float",
    ),
    "long metadata": (
        wire.DataBuffer(text=wire.TextBuffer(), metadata={"a": "b" * 20_000}),
        "metadata may have 16384 bytes",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_buffer_is_refused_with_a_sentence_that_says_what(name):
    buffer, text = FAULTS[name]
    with pytest.raises(InputError) as caught:
        receive(buffer, RULES)
    assert text in caught.value.message


def test_more_audio_than_allowed_is_a_limits_error():
    rules = InputRules(audio_samples_max=10)
    assert receive(audio(samples=bytes(40)), rules).payload.frames == 10
    with pytest.raises(ResourceLimitError, match="11 samples, and 10 are allowed") as caught:
        receive(audio(samples=bytes(44)), rules)
    assert caught.value.context["limit"] == 10


def test_more_lists_and_objects_than_allowed_are_a_limits_error():
    rules = InputRules(json_containers_max=3)

    def received(text):
        return receive(wire.DataBuffer(json=wire.JsonData(json_payload=text)), rules).payload.value

    assert received('[{"a": []}, 1, 2, 3, 4]') == [{"a": []}, 1, 2, 3, 4]
    with pytest.raises(ResourceLimitError, match="4 lists and objects, and 3 are") as caught:
        received('[{"a": []}, [], 1]')
    assert (caught.value.context["limit"], caught.value.context["requested"]) == (3, 4)
    metadata = wire.ControlMessage(batch_hint=HINT, metadata="[[], [], [[]]]")
    with pytest.raises(ResourceLimitError, match="control: metadata has 5 lists"):
        receive(wire.DataBuffer(control=metadata), rules)


def test_control_metadata_may_be_nested_so_deep():
    text = "[" * 64 + "]" * 64
    hint = wire.ControlMessage(batch_hint=HINT, metadata=text)
    payload = receive(wire.DataBuffer(control=hint), RULES).payload
    assert json.dumps(payload.metadata) == text


def test_a_files_path_may_be_refused():
    def refuse(file):
        raise InputError(f"{file.path} is not allowed here")

    buffer = wire.DataBuffer(file=wire.FileBuffer(path="/etc/passwd"))
    with pytest.raises(InputError, match="/etc/passwd is not allowed here"):
        receive(buffer, InputRules(allow_file=refuse))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_a_value_that_json_cannot_say_does_not_leave(value):
    packet = Packet(Json(value), Source("n"), "", 0, Origin("s", 0, 0, 0))
    with pytest.raises((ValueError, TypeError)):
        fill(wire.DataBuffer(), packet)
