"""Every page of docs/ is real: its code runs, its links lead somewhere, the site builds."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml

from tests.doc_blocks import (
    LANGUAGES,
    ROOT,
    Page,
    commands,
    read_data,
    run_command,
    run_program,
    says,
)

DOCS = ROOT / "docs"
PAGES = [Page.read(path) for path in sorted(DOCS.rglob("*.md"))]


def _name(page):
    return str(page.path.relative_to(DOCS))


def _pages(condition=lambda page: True):
    """Parametrises a test with the pages it is about."""
    return pytest.mark.parametrize("page", [*filter(condition, PAGES)], ids=_name)


pytestmark = pytest.mark.process


@pytest.fixture
def folder(page, tmp_path):
    page.write_files(tmp_path)
    return tmp_path


@_pages()
def test_every_block_is_of_a_kind_that_is_checked(page):
    assert {block.language for block in page.blocks} <= LANGUAGES
    for block in page.blocks:
        if block.language in {"json", "yaml", "toml"}:
            assert read_data(block), page.where(block)


@_pages(lambda page: page.program())
def test_the_program_of_a_page_runs_and_prints_what_it_says(page, folder):
    printed, errors = run_program(page, folder)
    expected = page.program()
    assert len(printed) == len(expected), errors
    for (block, output), actual in zip(expected, printed, strict=True):
        if output is not None:
            assert says(output, actual), f"{page.where(block)} printed\n{actual}"


@_pages(lambda page: page.of("console"))
def test_commands_of_a_page_print_what_it_says(page, folder):
    # One after the other: a later one uses files of an earlier one.
    for block in page.of("console"):
        for command, expected in commands(block):
            result = run_command(command, folder)
            assert result.returncode == 0, f"{command}\n{result.stderr}"
            assert says(expected, result.stdout), f"{command}\n{result.stdout}"


@_pages()
def test_python_files_of_a_page_are_used(page):
    """A file that nothing on the page imports or runs would never be tried."""
    rest = "\n".join(block.text for block in page.blocks if not block.title)
    files = {block.title for block in page.of("python") if block.title}
    assert [name for name in files if name.removesuffix(".py") not in rest] == []


def test_the_site_builds_without_a_warning(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "index.html").exists()


def test_every_page_is_in_the_navigation():
    # mkdocs' own tags for Python objects are of no interest here.
    text = re.sub(r"!!python/\S+", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = re.findall(r"[\w/]+\.md", str(yaml.safe_load(text)["nav"]))
    assert sorted(listed) == sorted(map(_name, PAGES))
