"""What names stand for, and what is said of names that stand for nothing."""

from __future__ import annotations

import json

import pytest

from engine.errors import UsageError
from engine.importable import import_named


def test_a_name_stands_for_an_attribute_of_a_module():
    assert import_named("json:loads") is json.loads
    assert import_named("json:JSONDecoder.decode") is json.JSONDecoder.decode


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no_such_module:f", r"cannot import 'no_such_module:f': No module.* provides 'no_such"),
        ("json:lods", "cannot find 'lods' in module 'json'; did you mean 'loads'?"),
        ("json:JSONDecoder.x", r"cannot find 'JSONDecoder.x' in module 'json'"),
        ("json", "cannot find '' in module 'json'"),
    ],
)
def test_what_is_not_there_is_told_with_the_nearest(target, words):
    with pytest.raises(UsageError, match=words) as caught:
        import_named(target)
    assert caught.value.context["target"] == target


def test_a_module_that_raises_is_told_with_what_it_raised(tmp_path, monkeypatch):
    (tmp_path / "raises_on_import.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="importing 'raises_on_import' raised ZeroDivisionError"):
        import_named("raises_on_import:f")
