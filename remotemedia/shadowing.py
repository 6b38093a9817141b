"""Checks that the top-level packages of this project are its own.

`engine`, `operators` and the others are names that users give to folders, too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_OURS: Final = ("engine", "operators")
#: What only a door needs: whoever opens one checks these, too.
DOORS: Final = ("transports", "protos")


def check_shadowing(names: Iterable[str] = _OURS) -> None:
    """Refuse to go on where another folder or file takes the place of one of our packages.

    Args:
        names: our packages that are needed.

    Raises:
        ImportError: says which path shadows which package.
    """
    home = Path(__file__).resolve().parent.parent
    for name in names:
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
