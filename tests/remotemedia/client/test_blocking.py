"""The client without a loop, against a server in a thread of its own."""

from __future__ import annotations

import threading

import pytest

from engine.errors import NodeError, TransportError, UsageError
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
        with pytest.raises(TransportError, match="An operator of the service ended the session"):
            stream.receive()


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


# --- hands ---------------------------------------------------------------------------------------


def test_a_tap_shows_what_leaves_a_node(client):
    with client.stream(UPPER) as stream, stream.attach("me") as hands:
        assert hands.session_id == stream.session_id
        with hands.tap("u") as tap:
            stream.send(Text("a"), metadata={"who": "me"})
            packet = tap.receive()
            assert (packet.payload, packet.source.node) == (Text("A"), "u")
            assert packet.origin.metadata == {"who": "me"}
            assert (tap.node, tap.port, tap.dropped) == ("u", "", 0)
        assert tap.receive() is None
        assert [*tap] == []
        tap.close()


def test_what_is_published_enters_and_node_states_hold(client):
    with client.stream(UPPER) as stream, client.attach(stream.session_id) as hands:
        hands.publish("u", Text("a"), metadata={"by": "hand"})
        packet = stream.receive()
        assert (packet.payload, packet.origin.metadata) == (Text("A"), {"by": "hand"})
        hands.set_node_state("u", "bypass")
        stream.send(Text("a"))
        assert stream.receive().payload == Text("a")
        hands.clear_node_state("u")
        stream.send(Text("a"))
        assert stream.receive().payload == Text("A")


def test_outputs_are_decided_about(client):
    with (
        client.stream(UPPER) as stream,
        stream.attach() as hands,
        hands.intercept("u", deadline_ms=60_000) as questions,
    ):
        for text in "abc":
            stream.send(Text(text))
        questions.receive().let_pass()
        questions.receive().drop()
        question = questions.receive()
        assert question.packet.payload == Text("C")
        question.replace(Text("instead"))
        assert stream.receive().payload == Text("A")
        assert stream.receive().payload == Text("instead")


def test_another_thread_ends_what_waits_for_outputs(client):
    with client.stream(UPPER) as stream, stream.attach() as hands:
        tap = hands.tap("u")
        closing = threading.Timer(0.05, tap.close)
        closing.start()
        assert tap.receive() is None
        closing.join(60)


def test_hands_learn_that_the_session_has_ended(client):
    with client.stream(UPPER) as stream, stream.attach() as hands:
        tap = hands.tap("u")
        client.close_session(stream.session_id)
        assert [*tap] == []
        assert hands.closed is not None


def test_what_is_wrong_with_an_order_is_raised_at_once_and_with_a_publication_at_the_end(client):
    with client.stream(UPPER) as stream:
        hands = stream.attach()
        hands.__enter__()
        with pytest.raises(UsageError, match="'nobody'"):
            hands.set_node_state("nobody", "bypass")
        hands.publish("no one", Text("a"))
        with pytest.raises(UsageError, match="'no one'"):
            hands.close()


def test_hands_that_outlive_their_client_close_quietly():
    with serving() as server:
        with BlockingClient(server.addresses[0]) as client, client.stream(UPPER) as stream:
            hands = stream.attach()
            hands.__enter__()
            tap = hands.tap("u")
        tap.close()
        hands.close()
        assert tap.receive() is None


def test_a_session_that_is_not_there_is_said(client):
    with pytest.raises(UsageError, match="session"), client.attach("nothing"):
        pass
