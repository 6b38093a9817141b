"""RuntimeData: one class with both surfaces of the older API."""

import numpy as np
import pytest

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
from remotemedia.core._compat.new_payloads import added_metadata, new_payload
from remotemedia.core.multiprocessing.data import (
    AudioFormat,
    AudioMetadata,
    ControlMessageType,
    DataType,
    RuntimeData,
    TensorType,
    VideoFormat,
    audio_to_numpy,
    numpy_to_audio,
)

RAMP = np.linspace(-1, 1, 6, dtype=np.float32)


def received(payload, **entries):
    return RuntimeData.of(payload, entries, "s", 1.5)


# ------------------------------------------------------------------------------------------ audio


@pytest.mark.parametrize(
    ("samples", "channels"),
    [
        (RAMP, 1),
        (list(map(float, RAMP)), 1),
        (RAMP.tobytes(), 1),
        (memoryview(RAMP.tobytes()), 1),
        (RAMP.astype(np.float64), 1),
        (RAMP.reshape(3, 2), 2),
        (RAMP.reshape(3, 2).T, 2),
        (RAMP, 2),
    ],
)
def test_audio_takes_samples_in_every_form(samples, channels):
    data = RuntimeData.audio(samples, 16_000, channels)
    assert data.is_audio()
    as_bytes, rate, count, format_, num_samples = data.as_audio()
    assert (rate, count, format_, num_samples) == (16_000, channels, "f32", 6)
    assert np.array_equal(np.frombuffer(as_bytes, np.float32), RAMP)
    assert new_payload(data) == Audio(RAMP.reshape(-1, channels), 16_000)


def test_audio_keeps_whole_numbers_as_they_are():
    data = RuntimeData.audio(np.array([1, -2, 3, 4], np.int16), 8000, 2)
    assert data.as_audio() == (np.array([1, -2, 3, 4], np.int16).tobytes(), 8000, 2, "i16", 4)
    assert new_payload(data).samples.dtype == np.int16
    assert RuntimeData.audio([1, 2], 8000, format=AudioFormat.I32).as_audio()[3] == "i32"


def test_audio_takes_what_either_older_api_had_by_position():
    pcm = np.array([1, 2], np.int16).tobytes()
    native = RuntimeData.audio(pcm, 8000, 1, "i16", 2)
    assert native.as_audio() == (pcm, 8000, 1, "i16", 2)
    dataclass = RuntimeData.audio(RAMP, 8000, 1, "session-7", AudioFormat.F32)
    assert (dataclass.session_id, dataclass.as_audio()[3]) == ("session-7", "f32")


def test_audio_has_its_facts_as_attributes():
    data = RuntimeData.audio(np.zeros(1600, np.float32), 16_000)
    assert data.type is DataType.AUDIO
    assert data.type == "audio"
    facts = data.metadata
    assert (facts.sample_rate, facts.channels, facts.format) == (16_000, 1, AudioFormat.F32)
    assert facts.duration_ms == 100
    assert data.size == 6400


@pytest.mark.parametrize(
    ("samples", "channels", "said"),
    [
        (b"123", 1, "3 bytes are no whole number"),
        (np.zeros(3, np.float32), 2, "no whole number of frames of 2"),
        (np.zeros((2, 2, 2), np.float32), 2, "must have the shape"),
        (np.zeros((3, 4), np.float32), 2, "no axis of 2 channels"),
        (np.zeros(3, np.uint8), 1, "floats, int16 or int32, got uint8"),
    ],
)
def test_what_is_no_audio_is_refused(samples, channels, said):
    with pytest.raises(ValueError, match=said):
        RuntimeData.audio(samples, 8000, channels)


def test_a_format_that_cannot_be_carried_is_refused():
    with pytest.raises(ValueError, match="'i24' cannot be carried; use one of f32, i16, i32"):
        RuntimeData.audio(b"123", 8000, format="i24")


def test_the_module_functions_go_both_ways():
    data = numpy_to_audio(RAMP, 24_000, 1)
    assert np.array_equal(audio_to_numpy(data), RAMP)
    stereo = numpy_to_audio(RAMP.reshape(3, 2), 24_000, channels=2)
    assert audio_to_numpy(stereo).shape == (3, 2)
    with pytest.raises(TypeError, match="not audio but text"):
        audio_to_numpy(RuntimeData.text("a"))


