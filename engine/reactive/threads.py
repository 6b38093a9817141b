"""Tells the threads reactivex starts by itself from those a chain asks for."""

from __future__ import annotations

import threading


def is_timer_thread() -> bool:
    """Whether the caller is on a thread that reactivex's TimeoutScheduler started.

    Only a time operator that was given no scheduler, or that one, emits there.
    """
    return isinstance(threading.current_thread(), threading.Timer)
