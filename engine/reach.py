"""What a node's params name outside of the pipeline: files, and what is to be imported.

Pure: no I/O, no clock, and nothing is imported. Source: US3.

A service asks before it opens or imports anything for a client, see `Operator.reaches`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ReachKind: TypeAlias = Literal["file", "import"]


class Reach(NamedTuple):
    """Something outside of the pipeline that a param names.

    Attributes:
        param: which param, with the place inside it: "operators[0].name".
        kind: "file": a path, of a file or of a directory in which packets may name files;
            "import": "module:name".
        name: the path or the target, as it was written.
    """

    param: str
    kind: ReachKind
    name: str


def functions(params: Mapping[str, Any], *names: str) -> Iterator[Reach]:
    """The functions that params name as "module:function".

    Args:
        params: not validated; what is no such name is left out.
        names: the params that may.
    """
    for name in names:
        value = params.get(name)
        if isinstance(value, str) and ":" in value:
            yield Reach(name, "import", value)


def files(params: Mapping[str, Any], *names: str) -> Iterator[Reach]:
    """The files that params name.

    Args:
        params: not validated; what is no path, or empty, is left out.
        names: the params that may.
    """
    for name in names:
        value = params.get(name)
        if isinstance(value, str) and value:
            yield Reach(name, "file", value)
