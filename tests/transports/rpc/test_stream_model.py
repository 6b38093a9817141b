"""Random sequences of messages against a model of what a stream answers.

The model is written from the rules of the wire, not from the server: which message may come when,
what each chunk gives, and how the stream ends.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.config import Settings
from protos.remotemedia.v1 import common_pb2, streaming_pb2, streaming_pb2_grpc
from tests.transports.rpc.rpc_client import CANCEL, CLOSE, PATIENCE_S, manifest, text, value_of
from tests.transports.rpc.rpc_operators import make_registry
from transports.rpc.server import RpcServer
from transports.rpc.service import PipelineService

pytestmark = [pytest.mark.net]

#: Two nodes that take inputs: one answers each at once, one keeps all until the end.
GRAPH = manifest({"u": "Upper", "f": "Fail", "k": "Keep"}, ["u->f"])
NAMES = {1: "init", 2: "data_chunk", 3: "audio_chunk", 4: "control"}

words = st.sampled_from(["a", "bc", "d"])
sequences = st.integers(0, 2**64 - 1)
messages = st.one_of(
    st.tuples(st.just("init"), st.sampled_from(["v1", ""])),
    st.tuples(st.just("upper"), words, sequences),
    st.tuples(st.just("keep"), words, sequences),
    st.tuples(st.just("fail"), sequences),
    st.tuples(st.just("unknown"), words, sequences),
    st.tuples(st.just("inner"), words, sequences),
    st.tuples(st.just("no buffer"), sequences),
    st.tuples(st.just("empty buffer"), sequences),
    st.tuples(st.just("named"), words, sequences),
    st.tuples(st.just("late audio"), st.just(())),
    st.tuples(st.just("close")),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("no command")),
    st.tuples(st.just("nothing")),
)
#: Mostly streams that begin as they should.
streams = st.one_of(
    st.lists(messages, max_size=6),
    st.lists(messages, max_size=12).map(lambda rest: [("init", "v1"), *rest]),
)


def request_of(message):
    kind, *rest = message
    chunk = streaming_pb2.DataChunk
    match kind:
        case "init":
            init = streaming_pb2.StreamInit(manifest=GRAPH, client_version=rest[0])
            return streaming_pb2.StreamRequest(init=init)
        case "upper" | "keep" | "unknown" | "inner":
            node = {"upper": "u", "keep": "k", "unknown": "x", "inner": "f"}[kind]
            made = chunk(node_id=node, buffer=text(rest[0]), sequence=rest[1])
        case "fail":
            made = chunk(node_id="u", buffer=common_pb2.DataBuffer(), sequence=rest[0])
            made.buffer.json.json_payload = "1"  # Upper wants text
        case "no buffer":
            made = chunk(node_id="u", sequence=rest[0])
        case "empty buffer":
            made = chunk(node_id="u", buffer=common_pb2.DataBuffer(), sequence=rest[0])
        case "named":
            made = chunk(node_id="u", named_buffers={"in": text(rest[0])}, sequence=rest[1])
        case "late audio":
            made = None
            audio = streaming_pb2.AudioChunk(node_id="u")
            return streaming_pb2.StreamRequest(audio_chunk=audio)
        case "close" | "cancel" | "no command":
            command = {"close": CLOSE, "cancel": CANCEL, "no command": 0}[kind]
            control = streaming_pb2.StreamControl(command=command)
            return streaming_pb2.StreamRequest(control=control)
        case _:
            return streaming_pb2.StreamRequest()
    return streaming_pb2.StreamRequest(data_chunk=made)


@dataclass
class Expected:
    """What the client sees.

    Attributes:
        ready: whether the stream is opened.
        results: (sequence, node, value) of all that must come.
        end: "closed", "cancelled", "error"; "failed" (a node raised: what was under way is lost),
            perhaps "or cancelled".
    """

    ready: bool = False
    results: list = field(default_factory=list)
    end: str = ""


def model(sent):
    """What a stream of these messages gives, which the client half-closes then."""
    seen, kept = Expected(), []
    last_sequence = 0

    def flushed():
        return [(last_sequence if kept else None, "k", "+".join(kept))]

    for kind, *rest in sent:
        if not seen.ready:
            seen.ready = kind == "init" and rest[0] != ""
            if not seen.ready:
                seen.end = "error"
                return seen
        elif kind in {"upper", "named"}:
            seen.results.append((rest[1], "f", rest[0].upper()))
        elif kind == "keep":
            kept.append(rest[0])
            last_sequence = rest[1]
        elif kind == "fail":
            cancelled = any(later == "cancel" for later, *_ in sent)
            seen.end = "failed or cancelled" if cancelled else "failed"
            return seen
        elif kind == "cancel":
            seen.end = "cancelled"
            return seen
        elif kind == "close":
            break
        else:
            seen.end = "error"
            seen.results += flushed()
            return seen
    if not seen.ready:
        seen.end = "error"
        return seen
    cancelled = any(later == "cancel" for later, *_ in sent)  # a close that takes long may be cut
    seen.end = "closed or cancelled" if cancelled else "closed"
    seen.results += flushed()
    return seen


def check(sent, responses):
    expected = model(sent)
    kinds = [response.WhichOneof("response") for response in responses]
    *before, last = kinds
    assert before[:1] == (["ready"] if before else [])
    assert "ready" not in before[1:]
    assert set(before[1:]) <= {"result", "metrics"}
    found = []
    for number, response in enumerate(
        (response for response in responses if response.HasField("result")), start=1
    ):
        ((node, buffer),) = response.result.data_outputs.items()
        value = value_of(buffer)
        # What gives something when nothing came has no cause.
        found.append((response.result.sequence if value else None, node, value))
        assert response.result.total_items_processed == number
    cut = responses[-1].closed.reason == "Client requested cancel"
    match expected.end:
        case "closed" | "closed or cancelled" if not cut:
            assert responses[-1].closed.reason == "Client requested close"
            assert by_node(found) == by_node(expected.results)
        case "cancelled" | "closed or cancelled":
            # What had come out already is there, in order; or the session never got ready.
            assert cut
            assert is_beginning(found, expected.results)
        case "error":
            assert last == "error"
            assert responses[-1].error.error_type == common_pb2.ERROR_TYPE_VALIDATION
            assert ("ready" in kinds) <= expected.ready
            # What came before the error comes out; what is kept need not, since nothing was closed.
            rows = by_node(found)
            assert rows.get("f", []) == by_node(expected.results).get("f", [])
            assert rows.get("k", []) in ([], by_node(expected.results).get("k", []))
        case "failed or cancelled" if cut:
            pass
        case "failed" | "failed or cancelled":
            assert last == "error"
            assert responses[-1].error.error_type == common_pb2.ERROR_TYPE_TYPE_VALIDATION
            assert responses[-1].error.failing_node_id == "u"
            assert is_beginning(found, expected.results)
        case other:
            pytest.fail(f"{other} was expected, and the stream was cut")


def by_node(rows):
    nodes = {}
    for sequence, node, value in rows:
        nodes.setdefault(node, []).append((sequence, value))
    return nodes


def is_beginning(found, expected):
    return all(
        rows == by_node(expected).get(node, [])[: len(rows)]
        for node, rows in by_node(found).items()
    )


def call(address, sent):
    """The responses, as a client that sends and reads at the same time gets them."""
    with grpc.insecure_channel(address) as channel:
        stub = streaming_pb2_grpc.StreamingPipelineServiceStub(channel)
        return list(stub.StreamPipeline(map(request_of, sent), timeout=PATIENCE_S))


async def run(sent):
    service = PipelineService(make_registry(), Settings())
    async with RpcServer(service, ["127.0.0.1:0"]) as server:
        responses = await asyncio.to_thread(call, server.addresses[0], sent)
        assert len(service.sessions) == 0
    return responses


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams)
def test_a_stream_answers_as_the_model_says(sent):
    check(sent, asyncio.run(run(sent)))
