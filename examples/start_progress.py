"""Starts four nodes in processes of their own, with a progress bar for each.

Shows that they start at the same time, how several parts of a program are told how far each is,
and, with --timeout, what a start says that takes too long: then one of the four is made too slow.

    $ python examples/start_progress.py
    $ python examples/start_progress.py --timeout 3 || true
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from loading_nodes import Collatz, Divisors, Primes, Squares
from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
from rich.progress import Progress as ProgressBars

from remotemedia import InitTimeoutError, Json, Pipeline, Progress

NUMBERS = (97, 1729, 837_799)


class Bars(ProgressBars):
    """A bar per node."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description:>8}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[step]}"),
        )
        super().__init__(*columns, console=console, disable=not console.is_terminal)
        self._tasks_of: dict[str, TaskID] = {}

    def show(self, progress: Progress) -> None:
        node = progress.node_id
        if node not in self._tasks_of:
            self._tasks_of[node] = self.add_task(node, total=1.0, step="")
        step = f"{progress.status}  {progress.message}"
        self.update(self._tasks_of[node], completed=progress.fraction, step=step)


class Lines:
    """A line per quarter of a node's start, for a log."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[str, int]] = {}

    def show(self, progress: Progress) -> None:
        step = progress.status, int(4 * progress.fraction)
        if self._shown.get(progress.node_id) != step:
            self._shown[progress.node_id] = step
            text = f"{progress.node_id:>8} {progress.fraction:4.0%} {progress.status}"
            print(f"{text}  {progress.message}".rstrip(), flush=True)


def make_pipeline(timeout_s: int | None) -> Pipeline:
    if timeout_s is None:
        loading = Primes(limit=80_000_000) | Divisors(limit=20_000_000) | Collatz(limit=4_000_000)
        return Pipeline("facts") | loading | Squares(limit=40_000_000)
    slow = Squares(pause_s=timeout_s / 4)  # before each of 40 steps; the others are quick
    limited = Pipeline("facts", multiprocess={"init_timeout_secs": timeout_s})
    return limited | Primes(limit=1_000) | Divisors(limit=1_000) | Collatz(limit=1_000) | slow


async def main(timeout_s: int | None) -> int:
    session = make_pipeline(timeout_s).session()
    console = Console()
    bars = Bars(console)
    session.on_progress(bars.show if console.is_terminal else Lines().show)

    ready: list[str] = []  # another who is told, and knows nothing of the first
    session.on_progress(lambda told: ready.append(told.node_id) if told.status == "ready" else None)

    try:
        with bars:
            await session.start()
        print(f"ready, in this order: {', '.join(ready)}")
        async for packet in session.stream([Json(number) for number in NUMBERS]):
            print(packet.expect(Json).value)
    except InitTimeoutError as error:
        print(f"ready in time: {', '.join(sorted(ready))}")
        print(error.message)
        for line in error.context["last_lines"]:
            print(f"  | {line}")
        return 1
    finally:
        await session.aclose()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Start four nodes, with a progress bar for each.")
    parser.add_argument("--timeout", type=int, metavar="SECONDS", help="make one node too slow")
    sys.exit(asyncio.run(main(parser.parse_args().timeout)))
