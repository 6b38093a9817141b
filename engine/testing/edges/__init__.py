"""What every edge must pass, and edges that deliberately do not.

    from engine.testing.edges import SharedMemoryPair, check_edge

    check_edge(SharedMemoryPair)

`check_edge` holds an edge of any kind to the contract of `engine.edges.contract`; to check your
own, make an `EdgePair` of its two ends. `FAULTS` are edges that each break it in one way.
"""

from engine.testing.edges.contract import (
    CHECKS,
    RULES,
    EdgeContractError,
    breaches_of_edge,
    check_edge,
)
from engine.testing.edges.faults import FAULTS, Fault
from engine.testing.edges.pairs import EdgePair, LocalPair, SharedMemoryPair

__all__ = [
    "CHECKS",
    "FAULTS",
    "RULES",
    "EdgeContractError",
    "EdgePair",
    "Fault",
    "LocalPair",
    "SharedMemoryPair",
    "breaches_of_edge",
    "check_edge",
]
