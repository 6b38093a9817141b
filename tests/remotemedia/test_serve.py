"""`remotemedia serve`, as a process of its own, called over real sockets."""

import json
import re
import signal
import socket
import subprocess
import sys
import wave
from pathlib import Path

import grpc
import pytest

from protos.remotemedia.v1 import common_pb2, execution_pb2
from tests.remotemedia.cli_helpers import (
    PATIENCE_S,
    environment,
    eventually,
    json_lines,
    manifest,
)
from tests.remotemedia.serve_helpers import (
    LOCAL,
    OpenStream,
    Service,
    execute,
    failure,
    graph,
    health,
    text,
)

pytestmark = [pytest.mark.process, pytest.mark.net]

PKI = Path(__file__).parents[1] / "transports" / "rpc" / "security" / "pki"
OPERATORS = PKI.parents[1] / "rpc_operators.py"


@pytest.fixture
def serve(place):
    services = []

    def start(*arguments, grpc_address=LOCAL, **options):
        listen = () if grpc_address is None else ("--grpc", grpc_address)
        service = Service(place.folder, *listen, *arguments, **options)
        services.append(service)
        return service

    yield start
    for service in services:
        service.close()


@pytest.fixture
def running(serve):
    service = serve("--http", "0")
    assert service.started
    return service


def refused(service):
    """(exit code, what it said) of one that did not start."""
    assert not service.started
    code, stderr = service.end()
    assert "Traceback" not in stderr
    return code, stderr


def test_it_serves_where_it_says_and_ends_well_when_told_to(running):
    with running.channel() as channel:
        assert execute(channel).result.data_outputs["a"].text.text_data == b"x"
        assert health(channel) == "SERVING"
    assert running.get("/healthz") == (200, "ok\n")
    running.stop()


def test_it_listens_on_ipv4_and_ipv6(serve):
    service = serve("--grpc", "[::1]:0")
    assert [address.rpartition(":")[0] for address in service.addresses["grpc"]] == [
        "127.0.0.1",
        "[::1]",
    ]
    for address in service.addresses["grpc"]:
        with grpc.insecure_channel(address) as channel:
            assert execute(channel).HasField("result")


def test_without_a_host_of_its_own_the_default_is_both(serve):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    service = serve(grpc_address=None, env={"GRPC_BIND_ADDRESS": f"[::]:{port}"})
    assert service.addresses["grpc"] == [f"[::]:{port}"]
    for host in ("127.0.0.1", "[::1]"):
        with grpc.insecure_channel(f"{host}:{port}") as channel:
            assert execute(channel).HasField("result")
    assert "ANYBODY WHO REACHES" in service.stop()


@pytest.mark.parametrize("option", ["--grpc", "--http"])
def test_a_port_that_is_taken_is_told(serve, option):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        code, stderr = refused(serve(option, address))
    assert code == 1
    assert f"cannot listen on {address}" in stderr
    assert "GRPC_VERBOSITY" not in stderr


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (["--grpc", "50051"], {}, "is no HOST:PORT"),
        (["--http", "nowhere"], {}, "is no HOST:PORT"),
        (["--pipeline", "greet"], {}, "is no NAME=MANIFEST"),
        (["--pipeline", "greet=missing.json"], {}, "missing.json"),
        (["--tls-cert", "missing.pem"], {}, "the key is missing"),
        (["--tls-cert", "no.pem", "--tls-key", "no.key"], {}, "cannot read the certificate no.pem"),
        (["--config", "missing.toml"], {}, "there is no configuration file missing.toml"),
        (["--config", "nopython.toml"], {}, "there is no interpreter '/no/python'"),
        ([], {"GRPC_REQUIRE_AUTH": "true"}, "nobody could call"),
    ],
)
def test_what_cannot_be_used_is_told_before_it_listens(serve, place, arguments, env, words):
    (place.folder / "nopython.toml").write_text('[python]\nexecutable = "/no/python"\n')
    code, stderr = refused(serve(*arguments, env=env))
    assert code == 2
    assert words in stderr


def test_a_pipeline_that_would_not_run_is_told_before_it_listens(serve, place):
    place.write("bad.json", manifest("a:NoSuchNode"))
    place.write("good.json", manifest("a:PassThrough"))
    code, stderr = refused(serve("--pipeline", "one=good.json", "--pipeline", "two=bad.json"))
    assert code == 2
    assert "two=bad.json: nodes[0].node_type" in stderr
    assert "NoSuchNode" in stderr


def test_two_pipelines_of_one_name_are_refused(serve, place):
    place.write("good.json", manifest("a:PassThrough"))
    code, stderr = refused(serve("--pipeline", "one=good.json", "--pipeline", "one=good.json"))
    assert code == 2
    assert "there is a pipeline 'one' already" in stderr


