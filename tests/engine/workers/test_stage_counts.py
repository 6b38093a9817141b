"""What a worker's stages have counted, on the control page."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from engine.observe.statistics import NodeStatistics, StageStatistics
from engine.workers.control_page import ControlPage, create_page
from engine.workers.stage_counts import StageCounts, words_of


def stage(*nodes):
    return SimpleNamespace(id=nodes[0], nodes=[SimpleNamespace(id=node) for node in nodes])


@pytest.fixture(params=[0, 3, 4])
def page(request):
    """Both sides' views of a page, which has room for the hops of so many edges, too."""

    def made(stages):
        fd = create_page(in_edges=request.param, counts=words_of(stages))
        try:
            return ControlPage.of_fd(fd), ControlPage.of_fd(fd)
        finally:
            os.close(fd)

    made.in_edges = request.param
    return made


def test_what_is_published_is_read(page):
    stages = [stage("a", "b"), stage("c")]
    ours, theirs = page(stages)
    writer = StageCounts(theirs.count_words(words_of(stages)), stages)
    reader = StageCounts(ours.count_words(words_of(stages)), stages)
    nothing = NodeStatistics()
    assert reader.read() == {
        "a": StageStatistics(nodes={"a": nothing, "b": nothing}),
        "c": StageStatistics(nodes={"c": nothing}),
    }
    writer.publish("c", [7, 2**63, 1, 2, 3, 2**64 - 1])
    assert reader.read()["c"] == StageStatistics(
        7, 2**63, {"c": NodeStatistics(1, 2, 3, 2**64 - 1)}
    )
    assert reader.read()["a"].turns == 0
    writer.publish("a", list(range(10)))
    assert reader.read()["a"] == StageStatistics(
        0, 1, {"a": NodeStatistics(2, 3, 4, 5), "b": NodeStatistics(6, 7, 8, 9)}
    )
    assert reader.read()["c"].turns == 7


def test_counts_and_hops_are_apart(page):
    stages = [stage(*(f"n{number}" for number in range(100)))]
    ours, theirs = page(stages)
    for edge in range(page.in_edges):
        theirs.hop_words(edge)[127] = 5
    counts = StageCounts(theirs.count_words(words_of(stages)), stages)
    assert counts.read()["n0"] == StageStatistics(
        nodes={f"n{number}": NodeStatistics() for number in range(100)}
    )
    counts.publish("n0", [1] * words_of(stages))
    assert [sum(ours.hop_words(edge)) for edge in range(page.in_edges)] == [5] * page.in_edges
    assert list(ours.words[:6]) == [0] * 6


def test_they_are_readable_once_the_page_is_detached(page):
    stages = [stage("a")]
    ours, theirs = page(stages)
    StageCounts(theirs.count_words(words_of(stages)), stages).publish("a", [1, 2, 3, 4, 5, 6])
    ours.detach()
    reader = StageCounts(ours.count_words(words_of(stages)), stages)
    assert reader.read() == {"a": StageStatistics(1, 2, {"a": NodeStatistics(3, 4, 5, 6)})}
