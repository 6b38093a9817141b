"""A file that appears in its place only when it is complete.

Source: FR-002. Blocking file I/O; no operator.

Where the file system can do it (Linux), the file has no name until then, so that nothing is left of
it however its process ends, SIGKILL included. Elsewhere it is a hidden file beside the target.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO

from engine.errors import MediaError


class PartFile:
    """The content of `path` while it is being written.

    Attributes:
        path: the target; what is there stays until `commit` replaces it.
        file: open for reading, writing and seeking.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open it.

        Raises:
            MediaError: the directory is missing or not writable, or the target is there and no
                regular file.
        """
        self.path = Path(path)
        try:
            self._check_target()
        except OSError as error:
            raise self._cannot(error) from error
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}-{id(self):x}.part")
        self._is_named = False
        try:
            self.file: IO[bytes] = os.fdopen(self._open(), "w+b")
        except OSError as error:
            raise self._cannot(error) from error

    @property
    def location(self) -> str:
        """A path by which a library can open it for writing, while it has no name of its own."""
        return str(self._part) if self._is_named else f"/proc/self/fd/{self.file.fileno()}"

    def commit(self) -> int:
        """Put the file in its place; its size in bytes.

        Raises:
            MediaError: it cannot be put there; nothing of it is left then.
        """
        try:
            self.file.flush()
            size_bytes = os.fstat(self.file.fileno()).st_size
            if not self._is_named:
                self._name()
            self._part.replace(self.path)
            self._is_named = False
        except OSError as error:
            raise self._cannot(error) from error
        finally:
            self.discard()
        return size_bytes

    def discard(self) -> None:
        """Throw it away, if it is not in its place. A second call does nothing."""
        with contextlib.suppress(OSError):  # a full disk: it was said when it was written
            self.file.close()
        if self._is_named:
            self._part.unlink(missing_ok=True)
            self._is_named = False

    def _check_target(self) -> None:
        """Refuse what a file cannot take the place of."""
        if self.path.is_dir():
            raise MediaError(f"{self.path} is a directory, not a file", path=str(self.path))
        if self.path.exists() and not self.path.is_file():
            raise MediaError(
                f"{self.path} is no regular file, and would be lost if one took its place",
                path=str(self.path),
            )
        if not self.path.parent.is_dir():
            raise MediaError(
                f"cannot write {self.path}: there is no directory {self.path.parent}",
                path=str(self.path),
            )

    def _open(self) -> int:
        unnamed = getattr(os, "O_TMPFILE", 0)
        if unnamed:
            with contextlib.suppress(OSError):  # not on every file system
                return os.open(self.path.parent, os.O_RDWR | unnamed, 0o666)
        descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        self._is_named = True
        return descriptor

    def _name(self) -> None:
        """Give an unnamed file its hidden name; it cannot replace another while it has none."""
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.link(  # with a directory, since link(2) without one follows no symbolic link
                self.location,
                self._part.name,
                dst_dir_fd=directory,
                follow_symlinks=True,
            )
        finally:
            os.close(directory)
        self._is_named = True

    def _cannot(self, error: OSError) -> MediaError:
        return MediaError(f"cannot write {self.path}: {error.strerror}", path=str(self.path))
