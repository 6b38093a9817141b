"""`remotemedia run`: files in, results out."""

import json
import os
import pty
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.remotemedia.cli_helpers import COMMAND, OPERATORS, PATIENCE_S, json_lines, manifest

pytestmark = pytest.mark.process


@pytest.fixture
def tone(place):
    """A WAV file of 1 s and 10 frames, at 8 kHz."""
    samples = np.sin(np.arange(8010) / 8).astype(np.float32) / 2
    path = place.folder / "tone.wav"
    soundfile.write(path, samples, 8000, subtype="PCM_16")
    return path


def test_text_goes_to_standard_output(place):
    place.write("said.txt", "one\ntwo words\n")
    result = place.run("run", place.chain("a:PassThrough"), "--input", "said.txt")
    assert result.returncode == 0, result.stderr
    name = place.id("a")
    assert result.stdout == f"{name}: one\n{name}: two words\n"
    assert f"{name}: ready" in result.stderr
    assert f"said.txt → {name}: read, 2 packets" in result.stderr
    assert "2 packets in" in result.stderr


def test_json_lines_and_a_summary(place):
    place.write("numbers.jsonl", '1\n{"value": 2.5}\n')
    node = {"node_type": "CalculatorNode", "params": {"operation": "multiply", "value": 4}}
    nodes = [{"id": place.id("times"), **node}, f"{place.id('b')}:PassThrough@process"]
    path = place.write("m.json", manifest(*nodes))
    result = place.run("run", path, "--input", "numbers.jsonl", "--json")
    assert result.returncode == 0, result.stderr
    first, second, last = json_lines(result.stdout)
    assert first.pop("timestamp_ns") > 0
    assert first == {
        "node": place.id("b"),
        "port": "out",
        "sequence": 0,
        "index": 0,
        "kind": "json",
        "value": {"result": 4, "operation": "multiply", "operands": [1, 4]},
    }
    assert (second["sequence"], second["value"]["result"]) == (1, 10.0)
    summary = last["summary"]
    assert summary["inputs"] == {place.id("times"): 2}
    assert summary["outputs"] == 2
    assert summary["interrupted_by"] is None
    times, passing = (summary["nodes"][place.id(name)] for name in ("times", "b"))
    assert (times["executor"], times["rule"]) == ("local", "default")
    assert (passing["executor"], passing["rule"]) == ("process", "manifest")
    assert times["pid"] != passing["pid"]
    assert [times["received"], passing["received"], passing["emitted"]] == [2, 2, 2]
    assert times["busy_ms"] >= 0
    assert summary["wall_ms"] > 0


def test_sound_comes_in_blocks_and_goes_out_as_it_was(place, tone):
    path = place.chain("a:PassThrough@process")
    result = place.run("run", path, "--input", tone, "--output", "out.wav", "--json")
    assert result.returncode == 0, result.stderr
    *packets, last = json_lines(result.stdout)
    assert [packet["audio"]["frames"] for packet in packets] == [160] * 50 + [10]
    assert packets[1]["timestamp_ns"] == 20_000_000
    assert packets[0]["audio"] == {
        "frames": 160,
        "channels": 1,
        "sample_rate": 8000,
        "duration_ms": 20.0,
    }
    assert last["summary"]["outputs"] == 51
    given, rate = soundfile.read(place.folder / "out.wav", dtype="int16")
    expected, _ = soundfile.read(tone, dtype="int16")
    assert rate == 8000
    assert np.array_equal(given, expected)


def test_sound_without_a_file_is_summed_up(place, tone):
    result = place.run("run", place.chain("a:PassThrough"), "--input", tone)
    assert result.returncode == 0, result.stderr
    sentence = "51 packets, 8010 frames of audio, 1.001 s at 8000 Hz"
    assert result.stdout == f"{place.id('a')}: {sentence}\n"


@pytest.mark.parametrize("executor", ["local", "process"])
def test_every_kind_has_its_place(place, executor):
    place.write("said.txt", "go\n")
    path = place.chain(f"a:Kinds@{executor}")
    name = place.id("a")
    result = place.run_operators(path, "--input", "said.txt")
    assert result.returncode == 0, result.stderr
    assert result.stdout == (
        f"{name}: two\\nlines\n"
        f'{name}: {{"a": [1, null]}}\n'
        f"{name}: 2 packets, 2 frames of audio, 0.000 s at 8000 Hz, 3 bytes\n"
    )
    packets = json_lines(place.run_operators(path, "--input", "said.txt", "--json").stdout)[:-1]
    assert [packet["kind"] for packet in packets] == ["text", "json", "audio", "binary"]
    assert [packet["index"] for packet in packets] == [0, 1, 2, 3]
    assert (packets[0]["text"], packets[0]["language"]) == ("two\nlines", "en")
    assert packets[1]["value"] == {"a": [1, None]}
    assert packets[3]["binary"] == {"bytes": 3, "mime_type": "text/x-abc"}


