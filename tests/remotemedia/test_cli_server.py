"""The commands that call a server: run --server, sessions, tap, inject, params, interrupt."""

from __future__ import annotations

import json
import signal
import subprocess
import wave
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from typer.testing import CliRunner

from engine.errors import TransportError
from remotemedia import Json, Text
from remotemedia.cli.app import app
from remotemedia.client import BlockingClient
from tests.remotemedia.cli_helpers import COMMAND, PATIENCE_S, eventually
from tests.remotemedia.client.documents import document
from tests.remotemedia.client.servers import serving
from tests.transports.rpc.conftest import grpc_is_warm
from tests.transports.rpc.security.test_credentials import PKI
from transports.rpc.security.credentials import TlsFiles

__all__ = ["grpc_is_warm"]

pytestmark = [pytest.mark.net]


class Server:
    """A server, and the commands that call it; in this process where their speed is welcome."""

    def __init__(self, server, folder):
        self.address = server.addresses[0]
        self.sessions = server.service.sessions
        self.folder = folder

    def command(self, *arguments, expected=0, **environment):
        """Run a command to its end; gives what it printed."""
        environment = {"REMOTEMEDIA_SERVER": self.address, **environment}
        done = CliRunner().invoke(app, [*map(str, arguments)], env=environment)
        assert done.exit_code == expected, done.output
        return done.stdout, done.stderr

    def start(self, *arguments):
        """Run a command on a thread; its future gives what it printed."""
        threads = ThreadPoolExecutor(1)
        future = threads.submit(self.command, *arguments)
        threads.shutdown(wait=False)
        return future

    def start_run(self, described, *arguments):
        """`run` on a thread, which fails; its future gives what it printed."""
        threads = ThreadPoolExecutor(1)
        future = threads.submit(self.run, described, *arguments, expected=1)
        threads.shutdown(wait=False)
        return future

    def run(self, described, *arguments, expected=0, address=None):
        """`remotemedia run` on the server, in a process of its own."""
        path = self.folder / "manifest.json"
        path.write_text(json.dumps(described))
        command = [COMMAND, "run", "--server", address or self.address, path, *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == expected, (done.stdout, done.stderr)
        return done.stdout, done.stderr


@pytest.fixture
def server(tmp_path):
    with serving() as server:
        yield Server(server, tmp_path)


@pytest.fixture
def client(server):
    with BlockingClient(server.address) as client:
        yield client


# --- run -----------------------------------------------------------------------------------------


def test_a_manifest_is_run_on_a_server_with_files_of_ours(server):
    (server.folder / "in.txt").write_text("one\ntwo\n")
    out, err = server.run(document({"u": "Upper"}), "-i", "in.txt", "-o", "out.txt")
    assert out == ""
    assert (server.folder / "out.txt").read_text() == "ONE\nTWO\n"
    assert "the server" in err


def test_a_run_on_a_server_is_told_as_json(server):
    (server.folder / "in.txt").write_text("one\ntwo\n")
    out, _ = server.run(document({"u": "Upper"}), "-i", "in.txt", "--json")
    *outputs, summary = map(json.loads, out.splitlines())
    assert [output["text"] for output in outputs] == ["ONE", "TWO"]
    summary = summary["summary"]
    assert (summary["inputs"], summary["outputs"]) == ({"u": 2}, 2)
    assert summary["nodes"]["u"]["received"] == 2
    assert summary["nodes"]["u"]["emitted"] == 2
    assert len(summary["session_id"]) == 36


def test_sound_is_sent_and_written(server):
    samples = np.arange(-800, 800, dtype=np.int16)
    with wave.open(str(server.folder / "in.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    server.run(document({"p": "PassThrough"}), "-i", "in.wav", "-o", "out.wav")
    with wave.open(str(server.folder / "out.wav")) as file:
        assert file.getframerate() == 16_000
        assert file.readframes(10_000) == samples.tobytes()


def test_a_wrapped_input_feeds_a_run_on_a_server(server):
    out, _ = server.run({"manifest": document({"u": "Upper"}), "input_data": ["a", "b"]})
    assert out.splitlines() == ["u: A", "u: B"]


def test_what_fails_on_the_server_is_told_as_here(server):
    (server.folder / "in.txt").write_text("fail\n")
    _, err = server.run(document({"f": "Fail"}), "-i", "in.txt", expected=1)
    assert "cannot digest this" in err
    _, err = server.run(document({"f": "Uper"}), expected=2)
    assert "1 problem in the manifest" in err
    assert "Uper" in err


def test_settings_of_the_server_are_not_ours(server):
    _, err = server.run(document({"u": "Upper"}), "--operators", "x", expected=2)
    assert "the server's business" in err


def test_a_run_whose_session_others_end_fails(server, client):
    (server.folder / "in.txt").write_text("wait\n")
    running = server.start_run(document({"n": "NeverAt"}), "-i", "in.txt")
    eventually(lambda: [each for each in client.sessions() if each.phase == "draining"])
    (summary,) = client.sessions()
    server.command("sessions", "close", summary.session_id)
    out, err = running.result(PATIENCE_S)
    assert out == ""
    assert "ended before its time: An operator of the service ended the session" in err


def test_a_run_is_local_unless_its_option_names_a_server(server):
    path = server.folder / "manifest.json"
    path.write_text(json.dumps(document({"p": "PassThrough"})))
    (server.folder / "in.txt").write_text("one\n")
    arguments = ("run", path, "-i", server.folder / "in.txt")
    elsewhere = {"REMOTEMEDIA_SERVER": "127.0.0.1:1", "REMOTEMEDIA_TOKEN": "secret"}
    out, err = server.command(*arguments, **elsewhere, REMOTEMEDIA_TLS_CA="system")
    assert out == "p: one\n"
    assert "here (" in err
    for option in ("--token", "--tls-ca"):
        _, err = server.command(*arguments, option, "x", expected=2)
        assert f"{option} is for a server" in err


def test_a_server_that_is_not_there_is_told(server):
    _, err = server.run(document({"u": "Upper"}), address="127.0.0.1:1", expected=1)
    assert "127.0.0.1:1" in err
    assert "internal" not in err


@pytest.mark.process
def test_the_start_on_a_server_is_shown(server):
    _, err = server.run(document({"m": "ProcessModel"}))
    assert "m: loading_model: half of the weights" in err


def test_a_second_ctrl_c_ends_the_session_on_the_server(server):
    (server.folder / "in.txt").write_text("wait\n")
    path = server.folder / "manifest.json"
    path.write_text(json.dumps(document({"n": "NeverAt"})))
    command = [COMMAND, "run", "--server", server.address, path, "-i", "in.txt"]
    with subprocess.Popen(command, cwd=server.folder, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = iter(process.stderr.readline, "")
            assert any("read, 1 packet" in line for line in said)
            assert len(server.sessions) == 1
            process.send_signal(signal.SIGINT)
            assert any("what is under way is finished" in line for line in said)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 130
    eventually(lambda: not len(server.sessions))


# --- sessions ------------------------------------------------------------------------------------


def test_sessions_are_listed_shown_and_closed(server, client):
    assert server.command("sessions", "list")[0] == "no session is open\n"
    with client.stream(document({"u": "Upper", "p": "PassThrough"}, ["u->p"])) as stream:
        out, _ = server.command("sessions", "list")
        assert stream.session_id in out
        assert "StreamPipeline" in out
        out, _ = server.command("sessions", "list", "--json")
        (listed,) = json.loads(out)["sessions"]
        assert (listed["session_id"], listed["nodes"]) == (stream.session_id, 2)
        out, _ = server.command("sessions", "show", stream.session_id[:6])
        for word in ("Upper", "the server", "in → out", "in flight", "credits", "p50", "p99"):
            assert word in out
        out, _ = server.command("sessions", "show", stream.session_id, "--json")
        shown = json.loads(out)
        assert [node["node_id"] for node in shown["nodes"]] == ["u", "p"]
        assert {edge["sent"] for edge in shown["edges"]} == {0}
        assert {edge["credits"] for edge in shown["edges"]} == {100}
        assert {edge["hop_p99_us"] for edge in shown["edges"]} == {0.0}
        server.command("sessions", "close", stream.session_id[:8])
        with pytest.raises(TransportError, match="An operator of the service ended the session"):
            stream.receive()


def test_a_session_is_closed_behind_what_is_under_way(server, client):
    with client.stream(document({"k": "Keep"})) as stream:
        stream.send(Text("a"))
        eventually(lambda: client.session(stream.session_id).nodes[0].received)
        server.command("sessions", "close", "--drain", stream.session_id)
        assert stream.receive().payload == Text("a")
        assert stream.receive() is None


def test_a_session_that_is_not_there_is_told(server, client):
    with client.stream(document({"u": "Upper"})) as stream:
        _, err = server.command("sessions", "show", "none", expected=2)
        assert f"sessions: {stream.session_id}" in err
        _, err = server.command("sessions", "show", stream.session_id[:3], expected=2)
        assert "at least 4 characters" in err


# --- steering ------------------------------------------------------------------------------------


def test_what_is_injected_enters_at_its_node(server, client):
    with client.stream(document({"p": "PassThrough", "u": "Upper"}, ["p->u"])) as stream:
        name = stream.session_id[:8]
        _, err = server.command("inject", name, "u", "--text", "a")
        assert "u: 1 packet" in err
        assert stream.receive().payload == Text("A")
        (server.folder / "in.txt").write_text("b\nc\n")
        server.command("inject", name, "u.in", "--file", server.folder / "in.txt")
        assert [stream.receive().payload for _ in "bc"] == [Text("B"), Text("C")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x", "--text", "a"], "no node 'x'"),
        (["u.left", "--text", "a"], "no port 'left'"),
        (["u"], "one of --text, --value and --file"),
        (["u", "--text", "a", "--value", "1"], "one of --text, --value and --file"),
        (["u", "--value", "{"], "--value is not JSON"),
    ],
)
def test_what_cannot_be_injected_is_told(server, client, arguments, said):
    with client.stream(document({"u": "Upper"})) as stream:
        _, err = server.command("inject", stream.session_id, *arguments, expected=2)
        assert said in err


def test_a_tap_shows_what_leaves_a_node(server, client):
    with client.stream(document({"p": "PassThrough", "u": "Upper"}, ["p->u"])) as stream:
        tapping = server.start("tap", stream.session_id, "p", "--count", "2", "--json")
        sent = 0
        while not tapping.done():
            stream.send(Text(f"t{sent}"))
            stream.receive()
            sent += 1
        out, _ = tapping.result()
        first, second = map(json.loads, out.splitlines())
        assert set(first) == {"node", "kind", "text"}
        assert first["node"] == "p"
        assert int(second["text"][1:]) == int(first["text"][1:]) + 1


def test_a_tap_ends_with_its_session(server, client):
    with client.stream(document({"u": "Upper"})) as stream:
        tapping = server.start("tap", stream.session_id, "u")
        (live,) = server.sessions
        eventually(lambda: live.session._steering._listeners)
        stream.send(Text("a"))
        assert stream.receive().payload == Text("A")
        stream.end_input()
        assert stream.receive() is None
    out, err = tapping.result(PATIENCE_S)
    assert out == "u: A\n"
    assert "has ended" in err


def test_params_are_set_while_it_runs(server, client):
    with client.stream(document({"s": "Scale"})) as stream:
        out, _ = server.command("params", "set", stream.session_id, "s", "factor=7")
        assert out.splitlines()[0] == 's: {"factor": 7, "offset": 0}'
        stream.send(Json(2))
        assert stream.receive().payload == Json(14)
        out, _ = server.command("params", "set", stream.session_id, "s", "factor=8", "--json")
        assert json.loads(out)["params"]["factor"] == 8
        _, err = server.command("params", "set", stream.session_id, "s", "offset=1", expected=2)
        assert "only factor may" in err
        _, err = server.command("params", "set", stream.session_id, "s", "factor", expected=2)
        assert "NAME=VALUE" in err


def test_a_session_is_interrupted(server, client):
    with client.stream(document({"n": "Never"})) as stream:
        stream.send(Text("a"))
        eventually(lambda: client.session(stream.session_id).nodes[0].received)
        out, _ = server.command("interrupt", stream.session_id, "--reason", "enough")
        assert out.splitlines() == ["interrupted: generation 1", "  n: 1 dropped"]
        out, _ = server.command("interrupt", stream.session_id, "n", "--json")
        assert json.loads(out)["generation"] == 2
        _, err = server.command("interrupt", stream.session_id, "x", expected=2)
        assert "no node 'x'" in err


# --- tokens --------------------------------------------------------------------------------------


def test_the_token_comes_from_the_environment_or_an_option(tmp_path):
    class Guard(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation, details):
            handler = await continuation(details)
            if dict(details.invocation_metadata).get("authorization") == "Bearer secret":
                return handler

            async def refuse(_, context):
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

            return grpc.unary_unary_rpc_method_handler(
                refuse, handler.request_deserializer, handler.response_serializer
            )

    with serving(interceptors=(Guard(),)) as guarded:
        server = Server(guarded, tmp_path)
        _, err = server.command("sessions", "list", expected=1)
        assert "who are you?" in err
        server.command("sessions", "list", REMOTEMEDIA_TOKEN="secret")
        server.command("sessions", "list", "--token", "secret")


def test_tls_is_spoken_where_an_authority_is_named(tmp_path):
    credentials = TlsFiles(PKI / "server.pem", PKI / "server.key", PKI / "ca.pem").credentials()
    with serving(credentials=credentials) as secured:
        server = Server(secured, tmp_path)
        own = {
            "REMOTEMEDIA_TLS_CERT": str(PKI / "client.pem"),
            "REMOTEMEDIA_TLS_KEY": str(PKI / "client.key"),
        }
        out, _ = server.command("sessions", "list", "--tls-ca", PKI / "ca.pem", **own)
        assert out == "no session is open\n"
        server.command("sessions", "list", "--tls-ca", PKI / "ca.pem", expected=1)
        server.command("sessions", "list", expected=1)
        _, err = server.command("sessions", "list", "--tls-ca", tmp_path / "none", expected=2)
        assert "cannot read" in err
        (tmp_path / "empty").touch()
        _, err = server.command("sessions", "list", "--tls-ca", tmp_path / "empty", expected=2)
        assert "has no certificate in PEM" in err
        own["REMOTEMEDIA_TLS_KEY"] = str(PKI / "server.key")
        _, err = server.command("sessions", "list", "--tls-ca", PKI / "ca.pem", expected=2, **own)
        assert "the key belongs to another certificate" in err