def test_tokens_of_the_environment_are_asked_for(serve):
    service = serve("--http", "0", env={"GRPC_AUTH_TOKENS": "first-secret, second-secret"})
    good = (("authorization", "Bearer second-secret"),)
    bad = (("authorization", "Bearer third-secret"),)
    with service.channel() as channel:
        for metadata in ((), bad):
            code = failure(execute, channel, metadata=metadata)
            assert code is grpc.StatusCode.UNAUTHENTICATED
        assert failure(health, channel) is grpc.StatusCode.UNAUTHENTICATED
        assert execute(channel, metadata=good).HasField("result")
    _, metrics = service.get("/metrics")
    assert 'remotemedia_requests_total{code="UNAUTHENTICATED",method="unknown"} 3.0' in metrics
    log = service.stop()
    assert "unauthenticated" in log
    assert "secret" not in log


def test_a_certificate_that_has_expired_is_told_at_the_start(serve):
    service = serve("--tls-cert", PKI / "expired.pem", "--tls-key", PKI / "server.key")
    assert "expired.pem has expired: clients will refuse it" in service.stop()


def test_tls_from_files(serve):
    service = serve("--tls-cert", PKI / "server.pem", "--tls-key", PKI / "server.key")
    authority = (PKI / "ca.pem").read_bytes()
    with service.channel(grpc.ssl_channel_credentials(authority)) as channel:
        assert execute(channel).HasField("result")


