"""The demonstration: what it shows is true, and it notices when it fails."""

import asyncio
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from engine.config import Settings
from engine.payloads import Audio
from engine.prepare import prepare
from operators.audio.wav_file import WavWriter
from remotemedia.cli import app
from remotemedia.demo import recording as recordings
from remotemedia.demo import show
from remotemedia.demo.recording import COMMANDS, Command, Recording, recording_in
from remotemedia.demo.trial import BLOCK_MS, Heard, Trial, command_at, run_trial
from remotemedia.pipeline import Pipeline, builtin_registry


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def recording(folder):
    return recording_in(folder)


def test_the_manifest_is_what_the_demonstration_promises():
    plan = prepare(show.MANIFEST, builtin_registry(), Settings())
    assert plan.warnings == ()
    nodes = {node.id: node.executor for stage in plan.stages for node in stage.nodes}
    assert nodes == {
        "chunker": "local",
        "resampler": "local",
        "vad": "local",
        "accumulator": "local",
        "stt": "process",
        "reply": "process",
        "tts": "process",
    }
    assert (plan.ingress, plan.sinks) == (("chunker",), ("stt", "tts"))


@pytest.mark.process
def test_the_recording_has_speech_where_it_says(recording):
    samples, rate = soundfile.read(recording.path, dtype="float32")
    assert len(samples) / rate == pytest.approx(recording.duration_s)
    assert [command.text for command in recording.commands] == list(COMMANDS)
    spoken = np.zeros(len(samples), bool)
    for command in recording.commands:
        spoken[round(command.start_s * rate) : round(command.end_s * rate)] = True
    # Outside, there is at most what a command began with before it was loud enough.
    assert np.abs(samples[~spoken]).max() < 0.02
    last = round(recording.commands[-1].end_s * rate) - 1
    assert np.abs(samples[last]) > 0.001


@pytest.mark.process
def test_a_recording_is_kept_until_it_is_to_say_something_else(recording, folder, monkeypatch):
    assert recording.maker_pid > 0
    again = recording_in(folder)
    assert again == Recording(recording.path, recording.commands, again.duration_s, 0)
    assert again.duration_s == pytest.approx(recording.duration_s)
    monkeypatch.setattr(recordings, "COMMANDS", ("lock the front door",))
    other = recording_in(folder)
    assert other.maker_pid > 0
    assert [command.text for command in other.commands] == ["lock the front door"]


@pytest.mark.process
@pytest.mark.parametrize("damage", ["no note", "note is no JSON", "other sound"])
def test_a_damaged_recording_is_made_again(tmp_path, damage, monkeypatch):
    monkeypatch.setattr(recordings, "COMMANDS", ("lock the front door",))
    first = recording_in(tmp_path)
    note = tmp_path / "commands.json"
    if damage == "no note":
        note.unlink()
    elif damage == "note is no JSON":
        note.write_text("{")
    else:
        with WavWriter(first.path) as file:
            file.write(Audio(np.zeros(8, np.float32), 8000))
    again = recording_in(tmp_path)
    assert again.maker_pid > 0
    assert again.commands == first.commands


@pytest.mark.parametrize(("at_s", "index"), [(0.0, 0), (0.6, 0), (1.9, 0), (3.0, 1), (9.0, 1)])
def test_an_output_belongs_to_the_command_before_it(at_s, index):
    commands = [Command("one", 0.5, 1.0), Command("two", 3.0, 4.0)]
    assert command_at(round(at_s * 1e9), commands) == index


def test_a_command_cut_in_two_is_not_right():
    heard = Heard(Command("turn on the light", 0, 1))
    assert not heard.right
    heard.transcripts = ["turn on", "the light"]
    assert heard.transcript == "turn on / the light"
    assert not heard.right
    heard.transcripts = ["turn on the light"]
    assert heard.right


@pytest.mark.process
def test_a_trial_understands_answers_and_counts(tmp_path):
    recording = recording_in(tmp_path)
    pipeline = Pipeline.from_manifest(show.MANIFEST)
    trial = asyncio.run(run_trial(pipeline, recording, paced=False))
    assert trial.right
    assert [heard.transcript for heard in trial.heard] == list(COMMANDS)
    assert all(heard.reply_s > 0.5 for heard in trial.heard)
    nodes = {node.id: node for node in trial.nodes}
    assert nodes["chunker"].received == -(-recording.duration_s * 1000 // BLOCK_MS)
    assert nodes["stt"].emitted == len(COMMANDS)
    assert nodes["stt"].received == nodes["accumulator"].emitted > 10 * len(COMMANDS)  # parts
    assert nodes["tts"].emitted == len(trial.replies)
    assert len({node.pid for node in trial.nodes}) == 4
    assert trial.busy_ms == pytest.approx(sum(node.busy_ms for node in trial.nodes))


@pytest.mark.process
def test_the_command_shows_all_of_it(place):
    result = place.run("demo", "--out", "made")
    assert result.returncode == 0, result.stderr
    assert place.left() == set()
    assert result.stderr == ""
    told = result.stdout
    assert re.search(r"commands\.wav: 5 commands, .* spoken just now by EspeakTTSNode", told)
    for text in COMMANDS:
        assert re.search(rf"^ *{text} +{text} +yes *$", told, re.MULTILINE), told
    pids = dict(re.findall(r"^ (stt|reply|tts) .* process of its own +(\d+) ", told, re.MULTILINE))
    assert len(set(pids.values())) == 3
    assert re.search(r"^ reply .* the manifest says so", told, re.MULTILINE)
    assert re.search(r"^ stt .* its operator's default", told, re.MULTILINE)
    assert re.search(r"^ sum +[\d.]+ *$", told, re.MULTILINE)
    assert re.search(r"Wall time \d+ ms for [\d.]+ s of sound .* against \d+ ms of work", told)
    assert re.search(r"first audio out: p50 \d+ ms, max \d+ ms \(5 commands\)", told)
    assert "Every command was understood and answered." in told
    (example,) = re.findall(
        r"^ +remotemedia run (\S+) --input chunker=FILE\.wav", told, re.MULTILINE
    )
    assert json.loads(Path(example).read_text())["metadata"]["name"] == "home-automation"
    info = soundfile.info(place.folder / "made" / "replies.wav")
    assert info.duration > 5


# --- when it fails ----------------------------------------------------------------------------


@pytest.fixture
def spoil(monkeypatch, tmp_path):
    """Let the trials end as given; the command then runs without any process."""

    def give(**facts):
        command = Command("lock the front door", 0.5, 1.5)

        async def trial(*_, **__):
            return Trial([Heard(command, **facts)], start_ms=1.0, wall_ms=1.0)

        made = Recording(tmp_path / "commands.wav", (command,), 3.0, 0)
        monkeypatch.setattr(show, "run_trial", trial)
        monkeypatch.setattr(show, "recording_in", lambda folder: made)
        return CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "out")])

    return give


def test_a_command_that_was_not_understood_fails_it(spoil):
    result = spoil(transcripts=["lock the back door"], reply_s=1.0, latency_ms=100.0)
    assert result.exit_code == 1
    assert "NO" in result.stdout
    words = "Not understood: 'lock the front door' was taken for 'lock the back door'."
    assert words in result.stdout


def test_a_command_that_was_not_heard_or_answered_fails_it(spoil):
    result = spoil()
    assert result.exit_code == 1
    assert "was taken for 'nothing'" in result.stdout
    assert "Not answered: 'lock the front door'." in result.stdout
    assert "No reply came." in result.stdout


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "file")])
    assert result.exit_code == 2
    assert "cannot make the folder" in result.stderr
    assert "Traceback" not in result.output
