"""The server under test: runs sessions of three process nodes in a row, by the public API.

stdin   {"run": {…}}  {"go": true}  {"raise": "caller" | "server"}  {"exit": code}
        {"collect": true}
stdout  {"ready": true}  {"at": moment}  {"ended": error or null, "outputs": n}
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import itertools
import json
import logging
import os
import sys
from pathlib import Path

import numpy as np

from engine.config import Settings
from engine.payloads import Audio
from engine.pipeline import Pipeline
from engine.registry import Registry
from tests.fault.cells import WORKERS, Cell
from tests.fault.importing import VARIABLE, Imported
from tests.fault.moments import CLIENT
from tests.fault.stations import FRAMES, RATE, Gate, Station

PAYLOAD = Audio(np.zeros(FRAMES, np.float32), RATE)


def say(**what: object) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def pipeline_of(cell: Cell, directory: str, settings: dict[str, float]) -> Pipeline:
    """The chain; the worker at the moment is told so."""
    registry = Registry()
    for cls in (Station, Gate, Imported):
        registry.register(cls)
    nodes = []
    for position in WORKERS:
        params = {"cell": directory, "position": position}
        node_type = "Station"
        if position == cell.position and cell.moment != "importing":
            means = cell.means if cell.victim in WORKERS else ""
            params |= {"moment": cell.moment, "means": means}
        elif position == cell.position:
            node_type = "Imported"
        elif cell.moment == "waiting for a credit" and _behind(cell.position) == position:
            node_type = "Gate"
        nodes.append(
            {"id": position, "node_type": node_type, "params": params, "executor": "process"}
        )
    manifest = {
        "version": "v1",
        "metadata": {"name": "fault"},
        "nodes": nodes,
        "connections": [
            {"from": source, "to": target} for source, target in itertools.pairwise(WORKERS)
        ],
    }
    chosen = dataclasses.replace(Settings(channel_capacity=4), **settings)
    return Pipeline.from_manifest(manifest, registry=registry, settings=chosen)


def _behind(position: str) -> str:
    return dict(itertools.pairwise(WORKERS)).get(position, "")


class Server:
    """Obeys the test; its caller is a task, which a client's end cancels."""

    def __init__(self) -> None:
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._caller: asyncio.Task[None] | None = None
        self._rest = b""

    async def serve(self) -> None:
        asyncio.get_running_loop().add_reader(0, self._read)
        say(ready=True)
        await self._over

    def _read(self) -> None:
        data = os.read(0, 65536)
        if not data:
            self._over.cancel()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))

    def _obey(self, command: dict[str, object]) -> None:
        match command:
            case {"run": run}:
                self._caller = asyncio.create_task(self._call(**run))
            case {"collect": _}:
                gc.collect()
            case {"go": _}:
                self._go.set()
            case {"raise": "caller"}:
                self._broken.set_exception(LookupError("the caller's own"))
            case {"raise": _}:
                self._over.set_exception(RuntimeError("the server's own"))
            case {"exit": code}:
                os._exit(code)

    async def _call(self, cell: list[str], directory: str, settings: dict[str, float]) -> None:
        self._go = asyncio.Event()
        self._broken = asyncio.get_running_loop().create_future()
        self._outputs = 0
        session, ended = None, None
        client = self._watch_client(directory)
        try:
            session = self._session(Cell(*cell), directory, settings)
            async with session:
                await self._until_broken(self._use(session, cell[1], cell[0]))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test is told
            ended = _facts(error)
        if client is not None:
            asyncio.get_running_loop().remove_reader(client)
            os.close(client)
        say(ended=ended, outputs=self._outputs)

    def _session(self, cell, directory, settings):
        os.environ.pop(VARIABLE, None)
        if cell.moment == "importing":
            means = cell.means if cell.victim in WORKERS else ""
            told = {"server": os.getpid(), "cell": directory, "means": means}
            os.environ[VARIABLE] = json.dumps({**told, "position": cell.position})
        return pipeline_of(cell, directory, settings).session()

    def _watch_client(self, directory: str) -> int | None:
        path = Path(directory) / CLIENT
        if not path.exists():
            return None
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        caller = asyncio.current_task()

        def on_end() -> None:
            if not os.read(fd, 1):
                asyncio.get_running_loop().remove_reader(fd)
                caller.cancel()

        asyncio.get_running_loop().add_reader(fd, on_end)
        return fd

    async def _until_broken(self, work) -> None:
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait({working, self._broken}, return_when=asyncio.FIRST_COMPLETED)
            if self._broken.done():
                self._broken.result()
            await working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _use(self, session, moment: str, victim: str) -> None:
        await session.send(PAYLOAD)
        assert await session.receive() is not None
        self._outputs += 1
        if moment == "stopping":
            return
        if moment not in {"idle", "draining"}:
            await session.send(PAYLOAD)
        if moment != "draining":
            say(at=moment)
            takes = not (moment == "waiting for a credit" and victim == "last")
            await self._wait_to_go_on(session if takes else None)
        await session.end_input()
        async for _ in session.outputs():
            self._outputs += 1

    async def _wait_to_go_on(self, session) -> None:
        """Until the test says so, or the session fails."""
        going = asyncio.ensure_future(self._go.wait())
        receiving = {asyncio.ensure_future(session.receive())} if session is not None else set()
        try:
            await asyncio.wait({going, *receiving}, return_when=asyncio.FIRST_COMPLETED)
            for task in receiving:
                if task.done() and task.result() is not None:
                    self._outputs += 1
            if receiving and not going.done():
                await self._wait_to_go_on(session)
        finally:
            going.cancel()
            for task in receiving:
                task.cancel()


def _facts(error: BaseException) -> dict[str, object]:
    context = getattr(error, "context", {})
    return {
        "error": type(error).__name__,
        "message": str(error),
        "context": json.loads(json.dumps(context, default=str)),
    }


async def main() -> None:
    await Server().serve()


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    asyncio.run(main())
