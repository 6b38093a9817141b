"""A manifest's params as old nodes get them: a dict that answers to both spellings of a name.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel, to_snake

from engine.operator import Params

_MISSING: Any = object()


class OldParams(Params):
    """Whatever the manifest says: old nodes check their params themselves."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Spelled(dict[str, Any]):
    """Params as they are written; `chunk_size` finds `chunkSize`, and the other way round."""

    def written(self, name: str) -> str | None:
        """How a param is spelled here, or None where it is not here."""
        if not isinstance(name, str):
            return None
        return next(
            (
                word
                for word in (name, to_snake(name), to_camel(name))
                if dict.__contains__(self, word)
            ),
            None,
        )

    def __missing__(self, name: str) -> Any:
        written = self.written(name)
        if written is None:
            raise KeyError(name)
        return dict.__getitem__(self, written)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.written(name) is not None

    def get(self, name: str, default: Any = None) -> Any:
        """The param by either spelling, or the default."""
        written = self.written(name)
        return default if written is None else dict.__getitem__(self, written)

    def pop(self, name: str, default: Any = _MISSING) -> Any:
        """Take the param out, by either spelling."""
        written = self.written(name)
        if written is not None:
            return dict.pop(self, written)
        if default is _MISSING:
            raise KeyError(name)
        return default

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The param by either spelling; the default is set where there is none."""
        written = self.written(name)
        return dict.setdefault(self, name if written is None else written, default)

    def copy(self) -> Spelled:
        """The same params."""
        return Spelled(self)
