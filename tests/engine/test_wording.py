"""The sentences problems are told in."""

import pytest

from engine.wording import QUOTED_CHARS_MAX, nearest, path_of, quoted, suggestion


def test_the_nearest_name_is_suggested():
    assert nearest("chunk_sise", ["chunk_size", "rate"]) == "chunk_size"
    assert suggestion("chunk_sise", ["chunk_size"], "params") == "; did you mean 'chunk_size'?"


def test_where_none_is_near_the_names_are_listed():
    assert suggestion("zzz", ["in", "side"], "ports") == "; the ports are in, side"
    assert suggestion("zzz", [], "ports") == "; there are no ports"


def test_a_long_list_is_cut():
    text = suggestion("zzz", [f"name{number}" for number in range(50)], "names")
    assert text.endswith("name11, …")


def test_an_endless_word_is_compared_with_nothing():
    assert nearest("a" * 10_000, ["a" * 10_000]) is None


def test_a_location_is_written_as_a_path():
    assert path_of(("nodes", 2, "params", "threshold")) == "nodes[2].params.threshold"
    assert path_of(("name",), "metadata") == "metadata.name"
    assert path_of((), "metadata") == "metadata"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ("größer", '"größer"'),
        ({"a": 1}, "an object"),
        ([1], "a list"),
        (object, "<class 'object'>"),
    ],
)
def test_a_value_is_quoted_as_the_document_writes_it(value, text):
    assert quoted(value) == text


def test_a_long_value_is_cut():
    assert len(quoted("x" * 1_000)) == QUOTED_CHARS_MAX + 1
