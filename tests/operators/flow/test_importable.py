import pytest

from engine.errors import UsageError
from operators.flow.importable import check_target, load_function
from tests.operators.flow import flow_helpers
from tests.operators.flow.flow_helpers import HERE


@pytest.mark.parametrize("name", ["math:sqrt", "os.path:join", "pkg.module:Class.method"])
def test_a_function_is_named_by_module_and_name(name):
    assert check_target(name) == name


@pytest.mark.parametrize("name", ["", "sqrt", "math.sqrt", "math:", ":sqrt", "a b:c", "a:b(1)"])
def test_anything_else_names_none(name):
    with pytest.raises(ValueError, match=r"package\.module:function"):
        check_target(name)


def test_it_is_imported():
    assert load_function(f"{HERE}:joined_text") is flow_helpers.joined_text
    assert load_function("json:JSONEncoder.default").__name__ == "default"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:f", "cannot import 'no_such_module:f'.*install the package"),
        (f"{HERE}:nothing", "cannot find 'nothing'"),
        (f"{HERE}:NOT_CALLABLE", "is no function but int"),
        (f"{HERE}:asynchronous", "is `async def`"),
    ],
)
def test_what_cannot_be_had_is_explained(name, message):
    with pytest.raises(UsageError, match=message):
        load_function(name)


def test_a_module_that_raises_is_named(tmp_path, monkeypatch):
    (tmp_path / "broken_when_imported.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"broken_when_imported.*ZeroDivisionError"):
        load_function("broken_when_imported:f")
