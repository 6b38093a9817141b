"""The demonstration from beginning to end. Source: US1, NFR-003."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.errors import MediaError
from operators.audio.wav_file import WavWriter
from remotemedia.demo.interrupts import converse, with_player
from remotemedia.demo.recording import recording_in
from remotemedia.demo.report import Report
from remotemedia.demo.trial import run_trial
from remotemedia.pipeline import Pipeline

if TYPE_CHECKING:
    from remotemedia.demo.recording import Recording
    from remotemedia.demo.trial import Trial

#: The pipeline of the demonstration.
MANIFEST: Final = Path(__file__).with_name("manifest.json")


def show(folder: Path) -> bool:
    """Run the demonstration and print what it did.

    Args:
        folder: where the recording and the replies are written; made if it is missing.

    Returns:
        Whether every command was understood and answered, both times.

    Raises:
        MediaError: the folder cannot be made or written to.
        RemoteMediaError: a session failed.
    """
    report = Report()
    recording = _recording(folder, report)
    pipeline = Pipeline.from_manifest(MANIFEST)

    fast = asyncio.run(run_trial(pipeline, recording, paced=False))
    report.places(fast)
    report.transcripts(fast)
    report.times(fast, recording)

    report.latency_begins(recording)
    paced = asyncio.run(run_trial(pipeline, recording, paced=True, on_heard=report.heard))
    report.latencies(paced, _silence_ms(pipeline))

    replies = folder / "replies.wav"
    report.replies(replies, _write_replies(replies, fast))
    report.next_steps(MANIFEST)
    report.verdict([fast, paced])
    return fast.right and paced.right


def show_interrupts(folder: Path, *, interrupts: int, seed: int) -> bool:
    """Interrupt the replies at random instants, and print what was heard of them.

    Args:
        folder: where the recording is written; made if it is missing.
        interrupts: how many, at least 1.
        seed: of the choice of commands and instants.

    Returns:
        Whether every command was answered, and nothing stale came out.

    Raises:
        MediaError: the folder cannot be made or written to.
        RemoteMediaError: the session failed.
    """
    report = Report()
    recording = _recording(folder, report)
    report.interrupts_begin(interrupts, seed)
    conversation = asyncio.run(
        converse(with_player(MANIFEST), recording, interrupts=interrupts, seed=seed)
    )
    report.conversation(conversation)
    return conversation.right


def _recording(folder: Path, report: Report) -> Recording:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"cannot make the folder {folder}: {error.strerror}") from error
    recording = recording_in(folder)
    report.recording(recording)
    return recording


def _write_replies(path: Path, trial: Trial) -> float:
    """Write what was answered; gives its length in seconds."""
    with WavWriter(path) as file:
        for audio in trial.replies:
            file.write(audio)
    return sum(audio.duration_ns for audio in trial.replies) / 1e9


def _silence_ms(pipeline: Pipeline) -> int:
    """The silence by which the pipeline's voice activity detector ends an utterance."""
    nodes = {node["id"]: node for node in pipeline.to_manifest()["nodes"]}
    return int(nodes["vad"]["params"]["min_silence_duration_ms"])
