"""The reactivex operators that do harm inside a session, and why.

Pure: no I/O, no clock. Each loses the session's clock, belongs to all sessions at once, or gives
something else than an observable.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import reactivex.operators

if TYPE_CHECKING:
    from collections.abc import Callable

#: Operator of reactivex → why it is refused, and what stands in its place.
REFUSED: Final = {
    "auto_connect": "it connects without the session's clock, so that time operators start threads;"
    " use share",
    "do_after_next": "it drops the session's clock, so that time operators before it start threads;"
    " use do_action",
    "partition": "it gives two observables; use one node with filter for each",
    "partition_indexed": "it gives two observables; use one node with filter_indexed for each",
    "ref_count": "it shares one count of subscribers between sessions; use share",
    "run": "it waits for the end of the stream; a session's outputs are read from the session",
    "subscribe_on": "what comes before the other thread has subscribed would be missed",
    "to_future": "it ends the chain; a session's outputs are read from the session",
}
#: Operators that keep no packet once the push that brought it has returned.
HOLDS_NOTHING: Final = frozenset(
    {
        "all",
        "as_observable",
        "contains",
        "count",
        "default_if_empty",
        "do",
        "do_action",
        "element_at",
        "element_at_or_default",
        "filter",
        "filter_indexed",
        "find",
        "find_index",
        "finally_action",
        "first",
        "first_or_default",
        "ignore_elements",
        "is_empty",
        "map",
        "map_indexed",
        "pluck",
        "pluck_attr",
        "skip",
        "skip_while",
        "skip_while_indexed",
        "skip_with_time",
        "some",
        "starmap",
        "starmap_indexed",
        "take",
        "take_while",
        "take_while_indexed",
        "take_with_time",
        "tap",
        "throttle_first",
        "time_interval",
        "timestamp",
    }
)


def is_reactivex(function: Any) -> bool:
    """Whether a function is part of reactivex."""
    module = getattr(function, "__module__", None) or ""
    return module.partition(".")[0] == "reactivex"


def operator_name(function: Callable[..., Any]) -> str | None:
    """The reactivex operator that a call of it has made this function, or None.

    `ops.map(f)` is a function of an observable in which only its closure still knows `map`.
    """
    if not is_reactivex(function) or not inspect.isfunction(function):
        return None
    made_by = inspect.getclosurevars(function).nonlocals.get("fun")
    if made_by is None:
        qualname = function.__qualname__
        name = qualname.partition(".<locals>")[0] if "<locals>" in qualname else ""
    else:
        name = made_by.__name__
    name = name.rstrip("_")
    return name if hasattr(reactivex.operators, name) or name in REFUSED else None


def refusal_of_function(function: Callable[..., Any]) -> str | None:
    """Why a function must not stand in a chain, or None."""
    name = getattr(function, "__name__", "")
    if getattr(reactivex.operators, name, None) is function:
        return f'it was not called; write {name}(…) with its arguments, or rx("{name}", …)'
    name = operator_name(function) or ""
    if name == "multicast" and inspect.getclosurevars(function).nonlocals.get("subject"):
        return "its subject would be shared between sessions; use share, or give a mapper"
    return REFUSED.get(name)


def label_of(function: Callable[..., Any]) -> str:
    """How a sentence speaks of a function."""
    return operator_name(function) or str(getattr(function, "__qualname__", function))
