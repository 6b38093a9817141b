"""What the gRPC bench makes of what it measured."""

from benches import bench_grpc

CASES = (
    "unary/1-client/ours",
    "unary/1-client/echo",
    "unary/50-clients/ours",
    "unary/50-clients/echo",
    "stream/local/ours",
    "stream/local/echo",
    "stream/process/ours",
    "stream/process/session",
)


def rows(**times):
    taken = {
        case: [[times.get(case.replace("/", "_").replace("-", "_"), 1.0)]] * 5 for case in CASES
    }
    return {(row.case, row.metric): row for row in bench_grpc.results(taken)}


def test_ours_is_held_to_the_echo_of_the_same_round():
    found = rows(unary_1_client_ours=1.4, stream_local_ours=1.4)
    unary = found["grpc/unary/1-client/ours", "to unary/1-client/echo"]
    assert (unary.value, unary.budget, unary.ok) == (1.4, 1.5, True)
    local = found["grpc/stream/local/ours", "to stream/local/echo"]
    assert (local.value, local.budget, local.ok) == (1.4, 1.3, False)


def test_processes_may_take_as_long_as_the_echo_and_the_bare_session_and_a_fifth():
    name = "to stream/local/echo + stream/process/session"
    assert rows(stream_process_ours=2.3)["grpc/stream/process/ours", name].ok is True
    assert rows(stream_process_ours=2.5)["grpc/stream/process/ours", name].ok is False


def test_an_execution_has_a_budget_of_its_own():
    assert rows(unary_1_client_ours=6.0)["grpc/unary/1-client/ours", "p50"].ok is False
    assert rows()["grpc/unary/1-client/echo", "p50"].budget is None
