"""Each error of the engine, as it is told."""

from __future__ import annotations

import json

import grpc
import pytest

from engine.errors import (
    EdgeError,
    EdgeOverflowError,
    InitTimeoutError,
    ManifestError,
    MediaError,
    NodeError,
    PeerDiedError,
    Problem,
    RemoteMediaError,
    ResourceLimitError,
    SpawnError,
    StartupError,
    TransportError,
    UsageError,
    WorkerCrashedError,
)
from engine.packet import WrongKindError
from protos.remotemedia.v1 import common_pb2 as wire
from transports.rpc.errors import (
    InputError,
    InputKindError,
    SessionEndedError,
    VersionError,
    error_response,
    verdict_of,
)

Status = grpc.StatusCode
TABLE = [
    (ManifestError([Problem("a", "b")]), "VALIDATION", Status.INVALID_ARGUMENT),
    (UsageError("x"), "VALIDATION", Status.INVALID_ARGUMENT),
    (InputError("x"), "VALIDATION", Status.INVALID_ARGUMENT),
    (InputKindError("x"), "TYPE_VALIDATION", Status.INVALID_ARGUMENT),
    (NodeError.of("n", WrongKindError("x"), during="process"), "TYPE_VALIDATION", None),
    (VersionError("x"), "VERSION_MISMATCH", Status.FAILED_PRECONDITION),
    (SessionEndedError("x"), "INTERNAL", Status.UNAVAILABLE),
    (ResourceLimitError("x"), "RESOURCE_LIMIT", Status.RESOURCE_EXHAUSTED),
    (EdgeOverflowError("x"), "RESOURCE_LIMIT", Status.RESOURCE_EXHAUSTED),
    (StartupError("x"), "NODE_EXECUTION", Status.ABORTED),
    (InitTimeoutError("x"), "NODE_EXECUTION", Status.ABORTED),
    (SpawnError("x"), "NODE_EXECUTION", Status.ABORTED),
    (NodeError.of("n", TypeError("x"), during="process"), "NODE_EXECUTION", Status.ABORTED),
    (WorkerCrashedError("x"), "NODE_EXECUTION", Status.ABORTED),
    (MediaError("x"), "NODE_EXECUTION", Status.ABORTED),
    (EdgeError("x"), "INTERNAL", Status.INTERNAL),
    (PeerDiedError("x"), "INTERNAL", Status.INTERNAL),
    (TransportError("x"), "INTERNAL", Status.INTERNAL),
    (RemoteMediaError("x"), "INTERNAL", Status.INTERNAL),
    (ZeroDivisionError("x"), "INTERNAL", Status.INTERNAL),
]


@pytest.mark.parametrize(
    ("error", "name", "status"), TABLE, ids=[type(error).__name__ for error, *_ in TABLE]
)
def test_every_error_has_its_type_and_its_status(error, name, status):
    verdict = verdict_of(error)
    assert wire.ErrorType.Name(verdict.error_type) == f"ERROR_TYPE_{name}"
    if status is not None:
        assert verdict.status is status
    # Also as another process tells it.
    if isinstance(error, RemoteMediaError):
        assert verdict_of(RemoteMediaError.from_dict(error.to_dict())) == verdict


def test_every_class_of_the_tree_is_in_the_table():
    classes, pending = set(), [RemoteMediaError]
    while pending:
        cls = pending.pop()
        classes.add(cls)
        pending += cls.__subclasses__()
    mine = {cls for cls in classes if cls.__module__ in {"engine.errors", "transports.rpc.errors"}}
    told = {type(error) for error, *_ in TABLE}
    abstract = {"EdgeClosedError"}  # the session has ended; nobody is told
    assert {cls.__name__ for cls in mine - told} == abstract


def test_only_validation_errors_begin_so():
    assert error_response(InputError("x")).message == "Validation error: x"
    assert error_response(InputKindError("x")).message == "x"
    assert error_response(NodeError("x")).message == "x"


def test_a_timeout_of_the_start_begins_as_clients_expect():
    error = InitTimeoutError("node 'a' is late", node_ids=["a"], init_timeout_s=2.0)
    told = error_response(error)
    assert told.message == "Initialization timeout after 2s: node 'a' is late"
    assert told.failing_node_id == "a"
    error = InitTimeoutError("Initialization timeout after 2s in 'a'", init_timeout_s=2.0)
    assert error_response(error).message == "Initialization timeout after 2s in 'a'"


def test_the_context_is_json_whatever_it_holds():
    error = NodeError("x", node_id="n", odd=object(), infinite=float("inf"), surrogate="\ud800")
    told = error_response(error)
    facts = json.loads(told.context, parse_constant=pytest.fail)
    assert facts["code"] == "node"
    assert facts["node_id"] == "n"


def test_lone_surrogates_do_not_stop_the_message():
    told = error_response(NodeError("bad \ud800 text", node_id="n\ud800"))
    assert told.message == "bad ? text"
    assert told.failing_node_id == "n?"


def test_the_traceback_of_another_process_is_passed_on_cut():
    error = NodeError("x")
    error.remote_traceback = "a" * 20_000 + "the end"
    assert error_response(error).stack_trace.endswith("the end")
    assert len(error_response(error).stack_trace) == 16_384


def test_tracebacks_of_ours_are_told_only_for_debugging():
    with pytest.raises(UsageError) as caught:
        raise UsageError("x")
    assert error_response(caught.value).stack_trace == ""
    assert "test_errors.py" in error_response(caught.value, debug=True).stack_trace
