"""Three bare processes in a row with pipes between them, on our interpreter; see `benches.peers`.

No credits, no bounds, no errors, nothing typed: the least that three processes can be.
"""

import itertools
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

from answering import serve  # type: ignore[import-not-found]
from row_work import STAGES, WARM_UP, check, expected, work  # type: ignore[import-not-found]
from two_sides import die_with_parent  # type: ignore[import-not-found]

#: How long one packet may take to come out.
TIMEOUT_S = 30.0
VALUE = 1
#: Stands behind the last packet; what follows it are the processor times of the stages.
END = -2


def stage(take: Connection, give: Connection, kind: str, steps: int) -> None:
    """One process of the row."""
    die_with_parent()
    started_s = 0.0
    while True:
        index, value = take.recv()
        if index == END:
            give.send((END, [*value, time.process_time() - started_s]))
            return
        if index == WARM_UP:
            started_s = time.process_time()
            give.send((index, value))
        else:
            give.send((index, work(kind, value, steps)))


def run(kind: str, packets: int, steps: int) -> dict[str, Any]:
    """Send packets through a row of processes that are ready.

    Returns:
        Seconds from the first one in to the last one out, and processor time of all processes.
    """
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(STAGES + 1)]
    stages = [
        context.Process(target=stage, args=(before[0], after[1], kind, steps), daemon=True)
        for before, after in itertools.pairwise(pipes)
    ]
    for process in stages:
        process.start()
    first, last = pipes[0][1], pipes[-1][0]
    try:
        first.send((WARM_UP, VALUE))
        receive(last)
        own_cpu = time.process_time()
        started = time.perf_counter()
        for index in range(packets):
            first.send((index, VALUE))
        taken = [receive(last) for _ in range(packets)]
        seconds = time.perf_counter() - started
        own_cpu = time.process_time() - own_cpu
        first.send((END, []))
        cpu_seconds = own_cpu + sum(receive(last)[1])
    finally:
        for process in stages:
            process.kill()
            process.join()
        for connection in itertools.chain(*pipes):
            connection.close()
    indexes, values = zip(*taken, strict=True)
    check(list(indexes), list(values), expected(kind, VALUE, steps), packets)
    return {"seconds": seconds, "cpu_seconds": cpu_seconds}


def receive(connection: Connection) -> Any:
    """What comes next."""
    if not connection.poll(TIMEOUT_S):
        raise TimeoutError(f"nothing came out for {TIMEOUT_S:g} s")
    return connection.recv()


if __name__ == "__main__":
    serve(run)
