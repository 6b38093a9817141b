import asyncio
import gc

import numpy as np
import pytest

from engine.errors import MediaError, NodeError
from engine.operator import Operator
from engine.payloads import Audio, File, Json, Text, Video
from engine.testing import StageBench, run_virtual
from operators.media import reader as reader_module
from operators.media.reader import MediaReader
from remotemedia import Pipeline

MS = 1_000_000


def play(*inputs, outputs=None, **params):
    """What a reader emits on a bench: port → packets."""

    async def main():
        bench = StageBench({"read": MediaReader(**params)}, outputs=outputs)
        bench.feed(*inputs)
        bench.finish()
        await bench.joined()
        if bench.stage.error is not None:
            raise bench.stage.error
        return {name.partition(".")[2] or "out": s.packets for name, s in bench.sinks.items()}

    return run_virtual(main())


def times_ms(packets):
    return [packet.timestamp_ns / MS for packet in packets]


@pytest.fixture
def pulled(monkeypatch):
    """Everything that has been decoded, as it is."""
    items = []
    real = reader_module.read_media

    def counting(*args):
        for item in real(*args):
            if item is not None:
                items.append(item)
            yield item

    monkeypatch.setattr(reader_module, "read_media", counting)
    return items


# --- ports --------------------------------------------------------------------------------------


def test_it_plays_its_file_when_its_input_ends(clip):
    packets = play(path=str(clip))
    assert packets["out"] == []
    assert times_ms(packets["audio"]) == [number * 20 for number in range(50)]
    assert times_ms(packets["video"]) == [number * 40 for number in range(25)]
    assert {type(packet.payload) for packet in packets["audio"]} == {Audio}
    assert {type(packet.payload) for packet in packets["video"]} == {Video}
    assert {packet.sequence for port in packets.values() for packet in port} == {0}
    indexes = sorted(packet.index for port in packets.values() for packet in port)
    assert indexes == list(range(75))


def test_a_plain_connection_gets_both(clip):
    packets = play(path=str(clip), outputs=["read"])["out"]
    kinds = [type(packet.payload) for packet in packets]
    assert (kinds.count(Audio), kinds.count(Video)) == (50, 25)
    assert kinds[:5].count(Video) > 0
    assert kinds[-5:].count(Audio) > 0


def test_out_gets_what_has_no_port_of_its_own(clip):
    packets = play(path=str(clip), outputs=["read", "read.video"])
    assert {type(packet.payload) for packet in packets["out"]} == {Audio}
    assert {type(packet.payload) for packet in packets["video"]} == {Video}


def test_what_nobody_takes_is_not_decoded(clip, pulled):
    packets = play(path=str(clip), outputs=["read.audio"])
    assert len(packets["audio"]) == 50
    assert {type(item.payload) for item in pulled} == {Audio}


@pytest.mark.parametrize(("streams", "kind"), [("audio", Audio), ("video", Video)])
def test_streams_says_what_is_read(clip, streams, kind):
    packets = play(path=str(clip), streams=streams, outputs=["read"])["out"]
    assert {type(packet.payload) for packet in packets} == {kind}


def test_the_form_is_as_wanted(clip):
    form = {
        "audio_rate": 16_000,
        "audio_channels": 2,
        "audio_dtype": "int16",
        "block_ms": 50,
        "video_format": "nv12",
    }
    packets = play(path=str(clip), **form)
    audio = packets["audio"][0].payload
    assert (audio.sample_rate, audio.samples.dtype, audio.samples.shape) == (
        16_000,
        np.int16,
        (800, 2),
    )
    assert packets["video"][0].payload.format == "nv12"


# --- what starts it -----------------------------------------------------------------------------


def test_a_packet_starts_the_file_at_once_and_each_does_so_again(clip):
    packets = play(Json("go"), Text("again"), path=str(clip), streams="audio", outputs=["read"])
    assert [packet.sequence for packet in packets["out"]] == [0] * 50 + [1] * 50
    assert times_ms(packets["out"]) == [number * 20 for number in range(100)]


