"""A network with nothing in it but loopback, and a /dev/shm of one's own.

For peers that listen on every interface, look for others by multicast or report home; and for those
that leave things behind in shared memory, thousands of semaphores in Ray's case. Both are gone with
the last process that is in them.
"""

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_MS_REC = 0x4000
_MS_PRIVATE = 0x40000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1

_library = ctypes.CDLL(None, use_errno=True)


def stand_alone(*folders: str) -> None:
    """Move this process, and all it will start, into namespaces of its own.

    Args:
        folders: which, beside /dev/shm, are to be empty and to vanish; made where missing.

    Raises:
        OSError: the system does not allow it.
    """
    flags = _CLONE_NEWNET | _CLONE_NEWNS | (_CLONE_NEWUSER if os.geteuid() else 0)
    _check(_library.unshare(flags))
    with socket.socket() as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    _check(_library.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
    for folder in ("/dev/shm", *folders):  # noqa: S108 - a mount point
        Path(folder).mkdir(exist_ok=True)
        _check(_library.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, None))


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        why = f"it is only run without a network, and this system gives none: {os.strerror(code)}"
        raise OSError(code, why)
