"""How the demonstration tells what it did; readable in a terminal and in a file. Source: US1."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from remotemedia.demo.history import Line
    from remotemedia.demo.interrupts import BargeIn, Conversation
    from remotemedia.demo.recording import Recording
    from remotemedia.demo.trial import Heard, Trial

_RULES: Final = {
    "manifest": "the manifest says so",
    "operator": "its operator's default",
    "pattern": "a Python node by its name",
    "default": "local unless told otherwise",
    "disabled": "processes are disabled",
}
#: Width where the report goes into a file or a pipe: its tables stay whole.
_PIPED_WIDTH: Final = 110
#: Interrupts that are told one by one.
_TOLD_MAX: Final = 8


class Report:
    """Prints the sections of the demonstration, in their order."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = _PIPED_WIDTH

    def recording(self, recording: Recording) -> None:
        """What is going to be said."""
        self._heading("The recording")
        how = (
            f"spoken just now by EspeakTTSNode, run by the engine in process {recording.maker_pid}"
            if recording.maker_pid
            else "spoken by EspeakTTSNode in an earlier run; delete it to have it spoken anew"
        )
        count, length_s = len(recording.commands), recording.duration_s
        self._say(f"{recording.path}: {count} commands, {length_s:.1f} s, {how}.")

    def places(self, trial: Trial) -> None:
        """Which node ran where, and why."""
        self._heading("Which node ran where")
        table = _table("node", "type", "where", "pid", "because")
        for node in trial.nodes:
            where = "process of its own" if node.executor == "process" else "this process"
            table.add_row(
                node.id, node.node_type, where, str(node.pid or "none"), _RULES[node.rule]
            )
        self._console.print(table)

    def transcripts(self, trial: Trial) -> None:
        """What was understood beside what was said."""
        self._heading("What was said, and what was understood")
        table = _table("said", "understood", "equal")
        for heard in trial.heard:
            verdict = Text("yes", "green") if heard.right else Text("NO", "bold red")
            table.add_row(heard.command.text, heard.transcript or "(nothing)", verdict)
        self._console.print(table)

    def times(self, trial: Trial, recording: Recording) -> None:
        """What each node did, and how the sum compares with the clock."""
        self._heading("Time per node, fed as fast as it is taken")
        numbers = ("received", "emitted", "busy ms")
        table = _table("node", *numbers, right=numbers)
        for node in trial.nodes:
            table.add_row(node.id, str(node.received), str(node.emitted), f"{node.busy_ms:.1f}")
        table.add_section()
        table.add_row("sum", "", "", f"{trial.busy_ms:.1f}")
        self._console.print(table)
        wall_ms, busy_ms, length_s = trial.wall_ms, trial.busy_ms, recording.duration_s
        self._say(
            f"Wall time {wall_ms:.0f} ms for {length_s:.1f} s of sound"
            f" ({length_s * 1e3 / wall_ms:.0f} × real time),"
            f" against {busy_ms:.0f} ms of work in"
            f" all nodes together: on average {busy_ms / wall_ms:.2f} nodes were at work."
            f" Before that, starting took {trial.start_ms:.0f} ms."
        )

    def latency_begins(self, recording: Recording) -> None:
        """The run in real time begins."""
        self._heading("Latency, fed in real time")
        self._say(f"The same again in a new session, {recording.duration_s:.0f} s:")

    def heard(self, heard: Heard) -> None:
        """A reply has begun."""
        self._console.print(
            f"  {heard.command.end_s:5.1f} s  {heard.transcript}  "
            f"(text after {heard.text_latency_ms or 0:.0f} ms, first audio after"
            f" {heard.latency_ms or 0:.0f} ms)",
            soft_wrap=True,
        )

    def latencies(self, trial: Trial, silence_ms: int) -> None:
        """From the end of speech to the first audio."""
        values = trial.latencies_ms
        if not values:
            self._say("No reply came.")
            return
        p50_ms, max_ms = statistics.median(values), values[-1]
        self._say(
            f"From the end of speech to the first audio out: p50 {p50_ms:.0f} ms,"
            f" max {max_ms:.0f} ms ({len(values)} commands)."
        )
        self._say(
            "Measured from the moment when the 20 ms block with a command's last speech sample was"
            " handed to the session, blocks being fed by the clock, to the moment when the first"
            f" audio packet of its reply had left the session. It includes the {silence_ms} ms of"
            " silence by which the vad knows that speech has ended."
        )

    def replies(self, path: Path, seconds: float) -> None:
        """Where the replies are."""
        self._heading("The replies")
        self._say(f"{path}: {seconds:.1f} s.")

    def next_steps(self, manifest: Path) -> None:
        """How to go on."""
        self._heading("Your own")
        self._say("Your own recording, and what is understood of it:")
        self._command(
            f"remotemedia run {manifest} --input chunker=FILE.wav --output tts=replies.wav"
        )
        self._say("Your own manifest: copy that one, change it, and")
        self._command("remotemedia validate MANIFEST.json")
        self._command("remotemedia run MANIFEST.json --input NODE=FILE")

    def interrupts_begin(self, count: int, seed: int) -> None:
        """Announce a conversation that is interrupted."""
        self._heading("Interrupting the replies")
        self._say(
            f"{count} commands, each reply interrupted at a random instant (seed {seed}): reply,"
            " tts and player drop what they have, what listens goes on."
        )

    def conversation(self, conversation: Conversation) -> None:
        """What was heard, and how the interrupts went."""
        told = conversation.barge_ins[:_TOLD_MAX]
        numbers = ("after ms", "played ms", "of ms", "acknowledged ms")
        table = _table("said", *numbers, right=numbers)
        for each in told:
            table.add_row(each.command.text, *_numbers(each))
        self._console.print(table)
        if len(conversation.barge_ins) > len(told):
            self._say(f"and {len(conversation.barge_ins) - len(told)} more.")
        self._heading("The history: what was said, and what was heard of the replies")
        for line in _first(conversation.history.lines, len(told)):
            self._console.print(Text(f"  {line.speaker:<5}  {line}"), soft_wrap=True)
        taken_ms = sorted(each.acknowledged_ms for each in conversation.barge_ins)
        p50_ms, p99_ms = statistics.median(taken_ms), taken_ms[math.ceil(len(taken_ms) * 0.99) - 1]
        heard_s = sum(each.played_ns for each in conversation.barge_ins) / 1e9
        self._console.print()
        self._say(
            f"{len(taken_ms)} interrupts, acknowledged after p50 {p50_ms:.2f} ms,"
            f" p99 {p99_ms:.2f} ms; {heard_s:.1f} s of replies were heard."
        )
        if conversation.late:
            self._say(f"{conversation.late} of them had not settled everywhere within a second.")
        silent = [each.command.text for each in conversation.barge_ins if each.reply_ms is None]
        for text in silent:
            self._console.print(Text(f"Not answered: {text!r}.", "bold red"), soft_wrap=True)
        stale = f"Stale packets that came out after an acknowledgement: {conversation.stale}."
        self._console.print(Text(stale, "bold red" if conversation.stale else "green"))

    def verdict(self, trials: list[Trial]) -> None:
        """How it went."""
        wrong = [heard for trial in trials for heard in trial.heard if not heard.right]
        silent = [heard for trial in trials for heard in trial.heard if not heard.reply_s]
        self._console.print()
        if not wrong and not silent:
            self._console.print(Text("Every command was understood and answered.", "green"))
            return
        for heard in wrong:
            self._console.print(
                Text(
                    f"Not understood: {heard.command.text!r} was taken for"
                    f" {heard.transcript or 'nothing'!r}.",
                    "bold red",
                ),
                soft_wrap=True,
            )
        for heard in silent:
            self._console.print(
                Text(f"Not answered: {heard.command.text!r}.", "bold red"), soft_wrap=True
            )

    def _heading(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, "bold"))

    def _say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=not self._console.is_terminal)

    def _command(self, text: str) -> None:
        self._console.print(Text(f"    {text}", "cyan"), soft_wrap=True)


def _numbers(barge_in: BargeIn) -> list[str]:
    after_ms = "no reply" if barge_in.reply_ms is None else f"{barge_in.reply_ms:.0f}"
    of_ns = sum(each.of_ns for each in barge_in.played)
    times_ms = (barge_in.played_ns / 1e6, of_ns / 1e6)
    return [after_ms, *(f"{time:.0f}" for time in times_ms), f"{barge_in.acknowledged_ms:.2f}"]


def _first(lines: Sequence[Line], replies: int) -> list[Line]:
    """The lines up to so many replies."""
    ends = [at for at, line in enumerate(lines, 1) if line.speaker == "reply"][:replies]
    return list(lines[: ends[-1]]) if ends else list(lines)


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table