def test_packets_name_files_where_no_path_is_given(clip):
    packets = play(File(clip), Text(f" {clip}\n"), streams="audio", outputs=["read"])
    assert len(packets["out"]) == 100


def test_nothing_to_play_is_no_error():
    assert play() == {"out": [], "audio": [], "video": []}


def test_a_packet_that_names_no_file_is_an_error():
    with pytest.raises(NodeError, match="a json packet names no file: send a File or a Text"):
        play(Json(1))


def test_named_files_lie_within_the_root(clip):
    named = play(Text(clip.name), root=str(clip.parent), outputs=["read.audio"])
    assert len(named["audio"]) == 50
    for outside in (f"../{clip.parent.name}x/a.mp4", "/etc/hostname", ".."):
        with pytest.raises(NodeError, match="lies outside of"):
            play(Text(outside), root=str(clip.parent))


def test_a_link_does_not_lead_out_of_the_root(clip, tmp_path):
    (tmp_path / "link.mp4").symlink_to(clip)
    with pytest.raises(NodeError, match=r"'link\.mp4' lies outside of"):
        play(Text("link.mp4"), root=str(tmp_path))


def test_a_packet_names_nothing_where_a_path_is_given(clip):
    packets = play(Text("/etc/hostname"), path=str(clip), streams="audio", outputs=["read"])
    assert len(packets["out"]) == 50


# --- time ---------------------------------------------------------------------------------------


def test_a_part_keeps_its_positions(clip):
    packets = play(path=str(clip), start_s=0.4, duration_s=0.2)
    assert times_ms(packets["video"]) == [400, 440, 480, 520, 560]
    assert times_ms(packets["audio"])[0] == 400
    assert sum(packet.payload.frames for packet in packets["audio"]) == 9_600


def test_further_passes_go_on_where_the_last_ended(clip):
    packets = play(path=str(clip), loop=3, start_s=0.5, duration_s=0.2)
    audio = packets["audio"]
    assert times_ms(audio) == [500 + number * 20 for number in range(30)]
    assert times_ms(packets["video"]) == [
        at + 200 * number for number in range(3) for at in (520, 560, 600, 640, 680)
    ]


def test_real_time_is_the_loops(clip):
    async def main():
        loop = asyncio.get_running_loop()
        bench = StageBench({"read": MediaReader(path=str(clip), realtime=True)})
        arrivals = []
        take = bench.sinks["read.video"].take

        def taking():
            count = take()
            arrivals.extend([loop.time()] * count)
            return count

        bench.sinks["read.video"].take = taking
        bench.finish()
        began = loop.time()
        await bench.joined()
        return [at - began for at in arrivals]

    arrivals = np.array(run_virtual(main()))
    late = arrivals - np.arange(25) * 0.04
    assert late.min() >= 0
    assert late[:-2].max() < 0.001
    assert late[-2:].max() < 0.065  # the last two leave the decoder behind the last sound


def test_a_pause_of_the_consumer_is_not_made_up_for(clip):
    async def main():
        loop = asyncio.get_running_loop()
        pace = reader_module._Pace()
        at = []
        for media_ms in (0, 40, 80, 120):
            await pace.wait(media_ms * MS)
            at.append(loop.time())
            if media_ms == 40:
                await asyncio.sleep(1)
        await asyncio.sleep(0.1)  # shorter than what may be caught up
        await pace.wait(160 * MS)
        at.append(loop.time())
        await pace.wait(200 * MS)
        await pace.wait(260 * MS)
        at.append(loop.time())
        return [time - at[0] for time in at]

    waits = run_virtual(main())
    np.testing.assert_allclose(waits, [0, 0.04, 1.04, 1.08, 1.18, 1.22], atol=0.001)


# --- back-pressure and ends ---------------------------------------------------------------------


