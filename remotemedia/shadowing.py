"""Checks that the top-level packages of this project are its own.

`engine` and `operators` are names that users give to folders, too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

_OURS = ("engine", "operators")


def check_shadowing() -> None:
    """Refuse to go on where another folder or file takes the place of one of our packages.

    Raises:
        ImportError: says which path shadows which package.
    """
    home = Path(__file__).resolve().parent.parent
    for name in _OURS:
        spec = importlib.util.find_spec(name)
        places = (
            [] if spec is None else list(spec.submodule_search_locations or [spec.origin or ""])
        )
        if not places:
            raise ImportError(
                f"remotemedia is incomplete: package {name!r} is missing beside it; reinstall"
            )
        if not any(Path(place).resolve().parent == home for place in places):
            raise ImportError(
                f"{places[0]} shadows remotemedia's own package {name!r}: rename it, or"
                " start Python in another directory"
            )
