import pytest

from engine.errors import UsageError
from engine.payloads import Binary, Json, Text
from operators.flow.selection import Select
from tests.operators.flow.flow_helpers import ANYTHING, HERE, bench_of, end, play


def test_only_what_the_predicate_is_true_of_passes():
    bench = bench_of(Select(when={"field": "final", "equals": True}))
    play(bench, Json({"final": True, "n": 1}), Json({"final": False}), Text("x"), Json({}))
    end(bench)
    assert bench.values == [{"final": True, "n": 1}]
    assert bench.stage.done


def test_the_packet_itself_leaves():
    bench = bench_of(Select(when={"metadata": {"lang": "en"}}))
    for lang in ("en", "de", "en"):
        bench.feed(Text(lang), metadata={"lang": lang}, timestamp_ns=3)
    bench.run()
    assert bench.sink().lineage == [(0, 0), (2, 0)]
    assert [dict(packet.metadata) for packet in bench.sink().packets] == [{"lang": "en"}] * 2


def test_a_function_decides():
    bench = bench_of(Select(when=f"{HERE}:is_long"))
    play(bench, "a", "long", Json(1))
    assert bench.values == ["long"]


def test_any_payload_is_asked():
    bench = bench_of(Select(when={"kind": "binary"}))
    play(bench, *ANYTHING)
    assert bench.sink().payloads == [Binary(b"x")]


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"kind": "vidio"}, r"when\.kind: must be a payload kind; did you mean 'video'"),
        ({"all": [{"kind": "text"}, {}]}, r"when\.all\.1: must have exactly one"),
        ("function", "when: must name a function"),
    ],
)
def test_a_bad_predicate_is_explained_where_it_stands(when, message):
    with pytest.raises(UsageError, match=message):
        Select(when=when)


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "cannot find 'nowhere'"), ("asynchronous", "is `async def`")],
)
def test_a_function_that_cannot_be_had_fails_the_start(name, message):
    with pytest.raises(UsageError, match=message):
        bench_of(Select(when={"not": f"{HERE}:{name}"}))
