"""The client in TypeScript does what the one in Python does: `make test-all` runs this.

It needs Node.js and what `npm ci` installs, so `make test` does not collect it.
"""

from __future__ import annotations

import subprocess

import pytest

from tests.doc_blocks import ROOT, Page, commands
from tests.remotemedia.serve_helpers import LOCAL, Service

pytestmark = [pytest.mark.net]

CLIENT = ROOT / "examples" / "typescript" / "build" / "client.js"
PATIENCE_S = 60


def test_it_prints_what_the_readme_shows(tmp_path):
    page = Page.read(ROOT / "examples" / "README.md")
    shown = next(
        expected
        for block in page.of("console")
        for command, expected in commands(block)
        if "grpc_client.py" in command
    )
    service = Service(tmp_path, "--grpc", LOCAL)
    try:
        done = subprocess.run(
            ["node", CLIENT, service.address],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    finally:
        service.process.terminate()
        service.process.communicate(timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    *lines, watched = done.stdout.splitlines()
    assert lines == shown.splitlines()
    assert watched == "watched: CLOSE_REASON_CODE_NORMAL"
