"""Session: the older way to start a pipeline and wait for it."""

import asyncio
import json
import threading

import pytest

from engine.errors import InitTimeoutError, NodeError, UsageError
from engine.pipeline import Pipeline as EnginePipeline
from remotemedia import builtin_registry
from remotemedia.core.multiprocess import InitProgress, InitStatus, Node, Pipeline, Session
from remotemedia.core.multiprocess.session import (
    InitializationFailedError,
    InitializationTimeoutError,
    SessionStatus,
)
from tests.remotemedia.core.field.value_nodes import ShoutNode

pytestmark = pytest.mark.process


class Never(Node):
    """Is never ready."""

    async def initialize(self):
        self.publish_progress("loading_model", "forever")
        await asyncio.Event().wait()

    def process(self, data):
        return data


class Broken(Node):
    def initialize(self):
        raise ValueError("no weights")

    def process(self, data):
        return data


def heavy(name="heavy"):
    return Pipeline(name).add_node("model", "HeavyModelNode").add_node("out", "PassThrough")


def test_it_waits_until_every_node_is_ready_and_tells_each_step():
    told = []
    session = Session("my_session", heavy())
    assert session.get_status() is SessionStatus.CREATED
    assert session.wait_for_initialization(timeout_secs=30, progress_callback=told.append)
    try:
        assert session.status is SessionStatus.READY
        assert session.session_id == "my_session"
        assert all(isinstance(step, InitProgress) for step in told)
        of_model = [step for step in told if step.node_id == "model"]
        assert {step.node_type for step in of_model} == {"HeavyModelNode"}
        loading = [step for step in of_model if step.status == "loading_model"]
        assert [(step.progress, step.message) for step in loading] == [
            (0.0, "reading weights"),
            (0.5, "in a thread"),
        ]
        assert loading[0].status is InitStatus.LOADING_MODEL
        (own,) = [step for step in of_model if step.status == "warming_up"]
        assert own.status.value == "warming_up"
        assert of_model[-1].status is InitStatus.READY
        assert of_model[-1].progress == 1.0
        assert [step.timestamp for step in told] == sorted(step.timestamp for step in told)
        assert {step.node_id for step in session.get_init_progress()} == {"model", "out"}
        assert session.wait_for_initialization()  # it is ready already
    finally:
        session.terminate()
    assert session.status is SessionStatus.TERMINATED


def test_it_runs_on_input():
    with Session(heavy()) as session:
        assert session.wait_for_initialization(progress_callback=lambda progress: None)
        session.run()
        assert session.status is SessionStatus.RUNNING
        assert session.run(["a", {"b": 1}]) == [
            {"score": 6.0, "type": "text"},
            {"score": 6.0, "type": "json"},
        ]
        assert session.get_uptime() > 0


def test_it_is_fed_and_read_item_by_item():
    with Session(Pipeline([ShoutNode()])) as session:
        session.wait_for_initialization()
        assert session.send("hi") == 0
        assert session.receive(timeout_secs=30) == "HI!"
        with pytest.raises(TimeoutError):
            session.receive(timeout_secs=0.01)
        session.end_input()
        assert session.receive() is None


@pytest.mark.parametrize("form", ["mapping", "json", "path", "engine", "nodes"])
def test_it_takes_whatever_can_run(form, tmp_path):
    manifest = heavy().to_manifest()
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest))
    of = {
        "mapping": manifest,
        "json": json.dumps(manifest),
        "path": path,
        "engine": EnginePipeline.from_manifest(manifest, registry=builtin_registry()),
        "nodes": [ShoutNode()],
    }[form]
    with Session(of) as session:
        assert session.wait_for_initialization(timeout_secs=30)


@pytest.mark.parametrize("executor", ["local", "process"])
def test_a_node_that_is_not_ready_in_time_is_named(executor):
    manifest = Pipeline([Never(name="slow")]).to_manifest()
    manifest["nodes"][0]["executor"] = executor
    told = []
    session = Session("s", manifest)
    with pytest.raises(InitializationTimeoutError, match="slow_0") as caught:
        session.wait_for_initialization(timeout_secs=0.5, progress_callback=told.append)
    error = caught.value
    assert all(isinstance(error, kind) for kind in (InitTimeoutError, TimeoutError, RuntimeError))
    assert "after 0.5" in str(error)
    assert "loading_model" in {step.status for step in told}
    assert session.status is SessionStatus.ERROR
    session.terminate()
    assert session.status is SessionStatus.ERROR


@pytest.mark.parametrize("executor", ["local", "process"])
def test_a_node_that_cannot_be_initialized_is_named(executor):
    manifest = Pipeline([Broken(name="bad")]).to_manifest()
    manifest["nodes"][0]["executor"] = executor
    with pytest.raises(InitializationFailedError, match=r"'bad_0'.*no weights") as caught:
        Session(manifest).wait_for_initialization()
    assert caught.value.node_id == "bad_0"
    assert isinstance(caught.value, NodeError)
    assert isinstance(caught.value, RuntimeError)


def test_a_callback_that_raises_holds_nothing_up(caplog):
    def bad(progress):
        raise KeyError(progress.node_id)

    told = []
    with Session(heavy()) as session:
        session.add_progress_callback(bad)
        session.add_progress_callback(told.append)
        assert session.wait_for_initialization()
        session.remove_progress_callback(bad)
    assert "progress_callback_raised: node model" in caplog.text
    assert told


async def test_it_may_be_awaited_by_those_who_do():
    session = Session(heavy())
    assert await session.wait_for_initialization() is True
    session.terminate()


def test_what_cannot_be_is_said():
    with pytest.raises(UsageError, match="needs something to run"):
        Session("id").wait_for_initialization()
    with pytest.raises(RuntimeError, match="call wait_for_initialization first"):
        Session(heavy()).run()
    with pytest.raises(RuntimeError, match="is created: call wait_for_initialization"):
        Session(heavy()).send("a")


def test_terminating_twice_and_before_the_start_is_fine():
    session = Session(heavy())
    session.terminate()
    assert session.status is SessionStatus.TERMINATED
    with Session(heavy()) as started:
        started.wait_for_initialization()
        started.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("remotemedia-session")]
