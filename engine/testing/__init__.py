"""The shipped test kit: what operators, pipelines and the engine itself are tested with.

Nothing in it sleeps: time is virtual, and a test that would hang is an error that says who waits
for what.

    from engine.testing import Script, play, run_virtual

    script = Script.marbles("-a--b-|", {"a": Text("hello"), "b": Text("world")})
    recording = run_virtual(play(pipeline, script))
    recording.expect("-A--B-|", {"A": Text("HELLO"), "B": Text("WORLD")})

`Script` says what a source does and when, `play` runs a session by it, `StageBench` runs operators
in a stage between edges, `Recording` says what came out, and when. `run_virtual` runs coroutines on
a loop that never waits, `VirtualTime` does so bit by bit. `check_operator` runs an operator through
its contract, `no_leaks` finds what was left behind.

pytest users have the fixtures `virtual_time`, `stage_bench` and `no_leaks` without an import.
"""

from engine.testing.bench_ends import Feeder, Sink
from engine.testing.contract import ContractError, breaches_of, check_operator
from engine.testing.leaks import Footprint, no_leaks, what_is_left
from engine.testing.play import Reader, play, source
from engine.testing.recording import Event, Recording
from engine.testing.script import Script, ScriptedError
from engine.testing.stage_bench import StageBench
from engine.testing.virtual import HangError, VirtualHost, VirtualLoop, run_virtual, virtual_loop
from engine.testing.virtual_time import VirtualTime

__all__ = [
    "ContractError",
    "Event",
    "Feeder",
    "Footprint",
    "HangError",
    "Reader",
    "Recording",
    "Script",
    "ScriptedError",
    "Sink",
    "StageBench",
    "VirtualHost",
    "VirtualLoop",
    "VirtualTime",
    "breaches_of",
    "check_operator",
    "no_leaks",
    "play",
    "run_virtual",
    "source",
    "virtual_loop",
    "what_is_left",
]
