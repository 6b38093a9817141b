"""Why nothing moves: what every unfinished task of a loop, and every stage on it, waits for."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

    from engine.stage import Stage

#: Frames of one task that are shown, from the outermost on; deeper ones are left out in the middle.
FRAMES_MAX = 6
#: Attributes by which a suspended coroutine or generator names its frame, and what it waits for.
_FRAME_NAMES = ("cr_frame", "ag_frame", "gi_frame")
_AWAITED_NAMES = ("cr_await", "ag_await", "gi_yieldfrom")


def describe_waits(loop: asyncio.AbstractEventLoop, stages: Iterable[Stage]) -> str:
    """A picture of a loop on which nothing is ready, a line each.

    Args:
        loop: its unfinished tasks are described.
        stages: those of them that are not done are.
    """
    lines = [
        f"  - {task.get_name()} waits at {_place(task)}"
        for task in sorted(asyncio.all_tasks(loop), key=asyncio.Task.get_name)
    ]
    lines += [
        f"  - stage {stage.id!r} waits for {waiting}"
        for stage in stages
        for waiting in stage.waiting_for()
    ]
    return "\n".join(lines) or "  - no task at all"


def _place(task: asyncio.Task[Any]) -> str:
    frames = list(_frames(task.get_coro()))
    if len(frames) > FRAMES_MAX:
        half = FRAMES_MAX // 2
        return " → ".join([*frames[:half], "…", *frames[-half:]])
    return " → ".join(frames) or "its beginning"


def _frames(suspended: Any) -> Iterator[str]:
    """Where a coroutine waits, then where what it waits for does, and so on inwards."""
    while suspended is not None:
        frame: FrameType | None = _first(suspended, _FRAME_NAMES)
        if frame is None:
            suspended = _generator_behind(suspended)
            continue
        yield f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        suspended = _first(suspended, _AWAITED_NAMES)


def _generator_behind(awaited: Any) -> Any:
    """The asynchronous generator that an `async for` waits for; its awaitable keeps it hidden."""
    if type(awaited).__name__ not in {"async_generator_asend", "async_generator_athrow"}:
        return None
    return next(filter(inspect.isasyncgen, gc.get_referents(awaited)), None)


def _first(thing: Any, names: Iterable[str]) -> Any:
    return next((getattr(thing, name) for name in names if hasattr(thing, name)), None)