def test_a_slow_consumer_slows_the_reading(clip, pulled):
    async def main():
        params = {"path": str(clip), "streams": "video"}
        bench = StageBench({"read": MediaReader(**params)}, outputs=["read"], capacity=4)
        sink = bench.sink()
        sink.withholding = True
        bench.finish()
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(sink.packets) == 4
        assert len(pulled) <= 4 + 2
        sink.release(3)
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(sink.packets) == 7
        assert len(pulled) <= 7 + 2
        sink.withholding = False
        sink.release()
        await bench.joined()
        assert len(sink.packets) == len(pulled) == 25

    run_virtual(main())


def test_an_interrupt_ends_the_file_that_is_read(clip, monkeypatch):
    files = []
    real = type(clip).open
    monkeypatch.setattr(type(clip), "open", lambda *a: files.append(real(*a)) or files[-1])

    async def main():
        bench = StageBench({"read": MediaReader(path=str(clip))}, outputs=["read"], capacity=4)
        sink = bench.sink()
        sink.withholding = True
        bench.feed(Json("go"))
        for _ in range(100):
            await asyncio.sleep(0)
        bench.interrupt()
        for _ in range(20):
            await asyncio.sleep(0)
        assert files[0].closed
        bench.feed(Json("go again"), generation=1)
        sink.withholding = False
        sink.release()
        bench.finish()
        await bench.joined()
        return [packet.generation for packet in sink.packets]

    generations = run_virtual(main())
    assert generations.count(0) == 4
    assert generations.count(1) == 75
    assert all(file.closed for file in files)


def test_a_cancelled_stage_closes_the_file(clip, monkeypatch):
    files = []
    real = type(clip).open
    monkeypatch.setattr(type(clip), "open", lambda *a: files.append(real(*a)) or files[-1])

    async def main():
        bench = StageBench({"read": MediaReader(path=str(clip))}, outputs=["read"], capacity=4)
        bench.sink().withholding = True
        bench.finish()
        for _ in range(100):
            await asyncio.sleep(0)
        bench.stage.cancel()
        await bench.joined()

    run_virtual(main())
    gc.collect()
    assert [file.closed for file in files] == [True]


@pytest.mark.parametrize("executor", ["local", pytest.param("process", marks=pytest.mark.process)])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file .*bad.mp4"),
        (b"", "bad.mp4 is empty"),
        (b"no media at all", "bad.mp4 is not a media file"),
    ],
    ids=["missing", "empty", "text"],
)
def test_what_is_wrong_is_said_with_node_and_path(tmp_path, executor, content, message):
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    pipeline = Pipeline("read") | MediaReader(path=str(path)).on(executor)
    with pytest.raises(NodeError, match=f"'media_reader' failed in flush.*MediaError: .*{message}"):
        pipeline.run([])


def test_what_could_be_read_comes_before_the_error(tmp_path, media):
    whole = media.make_file(tmp_path / "a.mp4", seconds=3, movflags="faststart")
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])

    async def main():
        bench = StageBench({"read": MediaReader(path=str(path))}, outputs=["read"])
        bench.finish()
        await bench.joined()
        assert isinstance(bench.stage.error, NodeError)
        assert isinstance(bench.stage.error.__cause__, MediaError)
        return bench.sink().packets

    assert len(run_virtual(main())) > 20


@pytest.mark.parametrize("executor", ["local", pytest.param("process", marks=pytest.mark.process)])
def test_a_pipeline_reads_at_the_consumers_pace(clip, executor):
    pipeline = Pipeline("read") | MediaReader(path=str(clip), loop=8).on(executor) | Slow()

    async def main():
        async with pipeline.session() as session:
            await session.end_input()
            taken = 0
            async for packet in session.outputs():
                taken += isinstance(packet.payload, Json)
            return taken

    assert asyncio.run(main()) == 8 * 75


class Slow(Operator):
    """Counts what comes, one at a time."""

    concurrency = 1

    async def process(self, packet, ctx):
        await asyncio.sleep(0)
        return Json(packet.timestamp_ns)
