"""The demonstration with interrupts: nothing stale, and a history of what was heard."""

import asyncio
import re

import pytest
from typer.testing import CliRunner

from engine.interruption import Played
from remotemedia.cli import app
from remotemedia.demo import show
from remotemedia.demo.history import Line
from remotemedia.demo.interrupts import PLAYER, SCOPE, BargeIn, Conversation, converse, with_player
from remotemedia.demo.recording import COMMANDS, Command, Recording, recording_in

REPLIES = {
    "turn on the light in the kitchen": "The light in the kitchen is on.",
    "set the heating to twenty one degrees": "The heating is set to twenty one degrees.",
    "close the blinds in the bedroom": "Closing the blinds in the bedroom.",
    "lock the front door": "The front door is locked.",
    "play the music in the living room": "Here is music for the living room.",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("interrupts")


def test_the_pipeline_is_the_demonstrations_with_a_player_behind_the_speaker():
    manifest = with_player(show.MANIFEST).to_manifest()
    assert [node["id"] for node in manifest["nodes"]][-3:] == [SCOPE, "tts", PLAYER]
    assert {"from": "tts", "to": PLAYER} in [
        {key: each[key] for key in ("from", "to")} for each in manifest["connections"]
    ]


@pytest.mark.process
def test_what_the_history_holds_is_what_came_out(folder):
    pipeline = with_player(show.MANIFEST)
    conversation = asyncio.run(converse(pipeline, recording_in(folder), interrupts=5, seed=3))
    assert conversation.right
    assert conversation.stale == 0
    assert set(REPLIES) == set(COMMANDS)
    said = [line for line in conversation.history.lines if line.speaker == "user"]
    heard = [line for line in conversation.history.lines if line.speaker == "reply"]
    assert [line.text for line in said] == [each.command.text for each in conversation.barge_ins]
    for each, line in zip(conversation.barge_ins, heard, strict=True):
        (played,) = each.played
        assert played.metadata["text"] == REPLIES[each.command.text]
        # The player runs on the session's loop: what it has handed on had come out.
        assert each.received_ns == pytest.approx(played.played_ns, abs=1_000)
        assert played.played_ns <= played.of_ns
        words = played.metadata["text"].split()
        count = len(words) * played.played_ns // played.of_ns
        assert line == Line("reply", " ".join(words[:count]), cut=played.played_ns < played.of_ns)


@pytest.mark.process
def test_the_command_interrupts_and_says_how_it_went(place):
    result = place.run("demo", "--interrupts", "3", "--seed", "5", "--out", "made")
    assert result.returncode == 0, result.stderr
    assert place.left() == set()
    assert result.stderr == ""
    assert "interrupted at a random instant (seed 5)" in result.stdout
    assert re.search(
        r"^3 interrupts, acknowledged after p50 [\d.]+ ms", result.stdout, re.MULTILINE
    )
    assert "Stale packets that came out after an acknowledgement: 0." in result.stdout
    assert len(re.findall(r"^ +user  ", result.stdout, re.MULTILINE)) == 3
    assert len(re.findall(r"^ +reply  .*\n", result.stdout, re.MULTILINE)) == 3


# --- when it fails ----------------------------------------------------------------------------


@pytest.fixture
def spoil(monkeypatch, tmp_path):
    """Let the conversation end as given; the command then runs without any process."""

    def give(barge_in, **facts):
        async def conversation(*_, **__):
            return Conversation([barge_in], **facts)

        made = Recording(tmp_path / "commands.wav", (barge_in.command,), 3.0, 0)
        monkeypatch.setattr(show, "converse", conversation)
        monkeypatch.setattr(show, "recording_in", lambda folder: made)
        return CliRunner().invoke(app, ["demo", "--interrupts", "1", "--out", str(tmp_path)])

    return give


COMMAND = Command("lock the front door", 0.5, 1.5)


def answered():
    return BargeIn(COMMAND, [COMMAND.text], 100.0, 0.5, 10, (Played(0, 10, 20, {"text": "x"}),))


def test_stale_audio_fails_it(spoil):
    result = spoil(answered(), stale=2)
    assert result.exit_code == 1
    assert "Stale packets that came out after an acknowledgement: 2." in result.stdout


def test_a_command_that_was_not_answered_fails_it(spoil):
    result = spoil(BargeIn(COMMAND))
    assert result.exit_code == 1
    assert "Not answered: 'lock the front door'." in result.stdout


def test_a_stage_that_was_late_is_told(spoil):
    result = spoil(answered(), late=1)
    assert result.exit_code == 0
    assert "1 of them had not settled everywhere within a second." in result.stdout


def test_a_seed_is_chosen_and_told_where_none_is_given(spoil):
    assert re.search(r"\(seed \d+\)", spoil(answered()).stdout)


def test_no_interrupts_are_not_a_conversation():
    result = CliRunner().invoke(app, ["demo", "--interrupts", "0"])
    assert result.exit_code == 2
