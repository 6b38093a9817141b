"""The client without a loop, against a server in a thread of its own."""

from __future__ import annotations

import threading

import pytest

from engine.errors import NodeError, UsageError
from remotemedia import Json, Text
from remotemedia.client import BlockingClient
from tests.remotemedia.client.documents import document
from tests.remotemedia.client.servers import serving

pytestmark = [pytest.mark.net]

UPPER = document({"u": "Upper"})


@pytest.fixture
def client():
    with serving() as server, BlockingClient(server.addresses[0]) as client:
        yield client


def test_a_pipeline_is_run_once(client):
    assert client.execute(UPPER, Text("a"))["u"] == Text("A")
    assert "Upper" in client.version().supported_node_types


def test_a_stream_is_fed_and_read(client):
    with client.stream(UPPER) as stream:
        assert [each.session_id for each in client.sessions()] == [stream.session_id]
        stream.send(Text("a"))
        assert stream.receive().payload == Text("A")
        stream.send(Text("b"))
        stream.end_input()
        assert [packet.payload for packet in stream] == [Text("B")]
        assert stream.close_reason == "Client requested close"
        assert stream.final_metrics.node_metrics["u"].items_processed == 2


def test_one_thread_may_send_while_another_receives(client):
    with client.stream(UPPER) as stream:
        received = []
        reader = threading.Thread(
            target=lambda: received.extend(packet.payload.text for packet in stream)
        )
        reader.start()
        for number in range(50):
            stream.send(Text(f"t{number}"))
        stream.end_input()
        reader.join(60)
        assert received == [f"T{number}" for number in range(50)]


def test_a_session_is_steered(client):
    with client.stream(document({"s": "Scale"})) as stream:
        taken = client.set_params(stream.session_id, "s", {"factor": 3})
        assert taken.params["factor"] == 3
        stream.send(Json(2))
        assert stream.receive().payload == Json(6)
        assert stream.interrupt().generation == 1
        detail = client.session(stream.session_id)
        assert detail.summary.generation == 1
        client.close_session(stream.session_id)
        assert stream.receive() is None


def test_groups_and_errors_are_as_they_are_with_a_loop(client):
    with client.stream(document({"p": "Pair"})) as stream:
        stream.send_group({"left": Text("a"), "right": Text("b")})
        assert stream.receive().payload == Json({"left": "a", "right": "b"})
    with client.stream(document({"f": "Fail"})) as stream:
        stream.send(Text("fail"))
        with pytest.raises(NodeError, match="cannot digest this"):
            stream.receive()


def test_a_client_that_is_not_open_says_so():
    with pytest.raises(UsageError, match="not open"):
        BlockingClient("127.0.0.1:1").version()
