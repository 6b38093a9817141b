"""The peers' side of `benches.peers`: answers requests line by line. Standard library only."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(answer: Callable[..., dict[str, Any]]) -> None:
    """Answer every request until standard input ends.

    Args:
        answer: takes a request's members as keywords; what it raises is sent as the answer.
    """
    # A copy of standard output for the answers; what anybody prints goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            reply = answer(**json.loads(line))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other side must hear of it
            reply = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()
