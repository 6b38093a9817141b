"""Peers: the same work done by somebody else, in a process and a virtual environment of its own.

`make peers` makes the environments, from requirements/peers-NAME.txt into .peers/NAME; their
dependencies clash with ours and with each other's. A peer's script lies in benches/scripts. It
answers each request, a JSON object on a line of its standard input, with one on standard output:

    → {"packets": 10000}
    ← {"seconds": 1.7, "cpu_seconds": 1.7}        or {"error": "what went wrong"}

What it imports or logs may print as it likes: the script keeps standard output for itself, see
`benches/scripts/answering.py`.
"""

from __future__ import annotations

import importlib.metadata
import json
import select
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from benches.rounds import CannotMeasure

if TYPE_CHECKING:
    from types import TracebackType

#: Peers that are installed, in which environment.
DISTRIBUTIONS = {
    "pipecat-ai": "pipecat",
    "dora-rs": "dora",
    "ray": "ray",
    "iceoryx2": "iceoryx2",
    "pyzmq": "pyzmq",
}

_ROOT = Path(__file__).parent.parent
_SCRIPTS = Path(__file__).parent / "scripts"
_LAST_LINES = 3
_END_S = 10.0


class Peer:
    """A peer's process: started by the first request, ended with the context."""

    def __init__(self, script: str, environment: str | None, *, timeout_s: float = 120.0) -> None:
        """Describe a peer.

        Args:
            script: its file in benches/scripts, without ".py".
            environment: name of its environment, or None for the interpreter that runs this.
            timeout_s: how long one answer may take, the first one with all its imports.
        """
        self._script = _SCRIPTS / f"{script}.py"
        self._environment = environment
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[str] | None = None
        self._stderr: IO[str] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            CannotMeasure: there is no environment, or the script failed or took too long.
        """
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise CannotMeasure(self._last_words()) from None
        line = self._read_line(process)
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise CannotMeasure(self._last_words()) from None
        if "error" in answer:
            raise CannotMeasure(f"{self._script.name}: {answer['error']}")
        return answer

    def _start(self) -> subprocess.Popen[str]:
        python = (
            sys.executable if self._environment is None else str(interpreter(self._environment))
        )
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the peer
        self._stack.callback(self._stderr.close)
        process = subprocess.Popen(
            # Neither PYTHON… variables nor the user's own packages reach it.
            [python, "-E", "-s", str(self._script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            cwd=_ROOT,
        )
        self._process = process
        return process

    def _read_line(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        # An answer is one short line, written at once: what is readable is all of it, or the end.
        ready, _, _ = select.select([process.stdout], [], [], self._timeout_s)
        if not ready:
            process.kill()
            raise CannotMeasure(f"{self._script.name} gave no answer for {self._timeout_s:g} s")
        return process.stdout.readline()

    def _last_words(self) -> str:
        assert self._process is not None
        assert self._stderr is not None
        try:
            code: int | str = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            code = "still running"
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr if line.strip()][-_LAST_LINES:]
        return f"{self._script.name} failed ({code}): {' / '.join(lines)}; try `make peers` again"

    def _end(self) -> None:
        process = self._process
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.close()
                process.wait(_END_S)
            except (subprocess.TimeoutExpired, BrokenPipeError):
                process.kill()
                process.wait()
            process.stdout.close()
        self._stack.close()


def interpreter(environment: str) -> Path:
    """The Python of a peer's environment.

    Raises:
        CannotMeasure: it has not been made.
    """
    python = _ROOT / ".peers" / environment / "bin" / "python"
    if not python.exists():
        raise CannotMeasure(f"there is no environment .peers/{environment}; `make peers` makes it")
    return python


def versions() -> dict[str, str | None]:
    """Which release of each peer its environment holds; None without one."""
    return {name: _version(environment, name) for name, environment in DISTRIBUTIONS.items()}


def _version(environment: str, distribution: str) -> str | None:
    packages = (_ROOT / ".peers" / environment / "lib").glob("python*/site-packages")
    paths = [str(path) for path in packages]
    found = importlib.metadata.distributions(name=distribution, path=paths)
    return next((each.version for each in found), None)
