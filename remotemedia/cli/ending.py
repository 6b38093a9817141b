"""Ends the command although threads that a node started go on: nobody waits for them for ever."""

from __future__ import annotations

import os
import sys
import threading
from typing import Final

#: How long threads may take to end by themselves, seconds.
_PATIENCE_S: Final = 5.0


def bound_the_end(code: object, patience_s: float = _PATIENCE_S) -> None:
    """See to it that the interpreter ends; it waits for every thread that is no daemon.

    Args:
        code: what the command exits with, as `SystemExit` has it.
        patience_s: how long threads may take.
    """
    if not _others():
        return
    status = 0 if code is None else code if isinstance(code, int) else 1
    watch = threading.Thread(
        target=_end, args=(status, patience_s), name="remotemedia-end", daemon=True
    )
    watch.start()


def _others() -> list[threading.Thread]:
    """The threads that the interpreter waits for, beside the main one."""
    return [
        thread
        for thread in threading.enumerate()
        if not thread.daemon and thread is not threading.main_thread()
    ]


def _end(status: int, patience_s: float) -> None:
    threading.Event().wait(patience_s)
    names = ", ".join(thread.name for thread in _others())
    text = (
        f"warning: ended although threads that a node started go on ({names}); let its cleanup end"
        ' them, or run the node with executor "process"\n'
    )
    sys.stdout.flush()
    os.write(2, text.encode())
    os._exit(status)
