import json
from math import isqrt

import pytest

from engine.config import Settings
from engine.errors import InitTimeoutError, NodeError
from engine.payloads import Json, Text
from examples import loading_nodes as nodes
from remotemedia import Pipeline
from tests.doc_blocks import ROOT, run_command

LIMIT = 3_000
NUMBERS = [*range(1, 200), 871, 1729, 2500, 2809, LIMIT - 1]


def facts(operator, name, executor="local"):
    pipeline = Pipeline("one", settings=Settings()) | operator.on(executor)
    packets = pipeline.run([Json(number) for number in NUMBERS])
    assert [packet.payload.value["number"] for packet in packets] == NUMBERS
    return [packet.payload.value[name] for packet in packets]


def divisors_of(number):
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def steps_to_1(number):
    steps = 0
    while number != 1:
        number = 3 * number + 1 if number % 2 else number // 2
        steps += 1
    return steps


def sums_of_two_squares(number):
    return sum(isqrt(rest) ** 2 == rest and rest <= a * a for a, rest in _rests(number))


def _rests(number):
    return [(a, number - a * a) for a in range(isqrt(number) + 1)]


@pytest.mark.parametrize(
    ("operator", "name", "expected"),
    [
        (nodes.Primes(limit=LIMIT), "prime", lambda number: len(divisors_of(number)) == 2),
        (nodes.Divisors(limit=LIMIT), "divisors", lambda number: len(divisors_of(number))),
        (nodes.Collatz(limit=LIMIT), "steps_to_1", steps_to_1),
        (nodes.Squares(limit=LIMIT), "sums_of_two_squares", sums_of_two_squares),
    ],
    ids=["Primes", "Divisors", "Collatz", "Squares"],
)
def test_what_they_say_is_so(operator, name, expected):
    assert facts(operator, name) == [expected(number) for number in NUMBERS]


@pytest.mark.parametrize("given", [Json(0), Json(100), Json(1.5), Json(True), Json({}), Text("7")])
def test_what_is_not_in_the_table_is_an_error(given):
    pipeline = Pipeline("one", settings=Settings()) | nodes.Primes(limit=100).on("local")
    with pytest.raises(NodeError):
        pipeline.run([given])


@pytest.mark.process
async def test_each_reports_its_steps_from_its_own_process_to_all_who_subscribe():
    operators = nodes.Primes, nodes.Divisors, nodes.Collatz, nodes.Squares
    pipeline = Pipeline("four", settings=Settings())
    for operator in operators:
        pipeline = pipeline | operator(limit=LIMIT)
    assert {stage.executor for stage in pipeline.plan().stages} == {"process"}
    seen, also, late = [], [], []
    session = pipeline.session(seen.append)
    session.on_progress(also.append)
    async with session:
        session.on_progress(late.append)
    assert seen == also
    assert {(step.node_id, step.status) for step in late} == {
        (name, "ready") for name in ("primes", "divisors", "collatz", "squares")
    }
    words = {"primes": "sieving", "divisors": "counting", "collatz": "following"}
    for node_id, word in {**words, "squares": "adding"}.items():
        steps = [step for step in seen if step.node_id == node_id]
        fractions = [step.fraction for step in steps if step.status == word]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0
        assert all(step.message for step in steps if step.status == word)
        assert steps[-1].status == "ready"


@pytest.mark.process
async def test_a_start_that_takes_too_long_says_where_it_was_and_what_was_printed():
    settings = Settings(init_timeout_s=2, cleanup_grace_s=3)
    pipeline = Pipeline("slow", settings=settings) | nodes.Squares(limit=LIMIT, pause_s=60)
    seen = []
    with pytest.raises(InitTimeoutError) as caught:
        await pipeline.session(seen.append).start()
    error = caught.value
    assert "node 'squares': not ready after 2 s (in step 'adding'" in str(error)
    assert "0% step 0 of 40 in a thread" in str(error)
    assert (error.context["node_id"], error.context["step"]) == ("squares", "adding")
    assert error.context["last_lines"] == ["step 1: waiting 60 s for the disk"]
    last = seen[-1]
    assert (last.node_id, last.status, last.message) == (
        "squares",
        "error",
        "step 0 of 40 in a thread",
    )


@pytest.mark.process
def test_the_command_says_so_too(tmp_path):
    manifest = {
        "version": "v1",
        "metadata": {"name": "slow", "multiprocess": {"init_timeout_secs": 2}},
        "nodes": [{"id": "slow", "node_type": "Squares", "params": {"pause_s": 60}}],
        "connections": [],
    }
    (tmp_path / "slow.json").write_text(json.dumps(manifest), encoding="utf-8")
    operators = ROOT / "examples" / "loading_nodes.py"
    done = run_command(f"remotemedia run slow.json --operators {operators}", tmp_path)
    assert done.returncode != 0
    said = " ".join(done.stderr.split())  # the console breaks long lines
    assert "slow: adding: step 0 of 40 in a thread" in said
    assert "slow: error: step 0 of 40 in a thread" in said
    assert "error: node 'slow': not ready after 2 s (in step 'adding', last progress" in said
    assert "| step 1: waiting 60 s for the disk" in said.partition("not ready after 2 s")[2]
