"""engine.errors: the tree, and its form as data."""

import json

import pytest

from engine.errors import (
    REMOTE_TEXT_CHARS_MAX,
    EdgeError,
    ManifestError,
    NodeError,
    Problem,
    RemoteMediaError,
    StartupError,
    WorkerCrashedError,
)


def tree():
    found, pending = [], [RemoteMediaError]
    while pending:
        cls = pending.pop()
        if cls.__module__ == "engine.errors":
            found.append(cls)
            pending.extend(cls.__subclasses__())
    return sorted(found, key=lambda cls: cls.code)


def round_trip(error):
    """Through JSON and back."""
    return RemoteMediaError.from_dict(json.loads(json.dumps(error.to_dict())))


CONTEXT = {"node_id": "a", "limit": 3, "ratio": 0.5, "given": None, "list": [1, {"b": True}]}


@pytest.mark.parametrize("cls", [cls for cls in tree() if cls is not ManifestError])
def test_every_error_comes_back_as_what_it_was(cls):
    error = cls("it failed: do that", **CONTEXT)
    back = round_trip(error)
    assert type(back) is cls
    assert (back.code, back.message, str(back)) == (cls.code, error.message, error.message)
    assert back.context == CONTEXT


def test_codes_are_unique():
    codes = [cls.code for cls in tree()]
    assert len(codes) == len(set(codes)) >= 15


def test_a_manifest_error_comes_back_with_all_its_problems():
    problems = [
        Problem("nodes[0]", "unknown type", node_id="a"),
        Problem("name", "odd", severity="warning"),
        Problem("nodes[1].params.x", "too large"),
    ]
    error = ManifestError(problems, manifest="voice")
    assert str(error) == (
        "2 problems in the manifest:\n  - nodes[0]: unknown type\n  - nodes[1].params.x: too large"
    )
    back = round_trip(error)
    assert type(back) is ManifestError
    assert back.problems == tuple(problems)
    assert back.message == error.message
    assert back.context == {"manifest": "voice"}
    assert round_trip(back).problems == tuple(problems)


def test_one_problem_is_not_several():
    assert str(ManifestError([Problem("a", "b")])).startswith("1 problem in the manifest:")


def test_an_unknown_code_is_still_an_error():
    back = RemoteMediaError.from_dict({"code": "from the future", "message": "m"})
    assert type(back) is RemoteMediaError
    assert (back.message, back.context, back.remote_traceback) == ("m", {}, "")
    assert RemoteMediaError.from_dict({}).message == ""
    assert RemoteMediaError.from_dict({"context": None}).context == {}


def test_the_traceback_crosses_as_text():
    def raising():
        raise ValueError("deep")

    try:
        try:
            raising()
        except ValueError as cause:
            raise NodeError.of("a", cause, during="process") from cause
    except NodeError as error:
        back = round_trip(error)
        assert "in raising" in back.remote_traceback
        assert "ValueError: deep" in back.remote_traceback
        # What has crossed once is not replaced by where it was read.
        assert round_trip(back).remote_traceback == back.remote_traceback


def test_long_texts_are_cut():
    error = EdgeError("m" * 100_000, lines="l" * 100_000, nested=["n" * 100_000])
    data = error.to_dict()
    assert len(data["message"]) == REMOTE_TEXT_CHARS_MAX
    assert len(data["context"]["lines"]) == REMOTE_TEXT_CHARS_MAX
    assert len(data["context"]["nested"][0]) == REMOTE_TEXT_CHARS_MAX
    assert len(data["traceback"]) <= REMOTE_TEXT_CHARS_MAX


def test_what_json_cannot_carry_becomes_text():
    error = EdgeError("m", cls=int, tuple=(1, 2), mapping={1: object})
    assert round_trip(error).context == {
        "cls": "<class 'int'>",
        "tuple": [1, 2],
        "mapping": {"1": "<class 'object'>"},
    }


def test_a_node_error_says_what_where_and_in_which_packet():
    cause = ValueError("too loud")
    error = NodeError.of("gain", cause, during="process", sequence=3)
    assert error.message == "node 'gain' failed in process (packet 3): ValueError: too loud"
    assert error.__cause__ is cause
    assert error.node_id == "gain"
    assert error.context == {
        "node_id": "gain",
        "during": "process",
        "sequence": 3,
        "exception": "ValueError",
    }


def test_a_cause_without_words_is_told_by_its_name():
    error = NodeError.of("a", KeyboardInterrupt(), during="flush")
    assert error.message == "node 'a' failed in flush: KeyboardInterrupt"


def test_an_error_without_a_node_blames_none():
    assert NodeError("m").node_id == ""


def test_the_tree_is_caught_by_its_branches():
    assert issubclass(WorkerCrashedError, NodeError)
    codes = {cls.code for cls in tree() if issubclass(cls, StartupError)}
    assert codes == {"startup", "init_timeout", "spawn"}
    codes = {cls.code for cls in tree() if issubclass(cls, EdgeError)}
    assert codes == {"edge", "edge_closed", "peer_died", "edge_overflow"}


class Mute(Exception):
    """One that cannot say what it is."""

    def __str__(self):
        raise LookupError("no words")


def test_what_cannot_say_what_it_is_is_its_nodes_error_all_the_same():
    error = NodeError.of("a", Mute(), during="process")
    assert (
        error.message == "node 'a' failed in process: Mute: (its text cannot be read: LookupError)"
    )
    assert RemoteMediaError.from_dict(error.to_dict()).message == error.message


def test_a_very_long_text_is_cut_and_leaves_room_for_the_frames():
    try:
        raise ValueError("x" * 5_000_000)
    except ValueError as cause:
        error = NodeError.of("a", cause, during="process")
    assert len(error.message) < 50_000
    data = error.to_dict()
    assert "test_a_very_long_text_is_cut" in data["traceback"]
    assert len(data["traceback"]) < 50_000
