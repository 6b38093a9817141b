"""The pytest plugin: fixtures of the test kit for everybody who has remotemedia installed.

pytest loads this in every project of the environment, so it imports nothing of ours, and takes no
name that a project may have given to a folder, before a test asks for one of its fixtures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.operator import Operator
    from engine.testing import StageBench, VirtualTime


@pytest.fixture
def virtual_time(request: pytest.FixtureRequest) -> Iterator[VirtualTime]:
    """A clock that a test moves: `.run(coroutine)`, `.advance(seconds)`, `.play(pipeline, script)`.

    See `engine.testing.VirtualTime`.
    """
    _check_names()
    _leaks_first(request)
    from engine.testing import VirtualTime

    with VirtualTime() as time:
        yield time


@pytest.fixture
def stage_bench(request: pytest.FixtureRequest) -> Iterator[Callable[..., StageBench]]:
    """Makes benches: `stage_bench(Gain(gain_db=3))`, or `{"a": A(), "b": B()}` for a chain.

    The operators are initialized, and cleaned up behind the test. They must be synchronous; for
    others, and for whole pipelines, see `virtual_time`. Arguments are those of
    `engine.testing.StageBench`.
    """
    _check_names()
    _leaks_first(request)
    from engine.testing import StageBench, run_virtual

    benches: list[StageBench] = []

    def make(operators: Mapping[str, Operator] | Operator, *args: Any, **named: Any) -> StageBench:
        bench = StageBench(operators, *args, started=False, **named)
        benches.append(bench)
        run_virtual(bench.initialize())
        return bench

    yield make
    for bench in benches:
        run_virtual(bench.cleanup())


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fails a test that leaves a process, thread, descriptor, shared memory or task behind.

    It looks behind the other fixtures of this plugin, and behind those that are named after it.
    """
    _check_names()
    from engine.testing.leaks import no_leaks

    with no_leaks():
        yield


def _leaks_first(request: pytest.FixtureRequest) -> None:
    """Let `no_leaks` begin before what another fixture opens, in whichever order they are named."""
    if "no_leaks" in request.fixturenames:
        request.getfixturevalue("no_leaks")


def _check_names() -> None:
    """Say it in a sentence where a folder of the project takes the place of one of our packages."""
    from remotemedia.shadowing import check_shadowing

    check_shadowing()
