"""The page of node types is what the operators' classes say."""

from __future__ import annotations

from operators.catalog import NODE_TYPES
from remotemedia.cli import node_pages


def test_the_page_is_current():
    assert node_pages.main(["--check"]) == 0


def test_every_node_type_is_on_it():
    text = node_pages.render()
    assert [name for name in NODE_TYPES if name not in text] == []


def test_it_says_which_params_may_change_while_a_node_runs():
    section = node_pages.render().partition("### GainNode")[2].partition("### ")[0]
    assert "May change while it runs: `gain_db`, `ramp_ms`." in section
    section = node_pages.render().partition("### DelayNode")[2].partition("### ")[0]
    assert "May change" not in section


def test_a_stale_page_is_told(tmp_path, monkeypatch, capsys):
    page = tmp_path / "nodes.md"
    monkeypatch.setattr(node_pages, "PAGE", page)
    assert node_pages.main(["--check"]) == 1
    assert "run python -m remotemedia.cli.node_pages" in capsys.readouterr().err
    assert node_pages.main([]) == 0
    assert node_pages.main(["--check"]) == 0
