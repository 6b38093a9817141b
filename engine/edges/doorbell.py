"""A datagram-keeping socket pair between the two ends of an edge, on an asyncio loop.

SOCK_SEQPACKET wakes a peer in 5 to 9 µs (an eventfd took 24), keeps message boundaries and order,
and tells when the other side is gone.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from typing import TYPE_CHECKING

from engine.edges.descriptor import MESSAGE_BYTES_MAX
from engine.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Callable

#: A socket refuses a message for good that does not fit its buffer, which the system also fills
#: with its own.
_SEND_BUFFER_BYTES_MIN = 2 * MESSAGE_BYTES_MAX
#: The system is short of memory for now; nothing says when it no longer is.
_SHORT_OF_MEMORY = frozenset({errno.ENOBUFS, errno.ENOMEM})
#: So long until it is asked again.
_RETRY_S = 0.01


def make_pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair; the caller closes both, or hands them over.

    Raises:
        EdgeError: the system's socket buffers are too small for a message.
    """
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for sock in pair:
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < _SEND_BUFFER_BYTES_MIN:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES_MIN)
    size_bytes = min(sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) for sock in pair)
    if size_bytes < _SEND_BUFFER_BYTES_MIN:
        for sock in pair:
            sock.close()
        raise EdgeError(
            f"sockets take messages of {size_bytes} bytes here, and edges need"
            f" {_SEND_BUFFER_BYTES_MIN}: raise the sysctl net.core.wmem_max"
        )
    return pair


class Doorbell:
    """One end of the pair.

    Attributes:
        hung_up: the other side is gone.
        on_sent: called when nothing waits for the socket any more.
    """

    def __init__(
        self,
        sock: socket.socket,
        on_message: Callable[[bytes], None],
        on_hang_up: Callable[[], None],
    ) -> None:
        """Listen on the running loop.

        Args:
            sock: this end; owned from now on.
            on_message: called with each message, on the loop.
            on_hang_up: called once when the other side is gone and all its messages were delivered.
        """
        sock.setblocking(False)
        self.hung_up = False
        self.on_sent: Callable[[], None] | None = None
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_hang_up = on_hang_up
        self._unsent: deque[bytes] = deque()
        self._closed = False
        self._loop.add_reader(sock.fileno(), self._receive)

    def send(self, message: bytes) -> None:
        """Send one message; waits in memory while the socket is full. Nothing happens once hung up.

        What may wait is bounded by the credits: at most one message for each descriptor in flight.

        Args:
            message: 1 to MESSAGE_BYTES_MAX bytes; an empty one would read as the end.
        """
        if self.hung_up or self._closed:
            return
        if self._unsent:
            self._unsent.append(message)
            return
        try:
            self._socket.send(message)
        except BlockingIOError:
            self._unsent.append(message)
            self._loop.add_writer(self._socket.fileno(), self._send_more)
        except (BrokenPipeError, ConnectionResetError):
            self._read_rest_soon()
        except OSError as error:
            self._retry_later(error)
            self._unsent.append(message)

    def poll(self) -> None:
        """Take all that waits in the socket now, instead of when the loop comes to it."""
        while not self._closed and not self.hung_up and self._receive():
            pass

    def close(self) -> None:
        """Close this end; the other side sees it hang up. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()

    @property
    def unsent(self) -> int:
        """Messages that wait because the socket is full."""
        return len(self._unsent)

    def _retry_later(self, error: OSError) -> None:
        if error.errno not in _SHORT_OF_MEMORY:
            raise error
        self._loop.call_later(_RETRY_S, self._send_more)

    def _send_more(self) -> None:
        if self._closed or self.hung_up:
            return
        while self._unsent:
            try:
                self._socket.send(self._unsent[0])
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                self._unsent.clear()
                self._read_rest_soon()
                break
            except OSError as error:
                self._loop.remove_writer(self._socket.fileno())
                self._retry_later(error)
                return
            self._unsent.popleft()
        self._loop.remove_writer(self._socket.fileno())
        if self.on_sent is not None:
            self.on_sent()

    def _receive(self) -> bool:
        """Take one message; False where there was none."""
        # One message a call: the loop comes back while there are more, and a lone message, the
        # common case, costs no second call that only says that there is nothing.
        try:
            message = self._socket.recv(MESSAGE_BYTES_MAX)
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionResetError:
            self._receive_rest()
            return False
        except OSError:
            message = b""
        if message:
            self._on_message(message)
            return True
        self._hang_up()
        return False

    def _read_rest_soon(self) -> None:
        """The peer has left; the reader says so, after the messages that came before.

        That it left messages unread is told once, here and now, and not to the reader any more; but
        uvloop may have seen it in the same iteration, and does not call a reader again then.
        """
        self._loop.call_soon(self._receive_rest)

    def _receive_rest(self) -> None:
        """The peer closed with messages unread, which is said once; what it sent is still here.

        All of it is taken now: uvloop does not call a reader again after such an error. It is at
        most a window of descriptors.
        """
        while not self._closed:
            try:
                message = self._socket.recv(MESSAGE_BYTES_MAX)
            except OSError:
                break
            if not message:
                break
            self._on_message(message)
        self._hang_up()

    def _hang_up(self) -> None:
        if self.hung_up or self._closed:
            return
        self.hung_up = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._unsent.clear()
        self._on_hang_up()
