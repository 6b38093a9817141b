"""A shared-memory segment without a name: a sealed memfd and its mapping.

Linux only. Source: FR-007, FR-011: nothing can be left behind in /dev/shm, not even by SIGKILL.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os

from engine.errors import EdgeError

#: Sealed against both: a segment that was truncated would kill whoever reads it (SIGBUS).
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL

PAGE_BYTES = mmap.PAGESIZE
#: What the system takes of a name.
_NAME_BYTES_MAX = 240


def create_segment(name: str, size_bytes: int) -> int:
    """Make a segment; sparse, so it costs memory only where it is touched.

    Args:
        name: shown in /proc/<pid>/maps; not a path; cut to what the system takes.
        size_bytes: rounded up to whole pages.

    Returns:
        Its descriptor; the caller closes it. Mappings outlive it.

    Raises:
        EdgeError: the system gives no such segment.
    """
    size_bytes = -(-size_bytes // PAGE_BYTES) * PAGE_BYTES
    shown = name.encode(errors="replace").replace(b"\0", b"?")[:_NAME_BYTES_MAX]
    try:
        fd = os.memfd_create(os.fsdecode(shown), os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        raise EdgeError(f"cannot create shared memory ({size_bytes} bytes): {error}") from error
    try:
        os.ftruncate(fd, size_bytes)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except (OSError, OverflowError) as error:
        os.close(fd)
        raise EdgeError(f"cannot size shared memory to {size_bytes} bytes: {error}") from error
    return fd


class Segment:
    """A mapping of a segment.

    Attributes:
        view: all its bytes; writable for the producer, read-only for consumers.
        size_bytes: its length.
    """

    def __init__(self, fd: int, *, writable: bool) -> None:
        """Map a segment; the descriptor may be closed afterwards.

        Raises:
            EdgeError: the descriptor cannot be mapped.
        """
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        try:
            self.size_bytes = os.fstat(fd).st_size
            mapping = mmap.mmap(fd, self.size_bytes, mmap.MAP_SHARED, protection)
        except (OSError, ValueError) as error:
            raise EdgeError(f"cannot map shared memory: {error}") from error
        self.view = memoryview(mapping)
        self._map: mmap.mmap | None = mapping
        self._removes = True

    def give_back(self, start: int, length_bytes: int) -> bool:
        """Return whole pages to the system; they read as zeros afterwards. False: it cannot."""
        if self._map is None or not self._removes:
            return False
        try:
            self._map.madvise(mmap.MADV_REMOVE, start, length_bytes)
        except OSError:
            self._removes = False
        return self._removes

    def close(self) -> None:
        """Unmap the segment, or let the end of its last view do that. A second call does nothing.

        The mapping keeps a descriptor of its own open until then.
        """
        mapping, self._map = self._map, None
        with contextlib.suppress(BufferError):
            self.view.release()
            if mapping is not None:
                mapping.close()


class CountersPage:
    """A reader's mapping of page 0 alone, where a producer shows its counts.

    Attributes:
        view: its bytes; as they last were, once it has been closed.
    """

    def __init__(self, fd: int) -> None:
        """Map the page; the descriptor may be closed afterwards.

        Raises:
            EdgeError: the descriptor cannot be mapped.
        """
        try:
            self._map: mmap.mmap | None = mmap.mmap(fd, PAGE_BYTES, mmap.MAP_SHARED, mmap.PROT_READ)
        except (OSError, ValueError) as error:
            raise EdgeError(f"cannot map shared memory: {error}") from error
        self.view = memoryview(self._map)

    def close(self) -> None:
        """Keep a copy and unmap the page. A second call does nothing."""
        mapping, self._map = self._map, None
        if mapping is not None:
            last = bytes(self.view)
            self.view.release()
            self.view = memoryview(last)
            mapping.close()
