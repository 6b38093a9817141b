"""What old nodes take as plain values, and what becomes of what they give."""

import json

import numpy as np
import pytest

from engine.packet import Origin, Packet, Source
from engine.payloads import Audio, Binary, Json, Tensor, Text, Video
from remotemedia.core._compat.native import native_data
from remotemedia.core._compat.outgoing import outputs_of, rate_of
from remotemedia.core.node import RuntimeData

RAMP = np.linspace(-1, 1, 6, dtype=np.float32)


def packet(payload, **metadata):
    return Packet(payload, Source("in"), "in", 0, Origin("s", 3, 0, 0, metadata=metadata))


def native(payload, **entries):
    return native_data(payload, entries, "s", 0.0)


def given(value, *, to=None, rate=None):
    """(payload, metadata) of what becomes of a value."""
    source = packet(Text("in"), a="1") if to is None else to
    return [
        (output.payload, dict(output.metadata)) if isinstance(output, Packet) else (output, None)
        for output in outputs_of(value, source, rate)
    ]


# ---------------------------------------------------------------------------------- both at once


@pytest.mark.parametrize("value", [{"value": 1}, [1, {"a": 2}], "text", 7, 2.5, True, False])
def test_a_json_value_is_itself_and_runtime_data(value):
    data = native(Json(value, "thing"))
    assert data == value
    assert isinstance(data, RuntimeData)
    assert data.is_json()
    assert data.as_json() == value
    assert type(data.as_json()) is type(value)
    assert json.loads(json.dumps(data)) == value
    assert repr(data) == repr(value)
    assert given(data) == [(Json(value, "thing"), None)]


def test_null_is_runtime_data_alone():
    data = native(Json(None))
    assert data.is_json()
    assert data.as_json() is None
    assert given(data) == [(Json(None), None)]


def test_text_and_bytes_are_themselves_and_runtime_data():
    text = native(Text("abc", "en", "ui"))
    assert (text.upper(), text.as_text(), text.metadata.language) == ("ABC", "abc", "en")
    assert given(text) == [(Text("abc", "en", "ui"), None)]
    data = native(Binary(b"ab", "x/y"))
    assert (data[0], data.as_binary(), data.mime_type) == (97, b"ab", "x/y")
    assert given(data) == [(Binary(b"ab", "x/y"), None)]


def test_audio_is_a_pair_with_the_channels_first():
    data = native(Audio(RAMP.reshape(3, 2), 8000))
    samples, rate = data
    assert (samples.shape, rate, data.as_numpy().shape) == ((2, 3), 8000, (3, 2))
    samples *= 2
    assert np.array_equal(given(data)[0][0].samples, RAMP.reshape(3, 2) * 2)
    mono, _ = native(Audio(RAMP, 8000))
    assert mono.shape == (6,)


def test_video_and_tensors_are_runtime_data_alone():
    frame = native(Video(np.zeros((2, 2, 3), np.uint8)))
    assert type(frame) is RuntimeData
    assert np.asarray(native(Tensor(RAMP))).shape == (6,)


def test_what_is_changed_in_a_dict_or_list_is_handed_on():
    original = {"list": [1], "n": 1}
    data = native(Json(original))
    data["n"] = 2
    data.payload["m"] = 3
    data["list"].append(4)
    assert given(data) == [(Json({"list": [1, 4], "n": 2, "m": 3}), None)]
    assert original == {"list": [1], "n": 1}
    items = native(Json([1]))
    items.payload = [2, 3]
    assert given(items) == [(Json([2, 3]), None)]


# ----------------------------------------------------------------------------------------- outputs


@pytest.mark.parametrize(
    ("value", "payload"),
    [
        ("a", Text("a")),
        (b"a", Binary(b"a")),
        (bytearray(b"a"), Binary(b"a")),
        ({"a": (1, 2)}, Json({"a": [1, 2]})),
        ([1, 2], Json([1, 2])),
        ([], Json([])),
        (7, Json(7)),
        (False, Json(False)),
        (np.float32(0.5), Json(0.5)),
        (np.eye(2), Tensor(np.eye(2))),
        ((RAMP, 8000), Audio(RAMP, 8000)),
        ([RAMP.reshape(2, 3), 8000.0], Audio(RAMP.reshape(2, 3).T.copy(), 8000)),
        (Text("ours"), Text("ours")),
        ({"in": native(Json({"b": 1}))}, Json({"in": {"b": 1}})),
        ({"in": RuntimeData.text("t")}, Json({"in": "t"})),
    ],
)
def test_a_plain_value_becomes_a_payload(value, payload):
    assert given(value) == [(payload, None)]


def test_none_gives_nothing():
    assert given(None) == []


def test_a_list_of_runtime_data_is_several_outputs():
    assert given([RuntimeData.text("a"), native(Json(1)), Text("c")]) == [
        (Text("a"), None),
        (Json(1), None),
        (Text("c"), None),
    ]


def test_an_array_is_audio_where_a_rate_is_known():
    assert given(RAMP.astype(np.float64), rate=8000) == [(Audio(RAMP, 8000), None)]
    assert given(np.zeros((2, 2), np.uint8), rate=8000)[0][0] == Tensor(np.zeros((2, 2), np.uint8))


def test_the_rate_is_the_nodes_own_or_the_inputs():
    class Speaks:
        sample_rate = 24_000

    assert rate_of(Speaks(), packet(Audio(RAMP, 8000))) == 24_000
    assert rate_of(object(), packet(Audio(RAMP, 8000))) == 8000
    assert rate_of(object(), packet(Text("a"))) is None
    assert rate_of(object(), None) is None


def test_a_buffer_that_is_used_again_does_not_change_what_was_given():
    buffer = np.zeros(4, np.float32)
    outputs = [given(value)[0][0] for value in (RuntimeData.audio(buffer, 8000), (buffer, 8000))]
    outputs += given(buffer)[0][:1]
    buffer[:] = 1
    audio, pair, tensor = outputs
    assert not audio.samples.any()
    assert not pair.samples.any()
    assert not tensor.array.any()


def test_metadata_is_added_to_the_inputs():
    data = RuntimeData.text("x", metadata={"b": 2})
    assert given(data) == [(Text("x"), {"a": "1", "b": "2"})]
    assert given(("x", {"b": "2"})) == [(Text("x"), {"a": "1", "b": "2"})]
    assert given((RAMP, 8000, {"b": "2"})) == [(Audio(RAMP, 8000), {"a": "1", "b": "2"})]


def test_metadata_that_was_received_is_not_said_twice():
    source = packet(Text("in"), a="1")
    data = native_data(source.payload, source.metadata, "s", 0.0)
    assert given(data, to=source) == [(source.payload, None)]
    assert data.metadata["a"] == "1"
    assert given(data, to=source) == [(source.payload, None)]


def test_what_an_accumulator_held_back_keeps_its_own_metadata():
    held = native(Text("earlier"), speaker="ann")
    assert given(held) == [(Text("earlier"), {"a": "1", "speaker": "ann"})]


@pytest.mark.parametrize("value", [object(), {"a": object()}, {1: {2}, "x": b"bytes"}])
def test_what_nothing_can_be_made_of_is_refused(value):
    with pytest.raises(TypeError, match=r"no payload can be made .* give RuntimeData, str"):
        given(value)


def test_a_value_that_holds_itself_is_refused():
    value = {}
    value["self"] = value
    with pytest.raises(TypeError, match="nested this deeply, or in itself"):
        given(value)
