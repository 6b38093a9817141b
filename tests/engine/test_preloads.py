"""What a zygote loads is there in its workers, and what it cannot load stops none."""

from __future__ import annotations

import sys

import pytest

from engine import preloads
from engine.config import Settings
from engine.operator import Operator
from engine.payloads import Json
from engine.pipeline import Pipeline
from engine.workers.service import WorkerService


class Loaded(Operator):
    """Which modules were there before it was imported."""

    def process(self, packet, ctx):
        return Json([name in sys.modules for name in packet.payload.value])


@pytest.fixture
def own_service(monkeypatch):
    """A service of this test's own, whose zygote starts with these preloads."""
    service = WorkerService()
    monkeypatch.setattr(WorkerService, "shared", classmethod(lambda cls: service))
    yield service
    service.close()


def test_modules_are_kept_once_and_in_order(monkeypatch):
    monkeypatch.setattr(preloads, "_MODULES", {})
    for name in ("b", "a", "b"):
        preloads.add(name)
    assert preloads.modules() == ("b", "a")


@pytest.mark.process
def test_a_worker_finds_them_loaded(monkeypatch, own_service):
    monkeypatch.setattr(preloads, "_MODULES", {})
    for name in ("colorsys", "no_such_module_at_all"):
        preloads.add(name)
    pipeline = Pipeline("x", settings=Settings()) | Loaded().on("process")
    (packet,) = pipeline.run([Json(["colorsys", "wave", "no_such_module_at_all"])])
    assert packet.payload.value == [True, False, False]


@pytest.mark.process
@pytest.mark.parametrize(
    "text", ["raise RuntimeError('broken')", "import no_such_module", "raise SystemExit(1)"]
)
def test_what_cannot_be_loaded_stops_no_worker(monkeypatch, own_service, tmp_path, text):
    (tmp_path / "broken_preload.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(preloads, "_MODULES", {})
    for name in ("broken_preload", "no_such_package.module", "colorsys"):
        preloads.add(name)
    pipeline = Pipeline("x", settings=Settings()) | Loaded().on("process")
    (packet,) = pipeline.run([Json(["broken_preload", "colorsys"])])
    assert packet.payload.value == [False, True]