def test_files_of_every_kind(place):
    place.write("said.txt", "one\ntwo\n")
    place.write("doc.json", [1, {"a": "b"}])
    (place.folder / "blob.bin").write_bytes(bytes(range(256)))
    path = place.write(
        "m.json",
        manifest("t:PassThrough", "j:PassThrough", "b:PassThrough", connections=[]),
    )
    options = []
    for node, source, target in [
        ("t", "said.txt", "t.jsonl"),
        ("j", "doc.json", "j.txt"),
        ("b", "blob.bin", "b.bin"),
    ]:
        options += ["--input", f"{node}={source}", "--output", f"{node}={target}"]
    result = place.run("run", path, *options)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert (place.folder / "t.jsonl").read_text() == '"one"\n"two"\n'
    assert (place.folder / "j.txt").read_text() == '[1, {"a": "b"}]\n'
    assert (place.folder / "b.bin").read_bytes() == bytes(range(256))
    assert "t.jsonl: 2 packets of t" in result.stderr


def test_nodes_without_input_see_the_end(place):
    path = place.write("m.json", manifest("a:PassThrough", "b:PassThrough@process", connections=[]))
    result = place.run("run", path)
    assert (result.returncode, result.stdout) == (0, "")


def test_inputs_are_read_at_the_same_time(place):
    """The first file alone would not let the second one's packets through before its end."""
    place.write("small.toml", "channel_capacity = 2\n")
    place.write("many.jsonl", "".join(f"{number}\n" for number in range(50)))
    place.write("few.jsonl", "100\n101\n")
    nodes = ["a:Slow", "b:PassThrough", "c:PassThrough"]
    connections = [{"from": "a", "to": "c"}, {"from": "b", "to": "c"}]
    path = place.write("m.json", manifest(*nodes, connections=connections))
    result = place.run_operators(
        path, "--config", "small.toml", "--input", "a=many.jsonl", "--input", "b=few.jsonl"
    )
    assert result.returncode == 0, result.stderr
    values = [int(line.split()[1]) for line in result.stdout.splitlines()]
    assert sorted(values) == [*range(50), 100, 101]
    assert values.index(101) < values.index(49)


@pytest.mark.parametrize("executor", ["local", "process"])
def test_what_operators_print_is_no_result(place, executor):
    place.write("said.txt", "hello\n")
    result = place.run_operators(place.chain(f"a:Noisy@{executor}"), "--input", "said.txt")
    assert result.stdout == f"{place.id('a')}: hello\n"
    assert "noisy sees Text(text='hello'" in result.stderr
    assert "noisy writes to descriptor 1" in result.stderr


def test_a_file_is_not_half_replaced(place, tone):
    place.write("said.txt", "1\n2\n3\n")
    before = tone.read_bytes()
    other = place.folder / "other.wav"
    other.write_bytes(before)
    path = place.chain("a:RaisesInProcess")
    result = place.run_operators(path, "--input", tone, "--output", "other.wav")
    assert result.returncode == 1
    assert other.read_bytes() == before
    assert sorted(entry.name for entry in place.folder.iterdir()) == [
        "manifest.json",
        "other.wav",
        "said.txt",
        "tone.wav",
    ]


def test_standard_output_may_be_a_file_or_full(place):
    place.write("said.txt", "hello\n")
    path = place.chain("a:PassThrough")
    command = [COMMAND, "run", path, "--input", "said.txt"]
    out = place.folder / "out"
    with out.open("w") as file:
        subprocess.run(command, cwd=place.folder, stdout=file, timeout=PATIENCE_S, check=True)
    assert out.read_text() == f"{place.id('a')}: hello\n"
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command,
            cwd=place.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENCE_S,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert "error: cannot write to standard output: No space left on device" in result.stderr


def test_a_terminal_shows_bars(place):
    place.write("said.txt", "hello\n")
    ours, theirs = pty.openpty()
    command = [
        COMMAND,
        "run",
        place.chain("a:PassThrough@process"),
        "--input",
        "said.txt",
        "--json",
    ]
    with subprocess.Popen(
        command,
        cwd=place.folder,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color"},
        text=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        os.close(ours)
        stdout = process.stdout.read()
    assert process.returncode == 0
    assert [*json.loads(stdout.splitlines()[-1])] == ["summary"]
    assert "━" in shown.decode()
    assert "test: ready after" in shown.decode()


def _read(fd):
    try:
        return os.read(fd, 65536)
    except OSError:  # the other side is closed
        return b""


def test_the_module_is_found_by_its_path(place):
    assert OPERATORS.is_file()
    result = place.run_operators(place.chain("a:Level@process"))
    assert result.returncode == 0, result.stderr