def test_clients_need_a_certificate_where_an_authority_is_named(serve):
    files = ("--tls-cert", PKI / "server.pem", "--tls-key", PKI / "server.key")
    service = serve(*files, "--client-ca", PKI / "ca.pem")
    authority, key, certificate = (
        (PKI / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem")
    )
    with service.channel(grpc.ssl_channel_credentials(authority, key, certificate)) as channel:
        assert execute(channel).HasField("result")
    with service.channel(grpc.ssl_channel_credentials(authority)) as channel:
        assert failure(execute, channel) is grpc.StatusCode.UNAVAILABLE


def test_a_pipeline_of_the_services_own_is_run_by_its_name(serve, place):
    place.write("greet.json", manifest("a:Upper", "b:PassThrough"))
    service = serve("--operators", OPERATORS, "--pipeline", "greet=greet.json")
    named = execution_pb2.PipelineManifest(
        version="v1", metadata=execution_pb2.ManifestMetadata(name="greet")
    )
    with service.channel() as channel:
        response = execute(channel, named, {"a": text("hello")})
    assert response.result.data_outputs["b"].text.text_data == b"HELLO"


def test_the_command_runs_a_pipeline_of_the_services_own(serve, place):
    place.write("own.json", manifest("a:Upper", "b:PassThrough"))
    service = serve("--no-process", "--operators", OPERATORS, "--pipeline", "greet=own.json")
    place.write("greet.json", {"version": "v1", "metadata": {"name": "greet"}, "nodes": []})
    place.write("in.txt", "hello\n")
    run = ("run", "greet.json", "--server", service.address)
    done = place.run(*run, "--input", "a=in.txt")
    assert (done.returncode, done.stdout) == (0, "b: HELLO\n"), done.stderr
    done = place.run(*run, "--input", "a=in.txt", "--output", "b=out.txt")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (place.folder / "out.txt").read_text() == "HELLO\n"
    done = place.run(*run, "--input", "in.txt")
    assert done.returncode == 2
    assert "as NODE=in.txt" in done.stderr
    for capacity, code, words in ((5, 0, "b: X\nb: Y\n"), (0, 2, "channel_capacity")):
        metadata = {"name": "greet", "multiprocess": {"channel_capacity": capacity}}
        document = {"manifest": {"version": "v1", "metadata": metadata}}
        place.write("wrapped.json", {**document, "input_data": {"a": ["x", "y"]}})
        done = place.run("run", "wrapped.json", "--server", service.address)
        assert done.returncode == code, done.stderr
        assert words in done.stdout + done.stderr


def test_a_clients_manifest_reaches_no_file_but_the_services_own_does(serve, place):
    (place.folder / "media").mkdir()
    sound = place.folder / "media" / "silence.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        file.writeframes(bytes(1_600))
    reader = graph(("r", "MediaReaderNode", {"path": str(sound)}))
    node = {"id": "r", "node_type": "MediaReaderNode", "params": {"path": str(sound)}}
    place.write("own.json", manifest(node))
    service = serve("--no-process", "--pipeline", "play=own.json")
    named = execution_pb2.PipelineManifest(
        version="v1", metadata=execution_pb2.ManifestMetadata(name="play")
    )
    with service.channel() as channel:
        error = execute(channel, reader, {}).error
        assert error.error_type == common_pb2.ERROR_TYPE_VALIDATION
        assert error.failing_node_id == "r"
        assert "allowed_files" in error.message
        assert execute(channel, named, {}).result.data_outputs["r"].audio.sample_rate == 8_000
    service.stop()
    place.write("runtime.toml", '[service]\nallowed_files = ["media"]\n')
    service = serve("--no-process")
    with service.channel() as channel:
        assert execute(channel, reader, {}).result.data_outputs["r"].audio.sample_rate == 8_000


def test_without_processes_nodes_run_on_the_services_own_loop(serve, place):
    service = serve("--no-process", "--operators", OPERATORS)
    node = graph((place.id("a"), "ProcessWhere", {}))
    with service.channel() as channel:
        response = execute(channel, node, {place.id("a"): text("x")})
    output = response.result.data_outputs[place.id("a")]
    assert json.loads(output.json.json_payload) == service.process.pid


def children(service):
    """The processes that any of its threads has started."""
    threads = Path(f"/proc/{service.process.pid}/task").iterdir()
    return [pid for thread in threads for pid in (thread / "children").read_text().split()]


def test_what_processes_are_forked_from_is_there_before_the_first_session(running, serve):
    eventually(lambda: len(children(running)) == 1)
    assert children(serve("--no-process")) == []


def test_a_drain_lets_open_sessions_end_and_no_new_ones_begin(running):
    with running.channel() as channel:
        stream = OpenStream(channel)
        assert stream.send("before") == "before"
        running.signal()
        log = _read_log_until(running, "draining")
        assert failure(execute, channel) is grpc.StatusCode.UNAVAILABLE
        assert health(channel) == "NOT_SERVING"
        assert running.get("/healthz") == (503, "draining\n")
        assert stream.send("after") == "after"
        assert stream.close()[-1].closed.reason == "Client requested close"
    code, rest = running.end()
    assert code == 0
    assert stream.session_id in log + rest


def test_a_drain_ends_what_is_open_when_its_time_is_over(serve):
    service = serve("--drain", "0.2")
    with service.channel() as channel:
        stream = OpenStream(channel)
        service.signal()
        code, log = service.end()
        assert code == 0
        assert "drain_cut_short" in log
        (closed,) = stream.abandoned()
        assert closed.closed.reason == "The service was stopped"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_it_at_once(serve, place, number, code):
    service = serve("--drain", "3600", "--operators", OPERATORS)
    with service.channel() as channel:
        stream = OpenStream(channel, graph((place.id("a"), "ProcessUpper", {})))
        assert place.left() != set()
        service.signal(number)
        _read_log_until(service, "draining")
        service.signal(number)
        ended, _ = service.end()
        assert ended == code
        assert place.left() == set()
        (closed,) = stream.abandoned()
        assert closed.closed.reason == "The service was stopped"


def test_a_service_that_is_killed_leaves_no_process(serve, place):
    service = serve("--operators", OPERATORS)
    with service.channel() as channel:
        stream = OpenStream(channel, graph((place.id("a"), "ProcessUpper", {})))
        assert place.left() != set()
        service.signal(signal.SIGKILL)
        assert service.end()[0] == -signal.SIGKILL
        with pytest.raises(grpc.RpcError):
            stream.abandoned()
    place.wait_left_gone()


def test_the_log_has_a_json_object_per_line_with_session_ids(serve):
    service = serve("--log-format", "json")
    with service.channel() as channel:
        stream = OpenStream(channel)
        stream.close()
    lines = json_lines(service.stop())
    events = {line["event"]: line for line in lines}
    assert events["session_opened"]["session_id"] == stream.session_id
    assert events["session_ended"]["session_id"] == stream.session_id
    assert events["told_to_stop"]["signal"] == "SIGTERM"
    assert {"time", "level", "logger"} <= set(lines[0])


def test_metrics_tell_what_was_done(running):
    with running.channel() as channel:
        execute(channel)
    status, body = running.get("/metrics")
    assert status == 200
    assert re.search(
        r'remotemedia_requests_total\{code="OK",method=".*ExecutePipeline"\} 1\.0', body
    )
    assert 'remotemedia_sessions_total{method="ExecutePipeline"} 1.0' in body


@pytest.mark.parametrize(("option", "shown"), [((), False), (("--debug",), True)])
def test_tracebacks_of_our_own_reach_clients_only_for_debugging(serve, place, option, shown):
    service = serve("--operators", OPERATORS, *option)
    with service.channel() as channel:
        error = execute(channel, graph(("a", "NoSuchNode", {}))).error
    assert ("Traceback" in error.stack_trace) is shown


def test_limits_of_the_environment_hold(serve, place):
    service = serve("--operators", OPERATORS, env={"GRPC_MAX_TIMEOUT_SEC": "0.2"})
    stuck = graph((place.id("a"), "Never", {}))
    with service.channel() as channel:
        error = execute(channel, stuck, {place.id("a"): text("x")}).error
    assert error.error_type == common_pb2.ERROR_TYPE_RESOURCE_LIMIT
    assert "200 ms" in error.message


def test_the_command_loads_no_grpc_before_it_serves():
    script = (
        "import sys, remotemedia, remotemedia.cli\n"
        "print([name for name in ('grpc', 'uvicorn', 'prometheus_client') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert result.stdout == "[]\n"


def _read_log_until(service, words):
    """Read the log up to a line with these words; gives what was read."""
    lines = []
    while not lines or words not in lines[-1]:
        lines.append(service.process.stderr.readline())
        assert lines[-1], lines
    return "".join(lines)
