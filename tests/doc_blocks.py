"""Runs the code blocks of a page of documentation as they stand there.

What a block's info string says of it:

    ```python title=gain.py     a file; files are written before anything is run
    ```python                   part of the page's program: all these, in order, in one process
    ```text                     behind a block of the program: what it prints; else prose
    ```console                  commands after "$ ", each with the standard output it must give
    ```json, yaml, toml         a file where it has a title; read in any case

"…" in an expected output stands for anything.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = {"python", "console", "json", "yaml", "toml", "text", "sh", "mermaid", "typescript"}

_FENCE = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

#: Runs the blocks of a program, each given as [name, text], and prints what each printed.
_RUN_PROGRAM = """
import contextlib, io, json, linecache, sys
for name, text in json.load(sys.stdin):
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, name, "exec"), sys.modules["__main__"].__dict__)
    print(json.dumps(printed.getvalue()), flush=True)
"""


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    title: str
    text: str
    line: int

    @property
    def is_program(self) -> bool:
        return self.language == "python" and not self.title


@dataclass(frozen=True)
class Page:
    """A page and its blocks."""

    path: Path
    blocks: tuple[Block, ...]

    @classmethod
    def read(cls, path: Path) -> Page:
        text = path.read_text(encoding="utf-8")
        return cls(path, tuple(_block(found, text) for found in _FENCE.finditer(text)))

    def of(self, language: str) -> list[Block]:
        return [block for block in self.blocks if block.language == language]

    def write_files(self, folder: Path) -> None:
        for block in self.blocks:
            if block.title:
                (folder / block.title).write_text(block.text, encoding="utf-8")

    def program(self) -> list[tuple[Block, str | None]]:
        """The blocks of the program, each with the output it must have, if it says so."""
        pairs = []
        for block, following in itertools.pairwise([*self.blocks, None]):
            if block is not None and block.is_program:
                says = following is not None and following.language == "text"
                pairs.append((block, following.text if says else None))
        return pairs

    def where(self, block: Block) -> str:
        return f"{self.path.name}:{block.line}"


def _block(found: re.Match[str], text: str) -> Block:
    language, _, title = found["info"].partition(" title=")
    line = text.count("\n", 0, found.start()) + 1
    return Block(language.strip(), title.strip().strip('"'), found["text"], line)


def read_data(block: Block) -> object:
    """The document a data block holds."""
    if block.language == "json":
        return json.loads(block.text)
    if block.language == "yaml":
        return yaml.safe_load(block.text)
    return tomllib.loads(block.text)


def says(expected: str, actual: str) -> bool:
    """Whether an output is the expected one."""
    parts = [re.escape(part) for part in expected.rstrip("\n").split("…")]
    return re.fullmatch(".*?".join(parts), actual.rstrip("\n"), re.DOTALL) is not None


def commands(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with what it is to print."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in found]


def environment() -> dict[str, str]:
    """That of a user: our command on the path, no settings of this machine."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {"REMOTEMEDIA_CONFIG"}
    return {**{k: v for k, v in os.environ.items() if k not in settings}, "PATH": path}


def run_command(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of a console block."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def run_program(page: Page, folder: Path) -> tuple[list[str], str]:
    """Run a page's program.

    Returns:
        What each of its blocks printed, up to the one that failed; and the standard error.
    """
    blocks = [(page.where(block), block.text) for block, _ in page.program()]
    done = subprocess.run(
        [sys.executable, "-c", _RUN_PROGRAM],
        cwd=folder,
        env=environment(),
        input=json.dumps(blocks),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr
