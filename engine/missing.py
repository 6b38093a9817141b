"""What to do about an import that failed, in words: which command, or which directory.

Looks at where modules and packages lie, and only once something has failed. Source: FR-008.

    module is found …                        what is said
    here, but without that name or part      another version of its package, where it has one
    where the server's interpreter looks:
      among its installed packages           the command that installs it here
      elsewhere, so it is the user's own     the directory for extra_paths
    nowhere                                  both: nobody can know whose it is
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.metadata import Distribution

#: Modules in wide use whose package has quite another name.
_PACKAGES: Final = {
    "PIL": "pillow",
    "cv2": "opencv-python",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}

#: Where the server's interpreter finds modules, in a worker of another one; else empty.
_server_paths: tuple[str, ...] = ()


def set_server_paths(paths: Sequence[str]) -> None:
    """Tell a zygote of another interpreter where the server's own finds modules."""
    global _server_paths  # noqa: PLW0603 - of the process, as sys.path is
    _server_paths = tuple(paths)


def install_command(executable: str, requirements: Sequence[str]) -> str:
    """The command line that installs packages for an interpreter.

    Args:
        executable: the interpreter.
        requirements: "numpy", "numpy==2.1", ….
    """
    import shlex  # for errors alone

    return shlex.join([executable, "-m", "pip", "install", *requirements])


def remedy(error: ImportError) -> str:
    """What to do about an import that failed in this process.

    Args:
        error: what the import raised.

    Returns:
        A clause that names the module, this interpreter, and a command or a directory; "" where
        nothing is known that would help.
    """
    name = error.name or ""
    top = name.partition(".")[0]
    if not top:
        return ""
    here = _directory_of(top, sys.path)
    if here or top in sys.builtin_module_names:
        return _other_version(name, here)
    if top in sys.stdlib_module_names:
        return (
            f"{sys.executable} lacks {top!r}, a part of Python's standard library: use an"
            " interpreter that has it"
        )
    there = _directory_of(top, _server_paths)
    if there and not _is_installed(there):
        return (
            f"{sys.executable} does not find {top!r}, which the server finds in {there}: add that"
            " directory to extra_paths"
        )
    package = _package_of(top, there)
    command = install_command(sys.executable, [package])
    if there:
        return f"{sys.executable} does not have {top!r}; install it there by `{command}`"
    return (
        f"{sys.executable} does not have {top!r}; install the package that provides {top!r} there"
        f" by `{command}`, or, if it is a module of your own, add its directory to extra_paths"
    )


def _other_version(name: str, directory: str) -> str:
    """What is said of a module that is there, but not as it was expected."""
    if not _is_installed(directory):
        return ""  # a slip in code of the user's own: the error itself says where
    found = _distribution_of(name.partition(".")[0], directory)
    if found is None:
        return ""
    command = install_command(sys.executable, ["--upgrade", found.name])
    return (
        f"{sys.executable} has {found.name} {found.version}, which may be broken or another version"
        f" than is needed; install the newest there by `{command}`"
    )


def _directory_of(top: str, paths: Sequence[str]) -> str:
    """The directory a top-level module or package lies in; "" if it is nowhere."""
    spec = PathFinder.find_spec(top, list(paths)) if paths else None
    if spec is None:
        return ""
    if spec.origin is not None and spec.submodule_search_locations is None:
        return str(Path(spec.origin).parent)
    # A package without an __init__ has no origin, but directories.
    return str(Path(next(iter(spec.submodule_search_locations or ()), "")).parent)


def _is_installed(directory: str) -> bool:
    """Whether a directory is one that packages are installed into."""
    return Path(directory).name in {"site-packages", "dist-packages"}


def _package_of(top: str, directory: str) -> str:
    """The name under which a module's package is installed, as far as that can be known."""
    found = _distribution_of(top, directory) if directory else None
    return found.name if found is not None else _PACKAGES.get(top, top)


def _distribution_of(top: str, directory: str) -> Distribution | None:
    from importlib.metadata import distributions  # 20 ms, for errors alone

    for found in distributions(name=top, path=[directory]):
        return found
    for found in distributions(path=[directory]):
        if any(file.parts[0] in {top, f"{top}.py"} for file in found.files or ()):
            return found
    return None
