"""Holds an edge to its contract, and says each breach in a sentence.

    check_edge(LocalPair)
    check_edge(SharedMemoryPair)

Each rule is checked on fresh edges, on a loop of its own. Source: FR-007, SC-007.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from engine.testing.edges.credit_checks import CREDIT_CHECKS
from engine.testing.edges.ending_checks import ENDING_CHECKS
from engine.testing.edges.flow_checks import FLOW_CHECKS
from engine.testing.edges.traffic import BreachError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from engine.testing.edges.pairs import EdgePair
    from engine.testing.edges.traffic import Check, MakeEdge

#: Every rule of the contract, in the order in which they are checked.
CHECKS: tuple[Check, ...] = (*FLOW_CHECKS, *CREDIT_CHECKS, *ENDING_CHECKS)
RULES: dict[str, str] = {check.name: check.rule for check in CHECKS}


class EdgeContractError(AssertionError):
    """An edge does not keep its contract.

    Attributes:
        breaches: rule's name → the rule, and what was seen, as a sentence each.
    """

    def __init__(self, edge: str, breaches: dict[str, str]) -> None:
        self.breaches = breaches
        lines = "\n".join(f"  - {name}: {breach}" for name, breach in breaches.items())
        super().__init__(f"{edge} does not keep the contract of an edge:\n{lines}")


def check_edge(
    make_edge: MakeEdge,
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """Hold an edge to its contract. Call it outside a running loop.

    Args:
        make_edge: `make_edge(capacity)` or `make_edge(capacity, ports=…)` gives both ends of a new
            edge, as an `EdgePair`; it is called on a running loop.
        loop_factory: makes the loops; None: asyncio's.

    Raises:
        EdgeContractError: it does not keep it; has every breach found.
    """
    breaches = breaches_of_edge(make_edge, loop_factory=loop_factory)
    if breaches:
        raise EdgeContractError(getattr(make_edge, "__name__", repr(make_edge)), breaches)


def breaches_of_edge(
    make_edge: MakeEdge,
    only: Collection[str] | None = None,
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> dict[str, str]:
    """What `check_edge` would raise: rule's name → sentence; nothing where all is well.

    Args:
        make_edge: see `check_edge`.
        only: names of the rules to check; None: all.
        loop_factory: see `check_edge`.
    """
    found: dict[str, str] = {}
    for check in _chosen(only):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            seen = runner.run(_seen(check, make_edge))
        if seen is not None:
            found[check.name] = f"{check.rule}; but {seen}"
    return found


def _chosen(only: Collection[str] | None) -> Iterable[Check]:
    return [check for check in CHECKS if only is None or check.name in only]


async def _seen(check: Check, make_edge: MakeEdge) -> str | None:
    """What breaks the rule, or None."""
    pairs: list[EdgePair] = []

    def make(*args: Any, **options: Any) -> EdgePair:
        pairs.append(make_edge(*args, **options))
        return pairs[-1]

    try:
        await check.run(make)
    except BreachError as breach:
        return str(breach)
    except Exception as error:  # noqa: BLE001 - whatever an edge raises where it must not
        return f"{_where(error)} raised {type(error).__name__}: {error}"
    finally:
        for pair in pairs:
            pair.dispose()
    return None


def _where(error: BaseException) -> str:
    """The function, of whomever, in which an error came up."""
    frames = inspect.getinnerframes(error.__traceback__) if error.__traceback__ else []
    return frames[-1].function if frames else "it"
