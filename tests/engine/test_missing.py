"""What is said of imports that fail."""

import importlib
import sys

import pytest

from engine import missing
from engine.missing import install_command, remedy


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory for modules, and one that packages are installed into; neither is on sys.path."""
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "code").mkdir()
    monkeypatch.setattr(missing, "_server_paths", ())
    modules = dict(sys.modules)
    yield tmp_path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]


def install(place, module, package, version="1.0"):
    packages = place / "site-packages"
    (packages / module).mkdir()
    (packages / module / "__init__.py").touch()
    facts = packages / f"{package.replace('-', '_')}-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (facts / "RECORD").write_text(f"{module}/__init__.py,,\n")
    return str(packages)


def failure(statement):
    with pytest.raises(ImportError) as caught:
        exec(statement)
    return caught.value


def test_what_the_server_has_installed_is_to_be_installed(place):
    packages = install(place, "fancysound", "fancy-sounds")
    missing.set_server_paths([packages])
    assert remedy(failure("import fancysound.core")) == (
        f"{sys.executable} does not have 'fancysound'; install it there by"
        f" `{sys.executable} -m pip install fancy-sounds`"
    )


@pytest.mark.parametrize("path", ["helpers.py", "helpers/__init__.py", "helpers/deeper/x.py"])
def test_what_the_server_finds_elsewhere_is_the_users_own(place, path):
    file = place / "code" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    missing.set_server_paths([str(place / "code")])
    assert remedy(failure("import helpers")) == (
        f"{sys.executable} does not find 'helpers', which the server finds in {place / 'code'}: add"
        " that directory to extra_paths"
    )


@pytest.mark.parametrize(
    ("module", "package"), [("no_such_module", "no_such_module"), ("cv2", "opencv-python")]
)
def test_of_what_is_nowhere_both_are_said(place, module, package):
    error = ModuleNotFoundError(f"No module named {module!r}", name=module)
    said = remedy(error)
    assert f"`{sys.executable} -m pip install {package}`" in said
    assert f"{sys.executable} does not have {module!r}" in said
    assert "if it is a module of your own, add its directory to extra_paths" in said


def test_a_part_of_the_standard_library_cannot_be_installed(place):
    said = remedy(ModuleNotFoundError("No module named 'winreg'", name="winreg"))
    assert "a part of Python's standard library" in said
    assert "pip" not in said


@pytest.mark.parametrize("statement", ["import fancysound.new", "from fancysound import new"])
def test_what_is_there_in_another_version_is_to_be_replaced(place, monkeypatch, statement):
    monkeypatch.syspath_prepend(install(place, "fancysound", "fancy-sounds", "0.3"))
    importlib.invalidate_caches()
    said = remedy(failure(statement))
    assert f"{sys.executable} has fancy-sounds 0.3" in said
    assert f"`{sys.executable} -m pip install --upgrade fancy-sounds`" in said


def test_nothing_is_said_of_slips_in_code_of_the_users_own(place, monkeypatch):
    (place / "code" / "helpers.py").touch()
    monkeypatch.syspath_prepend(place / "code")
    importlib.invalidate_caches()
    assert remedy(failure("from helpers import no_such_name")) == ""
    assert remedy(failure("import helpers.no_such_module")) == ""
    assert remedy(failure("import time.no_such_module")) == ""
    assert remedy(ImportError("without a name")) == ""


def test_a_command_may_be_pasted_into_a_shell():
    command = install_command("/a b/python", ["numpy<3"])
    assert command == "'/a b/python' -m pip install 'numpy<3'"