# ------------------------------------------------------------------------------------- other kinds


def test_text():
    data = RuntimeData.text("hé", language="fr", channel="ui")
    assert (data.data_type(), data.as_text(), data.type) == ("text", "hé", DataType.TEXT)
    assert data.payload == "hé"
    assert data.payload.decode("utf-8") == "hé"  # one older API had its bytes there
    assert (data.metadata.language, data.metadata.channel) == ("fr", "ui")
    assert new_payload(data) == Text("hé", "fr", "ui")
    assert new_payload(RuntimeData.text(b"a")) == Text("a")


def test_json_is_plain_when_it_leaves():
    value = {"a": (1, np.float32(2)), "b": {3: None}, "c": np.arange(2), "d": True}
    data = RuntimeData.json(value, schema_type="thing")
    assert new_payload(data) == Json(
        {"a": [1, 2.0], "b": {"3": None}, "c": [0, 1], "d": True}, "thing"
    )
    with pytest.raises(TypeError, match="object is nothing JSON knows"):
        new_payload(RuntimeData.json({"a": object()}))


def test_json_is_given_out_as_a_copy():
    value = {"list": [1]}
    data = received(Json(value, "thing"))
    data.as_json()["list"].append(2)
    data.payload["list"].append(3)
    assert value == {"list": [1]}
    assert data.schema_type == "thing"


def test_binary():
    data = RuntimeData.binary(bytearray(b"ab"), mime_type="x/y")
    assert (data.as_binary(), data.size) == (b"ab", 2)
    assert new_payload(data) == Binary(b"ab", "x/y")
    assert np.array_equal(data.as_numpy(), [97, 98])


@pytest.mark.parametrize(
    "data",
    [
        RuntimeData.tensor([[1, 2], [3, 4]], dtype=TensorType.F32),
        RuntimeData.tensor(np.array([[1, 2], [3, 4]], np.float32)),
        RuntimeData.tensor(np.arange(1, 5, dtype=np.float32).tobytes(), shape=[2, 2], dtype="f32"),
    ],
)
def test_tensor(data):
    assert data.is_tensor()
    assert data.metadata.shape == (2, 2)
    assert new_payload(data) == Tensor(np.array([[1, 2], [3, 4]], np.float32))
    assert np.array_equal(data.as_tensor(), [[1, 2], [3, 4]])


def test_video():
    frame = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    data = RuntimeData.video(frame, 4, 2, VideoFormat.RGB, fps=25.0, frame_number=7)
    assert data.as_video() == (frame.tobytes(), 4, 2, "rgb24", 7)
    assert new_payload(data) == Video(frame, frame_number=7)
    assert added_metadata(data) == {"fps": "25.0"}
    assert new_payload(RuntimeData.video(frame.tobytes(), 4, 2)) == Video(frame)
    bgr = RuntimeData.video(frame, format=VideoFormat.BGR)
    assert new_payload(bgr) == Video(frame[:, :, ::-1].copy())
    with pytest.raises(ValueError, match="needs width and height"):
        RuntimeData.video(frame.tobytes())
    with pytest.raises(ValueError, match="cannot be carried"):
        new_payload(RuntimeData.video(frame, format="yuv444p"))


def test_file():
    data = RuntimeData.file("a.wav", mime_type="audio/wav", size=10)
    assert (data.get_file_path(), data.metadata.size, data.payload["size"]) == ("a.wav", 10, 10)
    assert new_payload(data) == File("a.wav", mime_type="audio/wav", size=10)
    with pytest.raises(ValueError, match="text data has no file path"):
        RuntimeData.text("a").get_file_path()


def test_a_file_may_be_put_together_of_its_payload_alone():
    data = RuntimeData(DataType.FILE, {"path": "/a/b.wav", "size": 9, "other": 1})
    assert data.as_file().size == 9
    assert new_payload(data) == File("/a/b.wav", size=9)
    with pytest.raises(ValueError, match=r"RuntimeData\.file"):
        RuntimeData(DataType.FILE, {"size": 9})


