"""A module whose import, in a worker, is a moment of the matrix."""

from __future__ import annotations

import json
import os

from tests.fault.moments import strike, tell, wait_released
from tests.fault.stations import Station

#: Variable of the server: the cell, and the server's pid, where importing is no moment.
VARIABLE = "FAULT_IMPORTING"


class Imported(Station):
    """The same node, in this module."""


def _reach() -> None:
    told = json.loads(os.environ.get(VARIABLE, "null"))
    if told is None or told["server"] == os.getpid():
        return
    print("reached importing", flush=True)  # noqa: T201 - a last line to be found
    tell(told["cell"], moment="importing", position=told["position"])
    strike(told["means"])
    wait_released(told["cell"])


_reach()
