"""A packet socket that never blocks: whole messages with descriptors, queued for a slow peer.

For the service's thread alone. Source: FR-008.
"""

from __future__ import annotations

import os
import socket
from array import array
from collections import deque
from typing import Final, Self

from engine.workers.messages import MESSAGE_BYTES_MAX

#: Send buffer asked for; a message must fit into it whole.
_SEND_BUFFER_BYTES: Final = 2 * MESSAGE_BYTES_MAX


def packet_socketpair() -> tuple[socket.socket, socket.socket]:
    """Two connected SOCK_SEQPACKET sockets, not inheritable: messages arrive whole or never."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    return ours, theirs


class Channel:
    """One end of a packet socket pair.

    Args:
        end: a connected SOCK_SEQPACKET socket; owned by the channel from now on.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._waiting: deque[tuple[bytes, tuple[int, ...]]] = deque()

    @classmethod
    def of_fd(cls, fd: int) -> Self:
        """A channel that owns a descriptor of such a socket."""
        return cls(socket.socket(fileno=fd))

    @property
    def wants_write(self) -> bool:
        """Whether messages wait for the socket to become writable."""
        return bool(self._waiting)

    def fileno(self) -> int:
        """The descriptor, or -1 once closed."""
        return self._socket.fileno()

    def send(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send a message, or queue it.

        Args:
            data: the message.
            fds: descriptors to send with it; closed once they are sent, or the channel is closed.

        Raises:
            OSError: the peer is gone (reading shows that too), or the kernel refused.
        """
        self._waiting.append((data, fds))
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it.

        Raises:
            OSError: as for send; the message at the front is dropped.
        """
        while self._waiting:
            data, fds = self._waiting[0]
            try:
                self._send_now(data, fds)
            except BlockingIOError:
                return
            except OSError:
                self._drop_front()
                raise
            self._drop_front()

    def _send_now(self, data: bytes, fds: tuple[int, ...]) -> None:
        if fds:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))
            self._socket.sendmsg([data], [rights], socket.MSG_NOSIGNAL)
        else:
            self._socket.send(data, socket.MSG_NOSIGNAL)

    def _drop_front(self) -> None:
        _, fds = self._waiting.popleft()
        for fd in fds:
            os.close(fd)

    def receive(self) -> bytes | None:
        """The next message; None if there is none now; b"" once the peer is gone."""
        try:
            return self._socket.recv(MESSAGE_BYTES_MAX)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            # Told once, first of all, where it left unread what we sent: what it said comes after.
            return self.receive()
        except OSError:
            return b""

    def close(self) -> None:
        """Close the socket and drop what waits; idempotent."""
        while self._waiting:
            self._drop_front()
        self._socket.close()
