"""What crosses between server, zygotes and workers."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.workers import messages
from engine.workers.messages import (
    MESSAGE_BYTES_MAX,
    ExitedEvent,
    FailedEvent,
    PongEvent,
    ProgressEvent,
    SpawnCommand,
    SteerCommand,
    SteeredEvent,
    decode,
    encode,
    trimmed_error,
)

#: Also lone surrogates, which file names that are not UTF-8 hold.
TEXT = st.text(st.characters(exclude_categories=()), max_size=50)
INTEGER = st.integers(-(2**63), 2**63)
JSON = st.recursive(
    st.none() | st.booleans() | INTEGER | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
BY_ANNOTATION = {
    "int": INTEGER,
    "int | None": INTEGER | st.none(),
    "float": st.floats(allow_nan=False),
    "str": TEXT,
    "tuple[str, ...]": st.lists(TEXT, max_size=4).map(tuple),
    "dict[str, Any]": st.dictionaries(TEXT, JSON, max_size=4),
    "dict[str, str | None]": st.dictionaries(TEXT, TEXT | st.none(), max_size=4),
}


def instances(cls: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(cls, **{item.name: BY_ANNOTATION[item.type] for item in fields(cls)})


MESSAGES = st.one_of([instances(cls) for cls in messages._CLASSES.values()])


@given(MESSAGES)
def test_every_message_survives_the_journey(message):
    assert decode(encode(message)) == message


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(data):
    with pytest.raises(ValueError, match="message"):
        decode(data)


@given(MESSAGES, st.data())
def test_a_cut_message_is_refused(message, data):
    encoded = encode(message)
    with pytest.raises(ValueError, match="damaged"):
        decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "pong"}',
        '{"type": "pong", "token": "1"}',
        '{"type": "pong", "token": true}',
        '{"type": "pong", "token": 1, "more": 1}',
        '{"type": ["pong"], "token": 1}',
        '{"type": "exited", "worker_id": 1, "code": "0"}',
        '{"type": "failed", "error": []}',
        '{"type": "steer", "number": 1}',
        '{"type": "steer", "number": 1, "order": []}',
        '{"type": "steer", "number": 1, "order": {}, "edges": [1]}',
        '{"type": "steered", "number": 1, "answer": null}',
        '{"type": "control", "node_id": 1, "control": {}}',
        '{"type": "nonsense"}',
        '{"token": 1}',
        "[]",
        "1",
        "[" * 100_000,
    ],
)
def test_damaged_and_unknown_messages_are_refused(text):
    with pytest.raises(ValueError, match=r"damaged|unknown"):
        decode(text.encode())


def test_defaults_may_be_left_out():
    assert decode(b'{"type": "pong", "token": 3}') == PongEvent(3)
    assert decode(b'{"type": "exited", "worker_id": 1}') == ExitedEvent(1)
    assert decode(b'{"type": "steer", "number": 1, "order": {}}') == SteerCommand(1, {})
    assert decode(b'{"type": "steered", "number": 1}') == SteeredEvent(1)


def test_what_json_cannot_carry_is_refused():
    with pytest.raises(TypeError):
        encode(FailedEvent({"why": object()}))


def test_too_large_a_message_is_refused():
    with pytest.raises(ValueError, match="exceeds"):
        encode(ProgressEvent("a", "loading", 0.0, "x" * MESSAGE_BYTES_MAX))


def test_a_spawn_command_keeps_removed_variables():
    command = SpawnCommand(1, ("a",), "title", ("/x",), "/", {"GONE": None, "NEW": "1"}, 1 << 30)
    assert decode(encode(command)) == command


def test_a_small_error_is_not_touched():
    error = {"code": "node", "message": "m", "context": {"node_id": "a"}, "traceback": "t"}
    assert trimmed_error(error) is error


@given(
    st.sampled_from(["x", "é", "\ud800", '"', "\0"]),
    st.integers(0, 300_000),
    st.integers(0, 300_000),
    st.integers(0, 2000),
)
def test_a_trimmed_error_always_fits(letter, message, traceback, context):
    error = {
        "code": "node",
        "message": "begin" + letter * message,
        "context": {f"{letter}{number}": [letter * 100] for number in range(context)},
        "traceback": letter * traceback + "end",
    }
    trimmed = trimmed_error(error)
    assert len(encode(FailedEvent(trimmed))) <= MESSAGE_BYTES_MAX
    assert trimmed["code"] == "node"
    assert trimmed["message"].startswith("begin")
    assert trimmed["traceback"].endswith("end")
