"""The shipped test kit: what operators and the engine itself are tested with, without sleeping.

    from engine.testing import StageBench, VirtualHost, run_virtual

`StageBench` runs operators in a stage between edges, `VirtualHost` drives it on a clock that moves
only when told to, `run_virtual` runs coroutines on a loop that never waits.
"""

from engine.testing.stage_bench import Sink, StageBench
from engine.testing.virtual import HangError, VirtualHost, VirtualLoop, run_virtual, virtual_loop

__all__ = [
    "HangError",
    "Sink",
    "StageBench",
    "VirtualHost",
    "VirtualLoop",
    "run_virtual",
    "virtual_loop",
]
