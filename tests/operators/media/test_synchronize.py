import numpy as np
import pytest

from engine.errors import NodeError
from engine.packet import Group, Origin, Packet, Source
from engine.payloads import Audio, Json, Text, Video
from engine.testing import StageBench
from operators.media.synchronize import SynchronizedAudioVideo, quality_of

MS = 1_000_000
TWO_EDGES = ["sync.audio_input", "sync.video_input"]


def sound(frames=320, channels=1):
    return Audio(np.zeros((frames, channels), np.float32), 16_000)


def frame(number=0):
    return Video(np.zeros((4, 6, 3), np.uint8), frame_number=number)


def bench_of(inputs=None, **params):
    return StageBench({"sync": SynchronizedAudioVideo(**params)}, inputs=inputs)


def one(payload, port, at_ms):
    return Packet(payload, Source("", ""), port, 0, Origin("session", 0, round(at_ms * MS), 0))


def report_of(audio_ms, video_ms, **params):
    """What comes of one group."""
    bench = bench_of(**params)
    members = {
        "audio_input": one(sound(), "audio_input", audio_ms),
        "video_input": one(frame(), "video_input", video_ms),
    }
    bench.feeders["sync"].waiting.append(Group(members))
    bench.finish()
    bench.run()
    (report,) = bench.values
    return report


def test_a_group_gives_one_report_with_every_field():
    assert report_of(100, 115) == {
        "sync_status": {
            "is_synced": True,
            "quality": "good",
            "offset_us": 15_000,
            "offset_ms": 15.0,
            "tolerance_ms": 20.0,
        },
        "audio": {
            "timestamp_us": 100_000,
            "sample_rate": 16_000,
            "num_samples": 320,
            "duration_ms": 20.0,
        },
        "video": {"timestamp_us": 115_000, "frame_number": 0, "width": 6, "height": 4},
        "recommendation": "Streams are synchronized",
        "node_id": "sync",
    }


def test_groups_are_compared_within_themselves():
    bench = bench_of()
    for _ in range(3):
        bench.feed_group(audio_input=sound(), video_input=frame())
    bench.run()
    assert [report["sync_status"]["offset_us"] for report in bench.values] == [1_000] * 3
    assert bench.settled


@pytest.mark.parametrize(
    ("offset_ms", "quality", "is_synced"),
    [
        (0, "perfect", True),
        (0.999, "perfect", True),
        (1, "excellent", True),
        (10, "excellent", True),
        (10.001, "good", True),
        (20, "good", True),
        (20.001, "acceptable", False),
        (40, "acceptable", False),
        (40.001, "poor", False),
        (5_000, "poor", False),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_quality_is_told_by_the_tolerance(offset_ms, quality, is_synced, sign):
    status = report_of(10_000, 10_000 + sign * offset_ms)["sync_status"]
    assert (status["quality"], status["is_synced"]) == (quality, is_synced)
    assert status["offset_us"] == sign * round(offset_ms * 1_000)
    assert quality_of(round(offset_ms * 5_000), 100_000) in (quality, "excellent")


def test_what_is_not_synchronized_is_never_perfect():
    status = report_of(0, 0.9, sync_tolerance_ms=0.5)["sync_status"]
    assert (status["quality"], status["is_synced"]) == ("acceptable", False)


def test_the_tolerance_is_a_param_in_both_spellings():
    status = report_of(0, 30, sync_tolerance_ms=30)["sync_status"]
    assert (status["is_synced"], status["tolerance_ms"]) == (True, 30.0)


def test_the_recommendation_says_which_side_is_ahead():
    assert report_of(0, 50)["recommendation"].startswith("Video is 50 ms ahead of audio")
    assert report_of(50, 0)["recommendation"].startswith("Audio is 50 ms ahead of video")


def test_two_edges_are_paired_by_media_time():
    bench = bench_of(TWO_EDGES)
    for number in range(5):  # all the video first
        bench.feed(frame(number), at="sync.video_input", timestamp_ns=number * 40 * MS)
    bench.run()
    assert bench.values == []
    for number in range(12):
        bench.feed(sound(), at="sync.audio_input", timestamp_ns=(number * 20 + 4) * MS)
    bench.finish()
    bench.run()
    assert [report["video"]["frame_number"] for report in bench.values] == [0, 1, 2, 3, 4]
    assert {report["sync_status"]["offset_us"] for report in bench.values} == {-4_000}
    assert [packet.timestamp_ns for packet in bench.sink().packets] == [
        number * 40 * MS for number in range(5)
    ]
    assert bench.settled
    assert bench.stage.done


def test_a_silent_side_stalls_nothing():
    bench = bench_of(TWO_EDGES, pairing_window_ms=100)
    for number in range(2_000):
        bench.feed(frame(number), at="sync.video_input", timestamp_ns=number * 40 * MS)
    bench.run()
    (report,) = bench.values
    assert report["audio"] is None
    assert report["sync_status"]["offset_us"] is None
    assert report["sync_status"]["is_synced"] is False
    assert report["recommendation"].startswith("No audio within 100 ms of this frame")
    assert bench.settled
    bench.feed(sound(), at="sync.audio_input", timestamp_ns=1_999 * 40 * MS)
    bench.finish()
    bench.run()
    assert bench.values[-1]["sync_status"]["quality"] == "perfect"


def test_what_is_kept_holds_no_pixels():
    operator = SynchronizedAudioVideo()
    bench = StageBench({"sync": operator}, inputs=TWO_EDGES)
    bench.feed(frame(), at="sync.video_input")
    bench.run()
    (held,) = operator._pairing._video
    assert isinstance(held.payload, Json)


def test_an_interrupt_forgets_what_waits():
    bench = bench_of(TWO_EDGES)
    bench.feed(frame(1), at="sync.video_input", timestamp_ns=0)
    bench.run()
    bench.feed(sound(), at="sync.audio_input", timestamp_ns=0, generation=1)
    bench.feed(frame(2), at="sync.video_input", timestamp_ns=0, generation=1)
    bench.finish()
    bench.run()
    assert [report["video"]["frame_number"] for report in bench.values] == [2]


def test_stereo_is_counted_by_channel():
    bench = bench_of()
    bench.feed_group(audio_input=sound(320, 2), video_input=frame())
    bench.run()
    assert bench.values[0]["audio"]["num_samples"] == 320
    assert bench.values[0]["audio"]["duration_ms"] == 20.0


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"audio_input": frame()}, "audio_input takes audio, not video"),
        ({"video_input": Text("a")}, "video_input takes video, not text"),
    ],
)
def test_another_payload_is_an_error_that_names_the_port(group, message):
    bench = bench_of()
    bench.feed_group(**group)
    bench.run()
    assert isinstance(bench.stage.error, NodeError)
    assert message in bench.stage.error.message