@pytest.mark.parametrize(
    ("message", "facts"),
    [
        (CancelSpeculation(1000, 9000), {"from_timestamp": 1, "to_timestamp": 9}),
        (BatchHint(4), {"suggested_batch_size": 4}),
        (DeadlineWarning(5), {"deadline_us": 5}),
    ],
)
def test_control_messages(message, facts):
    control = Control(message, "seg", metadata={"a": 1})
    data = received(control)
    kind = ControlMessageType(type(message).__name__)
    assert data.is_control_message()
    assert data.is_cancellation() == (kind == "CancelSpeculation")
    assert {name: getattr(data.metadata, name) for name in facts} == facts
    made = RuntimeData.control_message(kind, "seg", metadata={"a": 1}, **facts)
    assert new_payload(made) == control


def test_what_it_is_not_is_none():
    data = RuntimeData.text("a")
    others = [data.as_audio(), data.as_video(), data.as_json(), data.as_binary(), data.as_tensor()]
    assert others == [None] * 5
    assert RuntimeData.json(1).as_text() is None
    with pytest.raises(ValueError, match="json data is no array"):
        RuntimeData.json(1).as_numpy()


# ----------------------------------------------------------------------------- put together by hand


def test_it_may_be_put_together_by_hand():
    facts = AudioMetadata(8000, 1, AudioFormat.F32, 0)
    data = RuntimeData(
        type=DataType.AUDIO, payload=RAMP, session_id="s", timestamp=1.0, metadata=facts
    )
    assert new_payload(data) == Audio(RAMP, 8000)
    assert new_payload(RuntimeData("text", "a")) == Text("a")
    assert RuntimeData(3, "a").type is DataType.TEXT  # the older API's numbers
    with pytest.raises(ValueError, match=r"audio data needs AudioMetadata.*RuntimeData.audio\("):
        RuntimeData(DataType.AUDIO, RAMP)


# --------------------------------------------------------------------------------- what is received


def test_what_a_node_does_not_look_at_is_handed_on_as_it_is():
    for payload in (Audio(RAMP, 8000), Text("a"), Json({"a": 1}), Tensor(RAMP), Binary(b"a")):
        data = received(payload, trace="x")
        assert data.data_type() == {Audio: "audio", Text: "text", Json: "json"}.get(
            type(payload), data.type.value
        )
        assert new_payload(data) is payload


def test_received_audio_belongs_to_the_node():
    payload = Audio(RAMP, 8000)
    data = received(payload)
    samples = data.as_numpy()
    samples *= 0.5
    assert np.array_equal(new_payload(data).samples[:, 0], RAMP * 0.5)
    assert np.array_equal(payload.samples[:, 0], RAMP)
    assert not new_payload(data).samples.flags.writeable


def test_received_audio_of_several_channels_has_frames_first():
    data = received(Audio(RAMP.reshape(3, 2), 8000))
    assert data.as_numpy().shape == data.payload.shape == (3, 2)
    assert np.asarray(data).shape == (3, 2)


def test_received_facts_and_what_travels_with_them():
    data = received(Audio(RAMP, 8000), speaker="ann", annotations='{"turn": 1}')
    assert (data.session_id, data.timestamp) == ("s", 1.5)
    assert (data.metadata.sample_rate, data.metadata["speaker"]) == (8000, "ann")
    assert data.metadata.get("nothing") is None
    assert data.metadata.annotations == {"turn": 1}
    data.metadata.annotations["turn"] = 2
    data.metadata["score"] = 0.5
    assert added_metadata(data) == {
        "speaker": "ann",
        "annotations": '{"turn": 2}',
        "score": "0.5",
    }
    assert np.array_equal(new_payload(data).samples[:, 0], RAMP)


def test_a_changed_rate_is_a_new_payload_of_the_same_samples():
    payload = Audio(RAMP, 8000)
    data = received(payload)
    data.metadata.sample_rate = 16_000
    assert new_payload(data).sample_rate == 16_000
    assert np.shares_memory(new_payload(data).samples, payload.samples)


def test_metadata_may_be_set_as_a_plain_mapping():
    data = received(Audio(RAMP, 8000), a="1")
    data.metadata = {"b": "2"}
    assert data.metadata.sample_rate == 8000
    assert added_metadata(data) == {"b": "2"}
