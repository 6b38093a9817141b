import asyncio
import os
import signal

import numpy as np
import pytest

from engine.errors import EdgeClosedError, NodeError, WorkerCrashedError
from engine.payloads import Audio, File, Json, Text, Video
from engine.testing import StageBench
from operators.media.reader import MediaReader
from operators.media.writer import MediaWriter
from operators.video.flip import VideoFlip
from remotemedia import Pipeline

MS = 1_000_000
ON_BOTH = pytest.mark.parametrize(
    "executor", ["local", pytest.param("process", marks=pytest.mark.process)]
)


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def bench_of():
    """Gives benches whose writer is initialized, and cleans up behind them."""
    writers = []

    def bench(path, **params):
        writer = MediaWriter(output_path=str(path), **params)
        made = StageBench({"write": writer}, inputs=["write"])
        (adapter,) = made.stage.adapters
        asyncio.run(writer.initialize(adapter.context))
        writers.append(writer)
        return made

    yield bench
    for writer in writers:
        asyncio.run(writer.cleanup())


def sound(media, seconds=0.1):
    return Audio(media.tone(seconds), 48_000)


# --- round trips --------------------------------------------------------------------------------


@ON_BOTH
@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.mkv"])
def test_a_file_is_read_and_written_again(tmp_path, media, clip, executor, name):
    path = tmp_path / name
    reader = MediaReader(path=str(clip)).on(executor)
    writer = MediaWriter(output_path=str(path)).on(executor)
    (packet,) = (Pipeline("copy") | reader | writer).run([])
    assert packet.payload == File(
        str(path),
        name,
        {"a.webm": "video/webm", "a.mkv": "video/x-matroska"}.get(name, "video/mp4"),
        path.stat().st_size,
    )
    assert names_in(tmp_path) == [name]
    before, after = media.probe(clip), media.probe(path)
    assert len(after.pictures) == len(before.pictures) == 25
    likeness = [media.psnr(a, b) for a, b in zip(before.pictures, after.pictures, strict=True)]
    assert min(likeness) > 28
    np.testing.assert_allclose(
        np.array(after.times_s) - after.audio_start_s, np.array(before.times_s), atol=0.002
    )
    assert media.lag(after.samples[:48_000, 0], media.tone(1)[:, 0]) == 0
    assert 48_000 <= len(after.samples) < 48_000 + 1_024


@ON_BOTH
def test_pictures_are_flipped_on_their_way(tmp_path, media, clip, executor):
    path = tmp_path / "a.mp4"
    reader = MediaReader(path=str(clip)).on(executor)
    writer = MediaWriter(output_path=str(path)).on(executor)
    (Pipeline("flip") | reader | VideoFlip(direction="vertical") | writer).run([])
    found = media.probe(path)
    assert len(found.pictures) == 25
    for number, picture in enumerate(found.pictures):
        assert media.psnr(picture, media.picture(number)[::-1]) > 24
    assert len(found.samples) >= 48_000


@ON_BOTH
@pytest.mark.parametrize(("name", "rate"), [("a.wav", 16_000), ("a.mp3", 44_100)])
def test_sound_is_transcoded(tmp_path, media, clip, executor, name, rate):
    path = tmp_path / name
    reader = MediaReader(path=str(clip), streams="audio", audio_rate=rate).on(executor)
    (Pipeline("copy") | reader | MediaWriter(output_path=str(path)).on(executor)).run([])
    found = media.probe(path)
    assert found.sample_rate == rate
    assert len(found.samples) == rate
    assert abs(media.lag(found.samples[:, 0], media.tone(1, rate)[:, 0])) <= 1


def test_each_kind_may_come_by_a_port_of_its_own(tmp_path, media, bench_of):
    bench = bench_of(tmp_path / "a.mkv")
    for number in range(10):
        bench.feed(Video(media.picture(number)), port="video", timestamp_ns=number * 40 * MS)
        bench.feed(sound(media, 0.04), port="audio", timestamp_ns=number * 40 * MS)
    bench.finish()
    bench.run()
    (file,) = bench.sink().payloads
    assert (file.filename, file.mime_type) == ("a.mkv", "video/x-matroska")
    found = media.probe(tmp_path / "a.mkv")
    assert (len(found.pictures), len(found.samples)) == (10, 19_200)


def test_ports_are_fed_by_branches(tmp_path, media, clip):
    manifest = {
        "version": "v1",
        "metadata": {"name": "branches"},
        "nodes": [
            {"id": "read", "node_type": "MediaReaderNode", "params": {"path": str(clip)}},
            {"id": "flip", "node_type": "VideoFlip"},
            {
                "id": "write",
                "node_type": "MediaWriterNode",
                "params": {"outputPath": str(tmp_path / "a.mp4"), "streams": "both"},
            },
        ],
        "connections": [
            {"from": "read", "to": "flip", "from_port": "video"},
            {"from": "flip", "to": "write", "to_port": "video"},
            {"from": "read", "to": "write", "from_port": "audio", "to_port": "audio"},
        ],
    }
    for node in manifest["nodes"]:
        node["executor"] = "local"
    (packet,) = Pipeline.from_manifest(manifest).run([])
    assert isinstance(packet.payload, File)
    found = media.probe(tmp_path / "a.mp4")
    assert (len(found.pictures), set(found.codecs)) == (25, {"audio", "video"})


# --- what is wrong ------------------------------------------------------------------------------


@ON_BOTH
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"output_path": "nowhere/a.wav"}, "there is no directory .*nowhere"),
        ({"output_path": "a.xyz"}, "cannot tell a format from 'a.xyz'"),
        ({"output_path": "a.mp4", "video_codec": "vp8"}, "video codecs for mp4: .*h264"),
        ({"output_path": "a.wav", "streams": "video"}, "wav holds audio only"),
    ],
)
def test_what_cannot_work_is_said_before_anything_flows(tmp_path, executor, params, message):
    params = params | {"output_path": str(tmp_path / params["output_path"])}
    pipeline = Pipeline("write") | MediaWriter(**params).on(executor)
    with pytest.raises(NodeError, match=f"(?s)'media_writer' failed in initialize.*{message}"):
        pipeline.run([])
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("payload", "port", "message"),
    [
        (Text("a"), None, "a media file takes audio and video, not text"),
        (Json(1), "audio", "port 'audio' takes audio, not json"),
        (Audio(np.zeros(9, np.float32), 8_000), "video", "port 'video' takes video, not audio"),
    ],
)
def test_other_payloads_are_refused(tmp_path, bench_of, payload, port, message):
    bench = bench_of(tmp_path / "a.mp4")
    bench.feed(payload, port=port)
    bench.run()
    assert message in bench.stage.error.message


@ON_BOTH
def test_an_error_leaves_nothing(tmp_path, media, executor):
    (tmp_path / "a.wav").write_bytes(b"old")
    pipeline = Pipeline("write") | MediaWriter(output_path=str(tmp_path / "a.wav")).on(executor)
    other_rate = Audio(np.zeros(9, np.float32), 8_000)
    with pytest.raises(NodeError, match=r"audio is 48000 Hz × 1, the next packet is 8000 Hz × 1"):
        pipeline.run([sound(media)] * 20 + [other_rate])
    assert names_in(tmp_path) == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == b"old"


@ON_BOTH
def test_a_cancelled_session_leaves_nothing(tmp_path, media, executor):
    writer = MediaWriter(output_path=str(tmp_path / "a.mp4"), streams="audio")

    async def main():
        async with (Pipeline("write") | writer.on(executor)).session() as session:
            for _ in range(200):
                await session.send(sound(media))
            session.cancel()
            with pytest.raises(EdgeClosedError):
                await session.send(sound(media))

    asyncio.run(main())
    assert names_in(tmp_path) == []


@pytest.mark.process
@pytest.mark.fault
def test_a_killed_worker_leaves_nothing(tmp_path, media):
    writer = MediaWriter(output_path=str(tmp_path / "a.wav")).on("process")

    async def main():
        async with (Pipeline("write") | writer).session() as session:
            for _ in range(100):
                await session.send(sound(media))
            (stage,) = session.stages
            os.kill(stage.pid, signal.SIGKILL)
            await session.end_input()
            while await session.receive() is not None:
                pass

    with pytest.raises(WorkerCrashedError, match="media_writer"):
        asyncio.run(main())
    assert names_in(tmp_path) == []


def test_nothing_gives_no_file_and_says_so(tmp_path, bench_of, caplog):
    bench = bench_of(tmp_path / "a.wav")
    bench.finish()
    bench.run()
    assert bench.sink().payloads == []
    assert [record.message for record in caplog.records] == ["media_writer_got_nothing"]
    assert names_in(tmp_path) == []


def test_an_interrupt_takes_nothing_back(tmp_path, media, bench_of):
    bench = bench_of(tmp_path / "a.wav")
    bench.feed(sound(media), timestamp_ns=0)
    bench.run()
    bench.feed(sound(media), timestamp_ns=100 * MS, generation=1)
    bench.finish()
    bench.run()
    assert isinstance(bench.sink().payloads[0], File)
    assert len(media.probe(tmp_path / "a.wav").samples) == 9_600
